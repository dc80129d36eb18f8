//! The flags that select the compose files of a graph.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use msight_bus::Topic;
use msight_node::Entry;

use msight_compose::{Finding, Options, Project, Severity, Source, VARIABLE_REQUIRED};
use msight_graph::catalog::Catalog;
use msight_graph::{Graph, GraphContext};

/// Selects the compose files of a graph.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Files {
    /// Compose files, merged in this order; - reads standard input [default: compose.yaml or docker-compose.yml in
    /// this folder or above]
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,

    /// Compose file, as in Docker Compose; merged before the others
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(super) more: Vec<PathBuf>,

    /// File with variables for the compose files [default: .env beside the first compose file]
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Vec<PathBuf>,

    /// Enable the services of this profile
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Vec<String>,

    /// Name of the graph [default: `name` in the file, else the folder's name]
    #[arg(short, long, value_name = "NAME")]
    pub(super) project_name: Option<String>,

    /// Topic that a program outside the graph publishes or reads, as `x-msight: {external: [TOPIC]}` in the file
    #[arg(long, value_name = "TOPIC")]
    pub(super) external: Vec<String>,
}

/// The code of the note about a limit of a container, which processes do not have.
pub(super) const CONTAINER_LIMIT: &str = "container-limit";

/// A graph and its findings.
pub(super) struct Read {
    pub(super) project: Project,
    pub(super) graph: Graph,
    pub(super) catalog: Catalog,
    pub(super) findings: Vec<Finding>,
    /// Whether the compose files have errors themselves, other than variables that are not set, so that the project is
    /// incomplete.
    pub(super) is_unreadable: bool,
}

impl Read {
    pub(super) fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

impl Files {
    /// Reads the graph; `entries` are the built-in nodes. With `on_host`, nodes inherit the variables of this
    /// process, as processes do and containers do not.
    pub(super) async fn read(&self, entries: &[Entry], on_host: bool) -> Result<Read> {
        let mut options = Options::from_process().context("cannot read the current folder")?;
        options.env_files.clone_from(&self.env_file);
        options.profiles.clone_from(&self.profile);
        options.project_name.clone_from(&self.project_name);
        let named = self.more.iter().chain(&self.files);
        let sources: Vec<Source> = named
            .map(|file| file.to_str().map_or_else(|| Source::Path(file.clone()), Source::from))
            .collect();
        for topic in &self.external {
            Topic::new(topic).map_err(|reason| anyhow!("invalid --external: {reason}"))?;
        }
        let reading = msight_compose::read(&sources, &options);
        let is_unreadable = reading
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Error && finding.code != VARIABLE_REQUIRED);
        let catalog = Catalog::new(entries, std::env::var_os("PATH").as_deref());
        let variables = if on_host { options.variables } else { BTreeMap::new() };
        let external = self.external.iter().cloned().collect();
        let context = GraphContext { variables, external, is_on_host: on_host };
        let (graph, found) = msight_graph::read(&reading.project, &catalog, &context).await;
        let mut findings = reading.findings;
        findings.extend(found);
        Ok(Read { project: reading.project, graph, catalog, findings, is_unreadable })
    }
}
