//! What every package installs, whatever its kind.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::notices;
use crate::program::Program;
use crate::tree::Tree;

/// The systemd unit, as the compose folder has it for `/usr/local`.
const UNIT: &str = "compose/msight@.service";

/// The place of the program in that unit.
const UNIT_PROGRAM: &str = "/usr/local/bin/msight";

/// The graphs to start from, and Prometheus and Grafana for one of them, in the compose folder.
const EXAMPLES: [&str; 13] = [
    "local.yml",
    "cameras.yml",
    "mixed.yml",
    "tutorial.yml",
    "recorder.yml",
    "pictures.yml",
    "events.yml",
    "monitoring/alerts.yml",
    "monitoring/compose.yml",
    "monitoring/dashboard.json",
    "monitoring/prometheus.yml",
    "monitoring/grafana/dashboards.yml",
    "monitoring/grafana/datasource.yml",
];

/// The guides and their pictures, with the paths by which they link to each other.
const GUIDES: [&str; 14] = [
    "README.md",
    "CHANGELOG.md",
    "bus/README.md",
    "compose/README.md",
    "compose/monitoring/dashboard.svg",
    "launch/INSTALL.md",
    "launch/README.md",
    "launch/bench/cost.svg",
    "launch/graph/local.svg",
    "nodes/README.md",
    "nodes/image-to-video/README.md",
    "nodes/recorder/README.md",
    "nodes/rtsp-source/README.md",
    "nodes/s3-pusher/README.md",
];

/// The parts of a package.
pub(crate) struct Contents {
    /// The program, `msight`.
    pub(crate) program: Vec<u8>,
    /// The names by which `msight` is called to be a node, or one of MSight's programs for the registry.
    pub(crate) links: Vec<String>,
    /// The manual pages.
    pub(crate) manual: Tree,
    /// The completion scripts, by shell.
    pub(crate) bash: Tree,
    pub(crate) fish: Tree,
    pub(crate) zsh: Tree,
    /// The licences of msight-rs and of all that is linked in.
    pub(crate) licences: Tree,
    /// Changelog and guides, and their pictures.
    pub(crate) guides: Tree,
    /// Compose files to start from.
    pub(crate) examples: Tree,
    unit: String,
}

impl Contents {
    /// Asks the program for what it can print, and reads the rest from the workspace.
    pub(crate) fn gather(workspace: &Path, program: &Program) -> Result<Self> {
        let read = |path: &str| {
            let path = workspace.join(path);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let path = folder.path().to_str().context("a temporary folder whose name is not text")?;
        let links = program.run(&["links", &format!("{path}/links")]).context("cannot list the links")?;
        let links: Vec<String> = links.lines().map(str::to_owned).collect();
        program.run(&["man", &format!("{path}/man")]).context("cannot write the manual pages")?;
        let mut manual = Tree::default();
        manual.folder("man1", &folder.path().join("man"))?;

        let programs = || ["msight"].into_iter().chain(links.iter().map(String::as_str));
        let completions = |shell: &str, file: fn(&str) -> String| -> Result<Tree> {
            let mut scripts = Tree::default();
            for name in programs() {
                let script = program.run(&["completions", shell, name]);
                scripts.file(file(name), script.with_context(|| format!("no completions for {shell}"))?);
            }
            Ok(scripts)
        };
        let bash = completions("bash", str::to_owned)?;
        let fish = completions("fish", |name| format!("{name}.fish"))?;
        let zsh = completions("zsh", |name| format!("_{name}"))?;

        let mut licences = Tree::default();
        for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
            licences.file(file, read(file)?);
        }
        licences.file("THIRD-PARTY.txt", notices::of(workspace, program.architecture.target)?);
        let mut guides = Tree::default();
        for file in GUIDES {
            guides.file(file, read(file)?);
        }
        let mut examples = Tree::default();
        for file in EXAMPLES {
            examples.file(file, read(&format!("compose/{file}"))?);
        }
        let unit = read(UNIT)?;
        let program = program.bytes()?;
        Ok(Self { program, links, manual, bash, fish, zsh, licences, guides, examples, unit })
    }

    /// The systemd unit for this place of the program.
    pub(crate) fn unit(&self, program: &str) -> String {
        self.unit.replace(UNIT_PROGRAM, program)
    }

    /// The program, and its links.
    pub(crate) fn linked_programs(&self) -> Tree {
        let mut programs = Tree::default();
        programs.program("msight", self.program.clone());
        for link in &self.links {
            programs.link(link, "msight");
        }
        programs
    }
}
