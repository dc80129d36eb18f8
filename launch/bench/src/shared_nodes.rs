//! Runs nodes in one process, as `msight up --one-process` does.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use msight_node::metrics::Usage;

use super::programs;
use super::rig::Rig;
use msight_compose::Condition;
use msight_supervise::scrape::Counters;
use msight_supervise::wire::{SUBCOMMAND, Setup};
use msight_supervise::{
    self as supervise, InProcessNode, JobDependency, Phase, Readiness, SharedProcess, Supervisor,
};

/// A node of the process.
pub(super) struct NodeSpec {
    /// Its program, such as `msight_launch_rtsp`.
    pub(super) program: &'static str,
    /// Its name, unique in a shared Redis.
    pub(super) name: String,
    /// Its arguments, without its name.
    pub(super) args: Vec<String>,
}

/// The running process.
pub(super) struct SharedNodes(Supervisor);

impl SharedNodes {
    /// Starts the nodes. Those of a later stage start when the stage before is ready, and stop before it: the readers of
    /// a topic come first.
    pub(super) fn start(rig: &Rig, stages: &[Vec<NodeSpec>]) -> Result<Self> {
        let launcher = rig.executables.launcher.clone().context("the program msight was not searched for")?;
        let process = SharedProcess::new(
            launcher.clone(),
            vec![SUBCOMMAND.to_owned()],
            rig.environment.clone(),
            rig.folder().to_owned(),
            Setup::default(),
        );
        let process = Arc::new(process);
        let mut jobs = Vec::new();
        let mut before: &[NodeSpec] = &[];
        for (stage, nodes) in stages.iter().enumerate() {
            let after = |node: &NodeSpec| JobDependency {
                job: node.name.clone(),
                condition: Condition::Healthy,
                required: true,
                patience: None,
            };
            for NodeSpec { program, name, args } in nodes {
                let node = InProcessNode {
                    process: process.clone(),
                    entry: (*program).to_owned(),
                    node: name.clone(),
                    variables: BTreeMap::new(),
                };
                let flags = ["-n", name, "--metrics", "127.0.0.1:0"].map(str::to_owned);
                jobs.push(supervise::Job {
                    in_process: Some(node),
                    readiness: Readiness::Node,
                    rank: stages.len() - stage,
                    after: before.iter().map(after).collect(),
                    ..supervise::Job::new(name.clone(), &launcher, [&args[..], &flags].concat())
                });
            }
            before = nodes;
        }
        // The log lines of nodes are needed only if a node fails; its error contains the last ones.
        let (supervisor, _) = Supervisor::start(jobs)?;
        Ok(Self(supervisor))
    }

    /// Checks that all nodes are running.
    ///
    /// # Errors
    /// A node has ended, with the reason.
    pub(super) fn all_run(&self) -> Result<bool> {
        let states = self.0.states();
        if let Some((name, state)) = states.iter().find(|(_, state)| state.is_over()) {
            bail!("{name} {}", state.phase);
        }
        Ok(states.iter().all(|(_, state)| state.phase == Phase::Ready))
    }

    /// The CPU and memory of the process so far.
    pub(super) fn usage(&self) -> Result<Usage> {
        let pid = self.0.states().iter().find_map(|(_, state)| state.pid);
        let usage = pid.context("it has ended").and_then(programs::usage);
        usage.context("the nodes in one process have ended")
    }

    /// The counters of a node.
    pub(super) async fn counters(&self, name: &str) -> Result<Counters> {
        let metrics = self.0.states().of(name).and_then(|state| state.metrics);
        Counters::of(metrics.with_context(|| format!("{name} is not running"))?).await
    }

    /// Stops the nodes, the last stage first, so that each can finish its work.
    ///
    /// # Errors
    /// A node did not end by itself.
    pub(super) async fn stop(self) -> Result<()> {
        let states = self.0.states();
        self.0.stop().await;
        match states.iter().find(|(_, state)| state.phase != Phase::Ended) {
            Some((name, state)) => bail!("{name} {}", state.phase),
            None => Ok(()),
        }
    }
}
