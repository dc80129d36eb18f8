//! The Debian package, which `dpkg-deb` writes. The libraries that it depends on come from the program itself, so that
//! a package for another architecture needs none of its libraries here.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};

use crate::contents::Contents;
use crate::program::Program;
use crate::tree::{Entry, Tree};
use crate::{VERSION, output};

const NAME: &str = "msight-rs";
const MAINTAINER: &str = "msight-rs authors <msight-rs@users.noreply.github.com>";

/// What dpkg runs when the package is installed, upgraded or removed.
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../debian/postinst")),
    ("prerm", include_str!("../debian/prerm")),
    ("postrm", include_str!("../debian/postrm")),
];

/// What lintian reports and is meant to be so.
const OVERRIDES: &str = include_str!("../debian/lintian-overrides");

/// Makes the package, and returns its path.
pub(crate) fn make(
    contents: &Contents,
    program: &Program,
    revision: u32,
    time: u64,
    out: &Path,
) -> Result<PathBuf> {
    let version = format!("{VERSION}-{revision}");
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let root = folder.path().join("root");
    let tree = tree(contents, &version, time)?;
    tree.write(&root)?;

    let control = root.join("DEBIAN");
    fs::create_dir(&control).context("cannot create DEBIAN")?;
    let depends = program.symbols.debian_packages()?;
    let about = about(&version, program.architecture.debian, &depends, installed_kib(&tree));
    fs::write(control.join("control"), about).context("cannot write DEBIAN/control")?;
    for (name, script) in SCRIPTS {
        let file = control.join(name);
        fs::write(&file, script).with_context(|| format!("cannot write {}", file.display()))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    fs::write(control.join("md5sums"), md5sums(&root, &tree)?).context("cannot write DEBIAN/md5sums")?;
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(&control, fs::Permissions::from_mode(0o755))?;

    let package = out.join(format!("{NAME}_{version}_{}.deb", program.architecture.debian));
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.args(["--build", "--root-owner-group"]).arg(&root).arg(&package);
    output(dpkg.env("SOURCE_DATE_EPOCH", time.to_string()))?;
    Ok(package)
}

/// The files below `/`, where Debian's policy wants them.
fn tree(contents: &Contents, version: &str, time: u64) -> Result<Tree> {
    let mut tree = Tree::default();
    tree.extend("usr/bin", contents.linked_programs());
    for (path, page) in contents.manual.iter() {
        if let Entry::File { bytes, .. } = page {
            tree.file(format!("usr/share/man/{path}.gz"), gzipped(bytes)?);
        }
    }
    tree.extend("usr/share/bash-completion/completions", contents.bash.clone());
    tree.extend("usr/share/fish/vendor_completions.d", contents.fish.clone());
    tree.extend("usr/share/zsh/vendor-completions", contents.zsh.clone());
    tree.file("usr/lib/systemd/system/msight@.service", contents.unit("/usr/bin/msight"));
    let doc = format!("usr/share/doc/{NAME}");
    tree.file(format!("{doc}/copyright"), copyright(contents, time)?);
    tree.file(format!("{doc}/changelog.Debian.gz"), gzipped(changelog(version, time)?.as_bytes())?);
    tree.extend(&doc, contents.licences.clone());
    for (name, guide) in contents.guides.iter() {
        match guide {
            Entry::File { bytes, .. } if name == "CHANGELOG.md" => {
                tree.file(format!("{doc}/changelog.gz"), gzipped(bytes)?);
            }
            Entry::File { bytes, .. } => tree.file(format!("{doc}/{name}"), bytes.clone()),
            Entry::Link(target) => tree.link(format!("{doc}/{name}"), target.clone()),
        }
    }
    tree.extend(&format!("{doc}/examples"), contents.examples.clone());
    tree.file(format!("usr/share/lintian/overrides/{NAME}"), OVERRIDES);
    Ok(tree)
}

/// The control file.
fn about(version: &str, architecture: &str, depends: &str, kib: u64) -> String {
    format!(
        "Package: {NAME}\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {kib}\n\
         Depends: {depends}, ca-certificates\n\
         Recommends: redis-server (>= 5:6.0) | valkey-server\n\
         Section: video\n\
         Priority: optional\n\
         Homepage: https://github.com/msight-rs/msight-rs\n\
         Description: camera streams to video segments in S3, over Redis topics\n \
         msight-rs is a set of small programs, called nodes, that pass frames and\n \
         video segments over Redis topics: a source that reads an RTSP camera, an\n \
         aggregator that makes MP4 segments, and a pusher that uploads them to S3.\n \
         .\n \
         Each node has the command line and the messages of its original in MSight,\n \
         which is written in Python. The program msight checks, draws and runs\n \
         graphs of nodes that are described in docker compose files.\n"
    )
}

/// In machine-readable form, <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>.
fn copyright(contents: &Contents, time: u64) -> Result<String> {
    let mit = contents.licences.iter().find_map(|(path, entry)| match entry {
        Entry::File { bytes, .. } if path == "LICENSE-MIT" => Some(String::from_utf8_lossy(bytes)),
        _ => None,
    });
    let mit = mit.context("no LICENSE-MIT")?;
    let holder =
        mit.lines().find(|line| line.starts_with("Copyright")).context("LICENSE-MIT names no holder")?;
    let paragraphs =
        mit.lines().map(|line| if line.is_empty() { " .\n".into() } else { format!(" {line}\n") });
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: {NAME}\n\
         Source: https://github.com/msight-rs/msight-rs\n\
         Comment: THIRD-PARTY.txt in this folder has the licences of the libraries that\n \
         are linked in.\n\n\
         Files: *\n\
         Copyright: {} {}\n\
         License: Expat or Apache-2.0\n\n\
         License: Apache-2.0\n On Debian systems, see /usr/share/common-licenses/Apache-2.0.\n\n\
         License: Expat\n{}",
        date(time, "+%Y")?,
        holder.trim_start_matches("Copyright (c) "),
        paragraphs.collect::<String>()
    ))
}

/// Debian's changelog of the package, which names its version; users' changes are in CHANGELOG.md.
fn changelog(version: &str, time: u64) -> Result<String> {
    Ok(format!(
        "{NAME} ({version}) stable; urgency=medium\n\n  * Version {VERSION}; changelog.gz lists what is new.\n\n \
         -- {MAINTAINER}  {}\n",
        date(time, "--rfc-email")?
    ))
}

/// A time in seconds since 1970, in UTC, in this format of date(1).
fn date(time: u64, format: &str) -> Result<String> {
    let date = output(Command::new("date").args(["--utc", &format!("--date=@{time}"), format]))?;
    Ok(date.trim().to_owned())
}

/// With the time 0 in its header, so that the same bytes give the same file.
fn gzipped(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).context("cannot compress")
}

/// The checksums by which `dpkg --verify` finds changed files.
fn md5sums(root: &Path, tree: &Tree) -> Result<String> {
    let files = tree.iter().filter(|(_, entry)| matches!(entry, Entry::File { .. })).map(|(path, _)| path);
    output(Command::new("md5sum").current_dir(root).arg("--").args(files))
}

/// The space that the files take once installed, in KiB, each file rounded up as Debian's policy has it.
fn installed_kib(tree: &Tree) -> u64 {
    let kib = |entry: &Entry| match entry {
        Entry::File { bytes, .. } => (bytes.len() as u64).div_ceil(1024),
        Entry::Link(_) => 1,
    };
    tree.iter().map(|(_, entry)| kib(entry)).sum()
}
