//! What running graphs answer when they are asked how their jobs stand, for every page and table that shows it.

use anyhow::{Result, bail};
use serde::Serialize;

use super::control::{Answer, Ask};
use super::mark::{About, Running};
use super::standing::Standing;

/// A running graph at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct Survey {
    /// Which graph it is.
    #[serde(flatten)]
    pub(crate) about: About,
    /// How its jobs stand.
    pub(crate) nodes: Vec<Standing>,
}

impl Survey {
    /// Asks this graph; none if it has ended.
    ///
    /// # Errors
    /// Another version of the program runs it.
    pub(crate) async fn of(graph: Running) -> Result<Option<Self>> {
        match graph.ask(&Ask::States).await {
            Ok(Answer::States(nodes)) => Ok(Some(Self { about: graph.about, nodes })),
            Ok(_) => bail!("{} was started by another version of msight", graph.about.name),
            Err(_) => Ok(None),
        }
    }

    /// Asks all graphs of this user, by name.
    ///
    /// # Errors
    /// Another version of the program runs one of them.
    pub(crate) async fn all() -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for graph in Running::all().await {
            all.extend(Self::of(graph).await?);
        }
        Ok(all)
    }
}
