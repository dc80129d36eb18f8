//! `msight-package`: makes the packages of msight-rs.
//!
//! One command builds `msight` and puts it, the links of its nodes, their manual pages and completions, the systemd unit
//! and the licences into a Debian package, a Python wheel, a tarball, and, where a Docker engine answers, an image:
//!
//! ```sh
//! cargo run -p msight-package
//! ```

mod contents;
mod deb;
mod image;
mod kind;
mod notices;
mod program;
mod symbols;
mod tarball;
mod tree;
mod wheel;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use sha2::{Digest as _, Sha256};

use self::contents::Contents;
use self::kind::Kind;
use self::program::Program;

/// The version of all that is packed: that of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Make the packages of msight-rs: Debian package, Python wheel, tarball and image
#[derive(Parser)]
#[command(name = "msight-package", version)]
struct Args {
    /// Packages to make [default: all; the image only if a Docker engine answers]
    #[arg(value_name = "PACKAGE")]
    kinds: Vec<Kind>,

    /// Folder of a finished `msight`; nothing is built
    #[arg(long, value_name = "DIR", conflicts_with = "profile")]
    from: Option<PathBuf>,

    /// Cargo profile to build `msight` with
    #[arg(long, value_name = "NAME", default_value = "dist")]
    profile: String,

    /// Architecture of the packages, as Rust names it
    ///
    /// Another one than that of this machine needs Rust's standard library for it (`rustup target add`), its C++
    /// compiler (`apt-get install g++-aarch64-linux-gnu`), and `qemu-user` to run `msight` for its manual pages.
    #[arg(long, value_name = "TRIPLE", default_value = program::HOST)]
    target: String,

    /// Debian revision, which makes another package of the same version newer
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    revision: u32,

    /// Folder of the packages; created if missing
    #[arg(long, value_name = "DIR", default_value = "target/packages")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("no workspace")?;
    let program = match &args.from {
        Some(folder) => Program::at(&folder.join("msight"), &args.target)?,
        None => Program::built(workspace, &args.profile, &args.target)?,
    };
    let (major, minor) = program.glibc;
    report(format_args!("msight needs glibc {major}.{minor} or newer"));
    let contents = Contents::gather(workspace, &program)?;
    let out = &args.out;
    fs::create_dir_all(out).with_context(|| format!("cannot create folder {}", out.display()))?;
    let time = time(workspace)?;
    let kinds = if args.kinds.is_empty() { Kind::possible() } else { args.kinds.clone() };
    for kind in kinds {
        let file = match kind {
            Kind::Deb => deb::make(&contents, &program, args.revision, time, out),
            Kind::Wheel => wheel::make(&contents, &program, out),
            Kind::Tarball => tarball::make(&contents, &program, time, out),
            Kind::Image => image::make(&contents, &program, workspace, out),
        };
        let file = file.with_context(|| format!("cannot make the {kind}"))?;
        let bytes = file.metadata().with_context(|| format!("cannot read {}", file.display()))?.len();
        report(format_args!("{} ({:.1} MB)", file.display(), bytes as f64 / 1e6));
    }
    write_checksums(out)
}

/// The time that the files of the packages carry, in seconds since 1970, so that the same sources give the same
/// packages: `SOURCE_DATE_EPOCH` (reproducible-builds.org), else that of the last commit.
fn time(workspace: &Path) -> Result<u64> {
    let seconds = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds,
        Err(_) => output(Command::new("git").arg("-C").arg(workspace).args(["log", "-1", "--format=%ct"]))
            .context("no time for the files; set SOURCE_DATE_EPOCH")?,
    };
    seconds.trim().parse().with_context(|| format!("{seconds:?} is not a time in seconds since 1970"))
}

/// Lists all packages of a folder with their checksums, as `sha256sum --check` reads them.
fn write_checksums(folder: &Path) -> Result<()> {
    const LIST: &str = "SHA256SUMS";
    let listed = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut files: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.is_file() && file.file_name().is_some_and(|name| name != LIST));
    files.sort();
    let mut lines = String::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.file_name().unwrap_or_default().display();
        lines += &format!("{}  {name}\n", hex(&Sha256::digest(&bytes)));
    }
    fs::write(folder.join(LIST), lines).with_context(|| format!("cannot write {LIST}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The standard output of a command that must succeed.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("cannot run {name}; is it installed?"))?;
    if !output.status.success() {
        bail!("{name} failed with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} did not print text"))
}

/// Prints a line of progress to standard error.
fn report(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
