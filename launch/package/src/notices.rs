//! The licences of the libraries that are linked into the program, which ask to be passed on with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::output;

/// How deep below a crate's folder its licences are looked for: C libraries lie in folders of their own.
const DEPTH: usize = 2;

/// The largest file that is taken for a licence.
const MAX_BYTES: u64 = 200_000;

/// Beginnings of names of files that hold licences, in upper case.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// All libraries with their licences, then each text once with the libraries that it belongs to.
pub(crate) fn of(workspace: &Path, target: &str) -> Result<String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace).args(["metadata", "--locked", "--format-version", "1"]);
    let metadata = output(cargo.args(["--filter-platform", target]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo's metadata is not JSON")?;
    let libraries = libraries(&metadata).context("cargo's metadata lacks msight")?;
    Ok(page(&libraries))
}

/// A crate from a registry.
#[derive(Debug, PartialEq, Eq)]
struct Library {
    /// Its name and version.
    name: String,
    /// Its licence as an SPDX expression.
    licence: String,
    /// The texts of its licences.
    texts: Vec<String>,
}

/// The crates that `msight` is linked with, sorted by name.
fn libraries(metadata: &Value) -> Option<Vec<Library>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<String, Value> = list(&metadata["packages"])
        .into_iter()
        .filter_map(|package| Some((package["id"].as_str()?.to_owned(), package)))
        .collect();
    let nodes: BTreeMap<String, Value> = list(&metadata["resolve"]["nodes"])
        .into_iter()
        .filter_map(|node| Some((node["id"].as_str()?.to_owned(), node)))
        .collect();
    let (root, _) = packages.iter().find(|(_, package)| package["name"] == "msight")?;

    let (mut reached, mut open) = (BTreeSet::new(), vec![root.clone()]);
    while let Some(id) = open.pop() {
        for dependency in nodes.get(&id).map(|node| list(&node["deps"])).unwrap_or_default() {
            // A dependency without a kind is linked; the others build or test.
            let is_linked = list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            if let Some(id) = dependency["pkg"].as_str().filter(|_| is_linked) {
                open.extend((!reached.contains(id)).then(|| id.to_owned()));
            }
        }
        reached.insert(id);
    }
    let foreign =
        reached.iter().filter_map(|id| packages.get(id)).filter(|package| !package["source"].is_null());
    let mut libraries: Vec<Library> = foreign.filter_map(library).collect();
    libraries.sort_by(|a, b| a.name.cmp(&b.name));
    Some(libraries)
}

fn library(package: &Value) -> Option<Library> {
    let folder = Path::new(package["manifest_path"].as_str()?).parent()?;
    let mut files = Vec::new();
    licence_files(folder, DEPTH, &mut files);
    files.sort();
    let texts = files.iter().filter_map(|file| fs::read(file).ok());
    Some(Library {
        name: format!("{} {}", package["name"].as_str()?, package["version"].as_str()?),
        licence: package["license"].as_str().unwrap_or("see its licence file").to_owned(),
        texts: texts.map(|text| String::from_utf8_lossy(&text).trim().replace("\r\n", "\n")).collect(),
    })
}

fn licence_files(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().to_uppercase());
        let Ok(about) = entry.metadata() else { continue };
        if about.is_dir() && depth > 0 {
            licence_files(&path, depth - 1, found);
        } else if about.is_file() && about.len() <= MAX_BYTES && NAMES.iter().any(|one| name.starts_with(one))
        {
            found.push(path);
        }
    }
}

fn page(libraries: &[Library]) -> String {
    let mut page = "msight is linked with these libraries, each under the licence beside it.\n\nRust's standard library: MIT OR Apache-2.0\n".to_owned();
    let mut texts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for library in libraries {
        page += &format!("{}: {}\n", library.name, library.licence);
        for text in library.texts.iter().filter(|text| !text.is_empty()) {
            texts.entry(text).or_default().push(&library.name);
        }
    }
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|a, b| a.1.cmp(&b.1));
    for (text, mut names) in texts {
        names.dedup();
        page += &format!("\n{}\n{}\n\n{text}\n", "-".repeat(80), names.join(", "));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_linked_counts_and_what_only_builds_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("src/c")).expect("folders");
        fs::write(folder.path().join("src/c/COPYING"), "of the C library\r\n").expect("a file");
        fs::write(folder.path().join("LICENSE-MIT"), "of the crate\n").expect("a file");
        let manifest = folder.path().join("Cargo.toml");
        let package = |name: &str, source: Option<&str>| json!({"id": name, "name": name, "version": "1.0", "source": source, "license": "MIT", "manifest_path": manifest});
        let needs = |id: &str, kind: Option<&str>| json!({"pkg": id, "dep_kinds": [{"kind": kind}]});
        let metadata = json!({
            "packages": [package("msight", None), package("own", None), package("used", Some("r")), package("cc", Some("r"))],
            "resolve": {"nodes": [
                {"id": "msight", "deps": [needs("own", None), needs("cc", Some("build"))]},
                {"id": "own", "deps": [needs("used", None)]},
                {"id": "used", "deps": []},
                {"id": "cc", "deps": []},
            ]},
        });
        let found = libraries(&metadata).expect("msight is there");
        let texts = vec!["of the crate".to_owned(), "of the C library".to_owned()];
        assert_eq!(found, [Library { name: "used 1.0".into(), licence: "MIT".into(), texts }]);
        let page = page(&found);
        assert!(page.contains("used 1.0: MIT\n") && page.contains("\nused 1.0\n\nof the crate\n"), "{page}");
    }

    #[test]
    fn a_text_that_libraries_share_stands_once() {
        let library =
            |name: &str| Library { name: name.into(), licence: "MIT".into(), texts: vec!["text".into()] };
        let page = page(&[library("a 1"), library("b 2")]);
        assert_eq!(page.matches("text\n").count(), 1, "{page}");
        assert!(page.contains("\na 1, b 2\n"), "{page}");
    }
}
