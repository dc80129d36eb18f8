//! The container image: that of `compose/Dockerfile`, around the program that all packages contain.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::contents::Contents;
use crate::program::Program;
use crate::tree::Tree;
use crate::{VERSION, output};

/// The glibc of the image that `compose/Dockerfile` starts from, Debian 12.
const GLIBC: (u32, u32) = (2, 36);

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
    let (major, minor) = program.glibc;
    if program.glibc > GLIBC {
        bail!(
            "msight needs glibc {major}.{minor}, and the image has {}.{}; build msight on Debian 12",
            GLIBC.0,
            GLIBC.1
        );
    }
    let platform = format!("linux/{}", program.architecture.debian);
    let build = |tag: &str| {
        let mut build = docker();
        build.args(["build", "--quiet", "--platform", &platform, "--tag", tag]);
        build
    };
    let (programs, plain, tag) = ("msight-rs-programs", "msight-rs-plain", format!("msight-rs:{VERSION}"));

    // In place of the stage of the Dockerfile that compiles.
    let mut stage = Tree::default();
    stage.extend("programs", contents.linked_programs());
    stage.file("Dockerfile", "FROM scratch\nCOPY programs /programs\n");
    output(build(programs).arg(stage.folder_of_its_own()?.path()))?;
    let mut image = build(plain);
    image.args(["--build-arg", &format!("BINARY={programs}"), "--build-arg", &format!("VERSION={VERSION}")]);
    output(image.arg("--file").arg(workspace.join("compose/Dockerfile")).arg(workspace))?;

    let mut notices = Tree::default();
    notices.extend("licences", contents.licences.clone());
    notices.file("Dockerfile", format!("FROM {plain}\nCOPY licences /usr/share/doc/msight-rs/\n"));
    output(build(&tag).arg(notices.folder_of_its_own()?.path()))?;

    let path = out.join(format!("msight-rs-{VERSION}-image-{}.tar.gz", program.architecture.debian));
    save(&tag, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Writes an image to a compressed archive.
fn save(tag: &str, path: &Path) -> Result<()> {
    let mut save =
        docker().args(["save", tag]).stdout(Stdio::piped()).spawn().context("cannot run docker")?;
    let archive = save.stdout.take().context("docker has no standard output")?;
    let mut gzip = Command::new("gzip");
    let zipped = gzip.arg("--no-name").stdin(archive).stdout(File::create(path)?).status();
    let saved = save.wait().context("cannot wait for docker")?;
    if !zipped.context("cannot run gzip")?.success() || !saved.success() {
        bail!("docker save {tag} failed");
    }
    Ok(())
}
