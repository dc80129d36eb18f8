//! Queries the states of running graphs.

use anyhow::{Result, bail};
use serde::Serialize;

use super::control::{Answer, Request};
use super::job_status::JobStatus;
use super::registration::{GraphInfo, RunningGraph};

/// A snapshot of a running graph.
#[derive(Debug, Serialize)]
pub(crate) struct GraphStatus {
    /// The graph's properties.
    #[serde(flatten)]
    pub(crate) about: GraphInfo,
    /// The states of its jobs.
    pub(crate) nodes: Vec<JobStatus>,
}

impl GraphStatus {
    /// Queries a graph; `None` if it has ended.
    ///
    /// # Errors
    /// The graph was started by another msight version.
    pub(crate) async fn of(graph: RunningGraph) -> Result<Option<Self>> {
        match graph.ask(&Request::States).await {
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
        for graph in RunningGraph::all().await {
            all.extend(Self::of(graph).await?);
        }
        Ok(all)
    }
}
