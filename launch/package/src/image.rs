//! The container image: that of `compose/Dockerfile`, around the program that all packages contain.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};

use crate::contents::Contents;
use crate::program::Program;
use crate::tree::Tree;
use crate::{VERSION, output};

/// A client of the engine. `DOCKER` names another one than that on the `PATH`.
fn docker() -> Command {
    let mut docker = Command::new(std::env::var_os("DOCKER").unwrap_or_else(|| "docker".into()));
    docker.env("DOCKER_BUILDKIT", "1");
    docker
}

/// Whether an engine answers.
pub(crate) fn engine() -> Result<()> {
    output(docker().args(["info", "--format", "{{.ServerVersion}}"])).map(drop)
}

/// Makes the image, tags it `msight-rs` with the version, and returns the archive that `docker load` reads.
pub(crate) fn make(contents: &Contents, program: &Program, workspace: &Path, out: &Path) -> Result<PathBuf> {
    let platform = format!("linux/{}", program.architecture.debian);
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let mut tree = Tree::default();
    tree.extend("programs", contents.linked_programs());
    tree.file("Dockerfile", "FROM scratch\nCOPY programs /programs\n");
    tree.write(folder.path())?;
    let stage = "msight-rs-programs";
    output(docker().args(["build", "--quiet", "--platform", &platform, "--tag", stage]).arg(folder.path()))?;

    let tag = format!("msight-rs:{VERSION}");
    let mut build = docker();
    build.args(["build", "--quiet", "--platform", &platform, "--tag", &tag]);
    build.args(["--build-arg", &format!("BINARY={stage}"), "--build-arg", &format!("VERSION={VERSION}")]);
    output(build.arg("--file").arg(workspace.join("compose/Dockerfile")).arg(workspace))?;

    let archive = folder.path().join("image.tar");
    output(docker().args(["save", "--output"]).arg(&archive).arg(&tag))?;
    let path = out.join(format!("msight-rs-{VERSION}-image-{}.tar.gz", program.architecture.debian));
    let file = fs::File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut gzip = GzBuilder::new().mtime(0).write(file, Compression::default());
    let mut archive = fs::File::open(&archive).context("no archive of the image")?;
    std::io::copy(&mut archive, &mut gzip)
        .and_then(|_| gzip.finish())
        .context("cannot compress the image")?;
    Ok(path)
}
