//! The Python wheel, which `pip install` unpacks beside the programs of Python: the binary distribution format of
//! <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>.
//!
//! A wheel cannot contain links. A node is therefore a script of one line, which starts `msight` with the node's name as
//! the first argument. The shell starts in a millisecond and leaves its process to the node, so signals reach the node
//! itself.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::VERSION;
use crate::contents::Contents;
use crate::program::Program;
use crate::tree::{Entry, Tree};

/// The name of the distribution in file names; pip reads `_` and `-` alike.
const NAME: &str = "msight_rs";

/// The script for a node. A link to the script, as pipx and uv make them, is followed to find `msight` beside the script.
const SCRIPT: &str = "#!/bin/sh\n\
    self=$0\n\
    [ ! -L \"$self\" ] || self=$(readlink -f \"$self\")\n\
    exec \"${self%/*}/msight\" NAME_OF_PROGRAM \"$@\"\n";

/// Makes the wheel, and returns its path.
pub(crate) fn make(contents: &Contents, program: &Program, out: &Path) -> Result<PathBuf> {
    let tag = tag(program.glibc, program.architecture.machine);
    let mut tree = tree(contents, &tag);
    tree.file(record_path(), record(&tree));

    let path = out.join(format!("{NAME}-{VERSION}-{tag}.whl"));
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut zip = ZipWriter::new(file);
    for (name, entry) in tree.iter() {
        let Entry::File { bytes, .. } = entry else { continue };
        // The first day that a zip file can name: the same contents give the same wheel.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(9))
            .last_modified_time(DateTime::default())
            .unix_permissions(entry.mode());
        zip.start_file(name, options)
            .and_then(|()| Ok(zip.write_all(bytes)?))
            .context("cannot write the wheel")?;
    }
    zip.finish().context("cannot write the wheel")?;
    Ok(path)
}

/// Any Python 3, on a Linux with at least this glibc (PEP 600).
fn tag((major, minor): (u32, u32), machine: &str) -> String {
    format!("py3-none-manylinux_{major}_{minor}_{machine}")
}

fn tree(contents: &Contents, tag: &str) -> Tree {
    let mut tree = Tree::default();
    let data = format!("{NAME}-{VERSION}.data");
    tree.program(format!("{data}/scripts/msight"), contents.program.clone());
    for name in &contents.links {
        tree.program(format!("{data}/scripts/{name}"), SCRIPT.replace("NAME_OF_PROGRAM", name));
    }
    let share = format!("{data}/data/share");
    tree.extend(&format!("{share}/man"), contents.manual.clone());
    tree.extend(&format!("{share}/bash-completion/completions"), contents.bash.clone());
    tree.extend(&format!("{share}/fish/vendor_completions.d"), contents.fish.clone());
    tree.extend(&format!("{share}/zsh/site-functions"), contents.zsh.clone());

    let info = info();
    tree.file(format!("{info}/METADATA"), metadata(&contents.licences));
    let wheel = format!(
        "Wheel-Version: 1.0\nGenerator: msight-package {VERSION}\nRoot-Is-Purelib: false\nTag: {tag}\n"
    );
    tree.file(format!("{info}/WHEEL"), wheel);
    tree.extend(&format!("{info}/licenses"), contents.licences.clone());
    tree
}

fn info() -> String {
    format!("{NAME}-{VERSION}.dist-info")
}

fn record_path() -> String {
    format!("{}/RECORD", info())
}

/// The package's metadata, version 2.4.
fn metadata(licences: &Tree) -> String {
    let files: String = licences.iter().map(|(path, _)| format!("License-File: {path}\n")).collect();
    format!(
        "Metadata-Version: 2.4\n\
         Name: msight-rs\n\
         Version: {VERSION}\n\
         Summary: Camera streams to video segments in S3, over Redis topics: MSight's nodes as native programs\n\
         License-Expression: MIT OR Apache-2.0\n\
         {files}\
         Project-URL: Source, https://github.com/msight-rs/msight-rs\n\
         Keywords: rtsp,s3,redis,video,camera,msight\n\
         Classifier: Environment :: Console\n\
         Classifier: Operating System :: POSIX :: Linux\n\
         Classifier: Programming Language :: Rust\n\
         Classifier: Topic :: Multimedia :: Video\n\
         Requires-Python: >=3.7\n\
         Description-Content-Type: text/markdown\n\
         \n\
         msight-rs turns camera streams into video segments in an S3 bucket. This package installs `msight`, and MSight's\n\
         node programs under their names, such as `msight_launch_rtsp`. They are native programs and use no Python.\n\
         \n\
         Try the whole pipeline, which needs no camera, no Redis and no AWS account:\n\
         \n    \
         pip install msight-rs && msight demo\n\
         \n\
         MSight's own package installs programs with the same names. Give each of the two packages a virtual environment\n\
         of its own: in a shared one, the package that was installed last has the names.\n"
    )
}

/// Path, checksum and size of each file; its own line has only the path.
fn record(tree: &Tree) -> String {
    let mut record = String::new();
    for (path, entry) in tree.iter() {
        if let Entry::File { bytes, .. } = entry {
            let checksum = URL_SAFE_NO_PAD.encode(Sha256::digest(bytes));
            record += &format!("{path},sha256={checksum},{}\n", bytes.len());
        }
    }
    record + &format!("{},,\n", record_path())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_tag_names_the_glibc() {
        assert_eq!(tag((2, 34), "x86_64"), "py3-none-manylinux_2_34_x86_64");
    }

    #[test]
    fn a_script_starts_msight_beside_it_also_through_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut tree = Tree::default();
        tree.program("venv bin/msight", "#!/bin/sh\nprintf '%s|' \"$@\"\n");
        tree.program("venv bin/a_node", SCRIPT.replace("NAME_OF_PROGRAM", "a_node"));
        tree.write(folder.path()).expect("files");
        let link = folder.path().join("a_node");
        symlink("venv bin/a_node", &link).expect("a link");
        for program in [folder.path().join("venv bin/a_node"), link] {
            let output = Command::new(program).args(["-n", "a b", ""]).output().expect("it runs");
            assert_eq!(String::from_utf8_lossy(&output.stdout), "a_node|-n|a b||");
        }
    }

    #[test]
    fn a_record_has_each_file_and_itself() {
        let mut tree = Tree::default();
        tree.file("a", "abc");
        let own = record_path();
        // The checksum of `abc` in FIPS 180-4, in base 64.
        let line = "a,sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0,3\n";
        assert_eq!(record(&tree), format!("{line}{own},,\n"));
    }
}
