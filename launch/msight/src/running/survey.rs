//! Queries the states of running graphs.

use anyhow::{Result, bail};
use serde::Serialize;

use super::control::{Answer, Ask};
use super::mark::{About, Running};
use super::standing::Standing;

/// A snapshot of a running graph.
#[derive(Debug, Serialize)]
pub(crate) struct Survey {
    /// The graph's properties.
    #[serde(flatten)]
    pub(crate) about: About,
    /// The states of its jobs.
    pub(crate) nodes: Vec<Standing>,
}

impl Survey {
    /// Queries a graph; `None` if it has ended.
    ///
    /// # Errors
    /// The graph was started by another msight version.
    pub(crate) async fn of(graph: Running) -> Result<Option<Self>> {
        match graph.ask(&Ask::States).await {
            Ok(Answer::States(nodes)) => Ok(Some(Self { about: graph.about, nodes })),
            Ok(_) => bail!("graph {} was started by another msight version", graph.about.name),
            Err(_) => Ok(None),
        }
    }

    /// Queries all graphs of this user, by name.
    ///
    /// # Errors
    /// A graph was started by another msight version.
    pub(crate) async fn all() -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for graph in Running::all().await {
            all.extend(Self::of(graph).await?);
        }
        Ok(all)
    }
}
