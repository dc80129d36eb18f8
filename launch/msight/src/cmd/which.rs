//! The flags that say which of the running graphs is meant.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::running::Running;
use msight_compose::{Options, Source};

/// Which graph.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Which {
    /// A compose file of the graph [default: that of this folder or above]
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Vec<PathBuf>,

    /// The graph's name [default: as the file says, else that of its folder]
    #[arg(short, long, value_name = "NAME")]
    pub(super) project_name: Option<String>,
}

impl Which {
    /// The name of the graph; none if nothing says which one, and no compose file is here.
    pub(super) fn name(&self) -> Result<Option<String>> {
        let mut options = Options::from_process().context("the current folder is gone")?;
        options.project_name.clone_from(&self.project_name);
        let sources: Vec<Source> = self.file.iter().cloned().map(Source::Path).collect();
        if sources.is_empty() && self.project_name.is_none() && !msight_compose::has_default_file(&options) {
            return Ok(None);
        }
        if let Some(name) = self.project_name.as_ref().filter(|name| !msight_compose::is_project_name(name)) {
            bail!("{name:?} is no name of a graph: {}", msight_compose::PROJECT_NAME);
        }
        // Whatever is wrong with the file by now, the graph that was started from it is known by its name.
        Ok(Some(msight_compose::read(&sources, &options).project.name))
    }

    /// The graph's name.
    ///
    /// # Errors
    /// It is not clear which.
    pub(super) async fn one(&self) -> Result<String> {
        match self.name()? {
            Some(name) => Ok(name),
            None => bail!("no compose file is here or above: name the graph with -p NAME{}", running().await),
        }
    }

    /// The graph, which runs.
    ///
    /// # Errors
    /// It does not.
    pub(super) async fn running(&self) -> Result<Running> {
        let name = self.one().await?;
        match Running::of(&name).await {
            Some(running) => Ok(running),
            None => bail!("no graph named {name} is running{}", running().await),
        }
    }
}

/// Which ones do run, as the end of a sentence.
async fn running() -> String {
    let all = Running::all().await;
    let listed = all.iter().map(|one| format!("{} of {}", one.about.name, one.about.folder.display()));
    match listed.collect::<Vec<_>>().join(", ") {
        listed if listed.is_empty() => String::new(),
        listed => format!("; these are: {listed}"),
    }
}
