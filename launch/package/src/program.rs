//! The program that is packed, `msight`, and what it says of itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::symbols::SymbolVersions;
use crate::{VERSION, output};

/// This machine's architecture, as Rust names it.
pub(crate) const HOST: &str = match cfg!(target_arch = "aarch64") {
    true => "aarch64-unknown-linux-gnu",
    false => "x86_64-unknown-linux-gnu",
};

/// The names that one architecture has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Architecture {
    /// Rust's.
    pub(crate) target: &'static str,
    /// Debian's and Docker's.
    pub(crate) debian: &'static str,
    /// The kernel's, which Python has too.
    pub(crate) machine: &'static str,
    /// The prefix of its compiler and linker.
    tools: &'static str,
    /// Runs its programs on other machines.
    emulator: [&'static str; 3],
}

const ARCHITECTURES: [Architecture; 2] = [
    Architecture {
        target: "x86_64-unknown-linux-gnu",
        debian: "amd64",
        machine: "x86_64",
        tools: "x86_64-linux-gnu-",
        emulator: ["qemu-x86_64", "-L", "/usr/x86_64-linux-gnu"],
    },
    Architecture {
        target: "aarch64-unknown-linux-gnu",
        debian: "arm64",
        machine: "aarch64",
        tools: "aarch64-linux-gnu-",
        emulator: ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"],
    },
];

impl Architecture {
    fn of(target: &str) -> Result<Self> {
        let known = ARCHITECTURES.into_iter().find(|one| one.target == target);
        known.with_context(|| {
            let names = ARCHITECTURES.map(|one| one.target).join(", ");
            format!("no packages for the target {target:?}; choose one of {names}")
        })
    }

    fn is_foreign(self) -> bool {
        self.target != HOST
    }
}

/// The program, without symbols.
pub(crate) struct Program {
    /// Its architecture.
    pub(crate) architecture: Architecture,
    /// Its file.
    pub(crate) path: PathBuf,
    /// The newest version of glibc whose functions it calls, as `(2, 34)`.
    pub(crate) glibc: (u32, u32),
    /// The versions of symbols that it requires.
    pub(crate) symbols: SymbolVersions,
    /// Holds the file.
    _folder: TempDir,
}

impl Program {
    /// Builds the program.
    pub(crate) fn built(workspace: &Path, profile: &str, target: &str) -> Result<Self> {
        let architecture = Architecture::of(target)?;
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(workspace).args(["build", "--locked", "--package", "msight", "--bin", "msight"]);
        cargo.args(["--profile", profile]);
        if architecture.is_foreign() {
            has_standard_library(target)?;
            cargo.args(["--target", target]);
            let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
            cargo.env(linker, format!("{}gcc", architecture.tools));
        }
        let status = cargo.status().context("cannot run cargo")?;
        if !status.success() {
            bail!("cargo cannot build msight");
        }
        let built =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
        let built = if architecture.is_foreign() { built.join(target) } else { built };
        let folder = if profile == "dev" { "debug" } else { profile };
        Self::at(&built.join(folder).join("msight"), target)
    }

    /// Takes a finished program.
    pub(crate) fn at(path: &Path, target: &str) -> Result<Self> {
        let architecture = Architecture::of(target)?;
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let stripped = folder.path().join("msight");
        let mut strip = match architecture.is_foreign() {
            true => Command::new(format!("{}strip", architecture.tools)),
            false => Command::new("strip"),
        };
        output(strip.arg("-o").arg(&stripped).arg(path))?;
        let bytes = fs::read(&stripped).context("cannot read the program")?;
        let unusable = || format!("{} is not usable", path.display());
        let symbols = SymbolVersions::of(&bytes).with_context(unusable)?;
        let glibc = symbols.glibc().with_context(unusable)?;
        let program = Self { architecture, path: stripped, glibc, symbols, _folder: folder };
        let version = program.run(&["--version"])?;
        if version.trim() != format!("msight {VERSION}") {
            bail!("{} is {}, and this makes packages of {VERSION}", path.display(), version.trim());
        }
        Ok(program)
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        fs::read(&self.path).context("cannot read the program")
    }

    /// What it prints with these arguments. If it is of another architecture, an emulator runs it.
    pub(crate) fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = match self.architecture.is_foreign() {
            true => {
                let [emulator, options @ ..] = self.architecture.emulator;
                let mut command = Command::new(emulator);
                command.args(options).arg(&self.path);
                command
            }
            false => Command::new(&self.path),
        };
        output(command.args(args))
    }
}

/// Rust's standard library for a target is installed apart.
fn has_standard_library(target: &str) -> Result<()> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let folder = output(rustc.args(["--print", "target-libdir", "--target", target]))?;
    if Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    bail!(
        "cannot build for {target}: Rust's standard library for it is missing; run `rustup target add {target}`"
    )
}
