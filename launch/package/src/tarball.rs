//! The tarball, for any Linux with a recent glibc: the programs with their links, run in place or installed by a script.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::VERSION;
use crate::contents::Contents;
use crate::program::Program;
use crate::tree::{Entry, Tree};

const INSTALL: &str = include_str!("../tarball/install");

/// Makes the tarball, and returns its path.
pub(crate) fn make(contents: &Contents, program: &Program, time: u64, out: &Path) -> Result<PathBuf> {
    let name = format!("msight-rs-{VERSION}-linux-{}", program.architecture.machine);
    let path = out.join(format!("{name}.tar.gz"));
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut tar = Builder::new(GzBuilder::new().mtime(0).write(file, Compression::default()));
    let mut all = Tree::default();
    all.extend(&name, tree(contents));
    for (path, entry) in all.iter() {
        append(&mut tar, path, entry, time).with_context(|| format!("cannot add {path}"))?;
    }
    tar.into_inner().and_then(flate2::write::GzEncoder::finish).context("cannot write the tarball")?;
    Ok(path)
}

/// The files as they lie below the prefix that they are installed into, and the script that installs them.
fn tree(contents: &Contents) -> Tree {
    let mut tree = Tree::default();
    tree.extend("bin", contents.linked_programs());
    tree.extend("share/man", contents.manual.clone());
    tree.extend("share/bash-completion/completions", contents.bash.clone());
    tree.extend("share/fish/vendor_completions.d", contents.fish.clone());
    tree.extend("share/zsh/site-functions", contents.zsh.clone());
    tree.file("lib/systemd/system/msight@.service", contents.unit("/usr/local/bin/msight"));
    tree.extend("share/doc/msight-rs", contents.licences.clone());
    tree.extend("share/doc/msight-rs", contents.guides.clone());
    tree.extend("share/doc/msight-rs/examples", contents.examples.clone());
    tree.program("install", INSTALL);
    tree
}

fn append(
    tar: &mut Builder<impl std::io::Write>,
    path: &str,
    entry: &Entry,
    time: u64,
) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode());
    header.set_mtime(time);
    match entry {
        Entry::File { bytes, .. } => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, path, bytes.as_slice())
        }
        Entry::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, path, target)
        }
    }
}
