//! The guides: each link leads somewhere, each program shown is one that is compiled, and each number stands once.

use std::fs;
use std::path::{Path, PathBuf};

/// The guides that show a whole program, and the example that it is.
const SHOWN: [(&str, &str); 2] = [
    ("nodes/README.md", "nodes/node/examples/measure_frames.rs"),
    ("CONTRIBUTING.md", "nodes/node/examples/late_frames.rs"),
];

fn workspace() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().find(|folder| folder.join("Cargo.lock").exists()).expect("the workspace")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Markdown files of the workspace.
fn guides() -> Vec<PathBuf> {
    let (mut folders, mut guides) = (vec![workspace().to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && name != "target" && !name.as_encoded_bytes().starts_with(b".") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                guides.push(path);
            }
        }
    }
    assert!(guides.len() >= 8, "{guides:?}");
    guides
}

/// The text of a guide without its blocks of code.
fn prose(guide: &str) -> String {
    guide.split("```").step_by(2).collect()
}

/// The anchors of a guide's headings, as GitHub makes them.
fn anchors(guide: &str) -> Vec<String> {
    let prose = prose(guide);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            heading.chars().filter(kept).collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut broken = Vec::new();
    for guide in guides() {
        let text = prose(&fs::read_to_string(&guide).expect("the guide can be read"));
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => guide.clone(),
                file => guide.with_file_name(file),
            };
            let is_found = anchor.is_empty()
                || fs::read_to_string(&target)
                    .is_ok_and(|text| anchors(&text).iter().any(|one| one == anchor));
            if !target.exists() || !is_found {
                broken.push(format!("{}: {link}", guide.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn programs_in_guides_are_examples_that_compile() {
    for (guide, example) in SHOWN {
        let shown = format!("```rust\n{}```", read(example));
        assert!(read(guide).contains(&shown), "{guide} does not show {example} as it is");
    }
}

#[test]
fn the_minimum_rust_version_is_one_number() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let version = version.expect("the workspace has a rust-version").trim_matches('"');
    // README promises this version, and the image is built with it.
    for (file, expected) in [
        ("README.md", format!("Rust {version} or newer")),
        ("compose/Dockerfile", format!("ARG RUST=rust:{version}-")),
    ] {
        assert!(read(file).contains(&expected), "{file} lacks `{expected}`");
    }
}

#[test]
fn the_readme_is_short_and_begins_with_the_two_commands() {
    let readme = read("README.md");
    let words = readme.split_whitespace().count();
    assert!(words <= 1200, "README.md has {words} words");
    // CI runs these two by their numbers.
    let mut commands = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    assert!(commands.next().is_some_and(|first| first.ends_with("--bin msight -- demo\n")));
    assert!(commands.next().is_some_and(|second| second.ends_with("cargo test --workspace\n")));
}
