//! The flags that select a running graph.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::running::RunningGraph;
use msight_compose::{Options, Source};

/// Selects a running graph.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct GraphSelector {
    /// Compose file of the graph [default: compose.yaml in this folder or above]
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Vec<PathBuf>,

    /// Name of the graph [default: `name` in the file, else the folder's name]
    #[arg(short, long, value_name = "NAME")]
    pub(super) project_name: Option<String>,
}

impl GraphSelector {
    /// The name of the selected graph; `None` if none is selected and there is no compose file here.
    pub(super) fn name(&self) -> Result<Option<String>> {
        let mut options = Options::from_process().context("cannot read the current folder")?;
        options.project_name.clone_from(&self.project_name);
        let sources: Vec<Source> = self.file.iter().cloned().map(Source::Path).collect();
        if sources.is_empty() && self.project_name.is_none() && !msight_compose::has_default_file(&options) {
            return Ok(None);
        }
        if let Some(name) = self.project_name.as_ref().filter(|name| !msight_compose::is_project_name(name)) {
            bail!("invalid graph name {name:?}: {}", msight_compose::PROJECT_NAME);
        }
        // Errors in the file do not matter: the running graph is found by its name.
        Ok(Some(msight_compose::read(&sources, &options).project.name))
    }

    /// The name of the selected graph.
    ///
    /// # Errors
    /// No graph is selected.
    pub(super) async fn one(&self) -> Result<String> {
        match self.name()? {
            Some(name) => Ok(name),
            None => bail!(
                "no compose file in this folder or above; select the graph with -p NAME{}",
                running().await
            ),
        }
    }

    /// The selected graph.
    ///
    /// # Errors
    /// The graph is not running.
    pub(super) async fn running(&self) -> Result<RunningGraph> {
        let name = self.one().await?;
        match RunningGraph::of(&name).await {
            Some(running) => Ok(running),
            None => bail!(
                "graph {name} is not running; start it with msight up -d{}; msight ps --all lists graphs",
                running().await
            ),
        }
    }
}

/// The running graphs, as the end of an error message.
async fn running() -> String {
    let all = RunningGraph::all().await;
    let listed = all.iter().map(|one| format!("{} of {}", one.about.name, one.about.folder.display()));
    match listed.collect::<Vec<_>>().join(", ") {
        listed if listed.is_empty() => String::new(),
        listed => format!("; running graphs: {listed}"),
    }
}
