//! Supervises programs: starts them in order, restarts them, stops them in order, and leaves no process behind.

mod guard;
mod job;
mod job_supervisor;
mod journal;
mod probe;
mod process;
mod report_socket;
mod reported;
mod restart;
pub mod scrape;
mod shared_process;
mod state;
#[cfg(test)]
mod tests;
pub mod wire;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use guard::Guard;
pub use job::{Job, JobDependency, NodeRegistration, Readiness, Test};
pub use journal::{JobLines, Line};
pub use reported::WATCHDOG;
pub use shared_process::{InProcessNode, SharedProcess};
pub use state::{Phase, State};

use job_supervisor::JobSupervisor;
use journal::Journal;

/// The jobs of a graph. Dropping it kills their processes.
#[derive(Debug)]
pub struct Supervisor {
    jobs: Vec<SupervisedJob>,
}

#[derive(Debug)]
struct SupervisedJob {
    name: String,
    rank: usize,
    state: watch::Receiver<State>,
    stop: CancellationToken,
    restart: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Starts the jobs, each as soon as its dependencies are met. Also returns their log lines.
    ///
    /// # Errors
    /// Two jobs have the same name, or a dependency is unknown or part of a cycle. No job has been started then.
    pub fn start(jobs: Vec<Job>) -> Result<(Self, JobLines)> {
        let mut states = BTreeMap::new();
        for job in &jobs {
            if states.insert(job.name.clone(), watch::Sender::new(State::new())).is_some() {
                bail!("duplicate job name {}", job.name);
            }
        }
        check_order(&jobs)?;
        let (shown, lines) = JobLines::new(journal::LINES);
        let receivers: BTreeMap<_, _> =
            states.iter().map(|(name, state)| (name.clone(), state.subscribe())).collect();
        let mut supervised = Vec::new();
        for job in jobs {
            let state = states.remove(&job.name).context("a job has one state")?;
            let others = job
                .after
                .iter()
                .filter_map(|after| receivers.get(&after.job).map(|state| (after.clone(), state.clone())));
            let (stop, restart) = (CancellationToken::new(), Arc::new(Notify::new()));
            let (name, rank) = (job.name.clone(), job.rank);
            let job_supervisor = JobSupervisor {
                others: others.collect(),
                journal: Journal::new(&job.name, shown.clone()),
                state,
                stop: stop.clone(),
                restart: restart.clone(),
                job,
            };
            let state = receivers[&name].clone();
            supervised.push(SupervisedJob {
                name,
                rank,
                state,
                stop,
                restart,
                task: tokio::spawn(job_supervisor.supervise()),
            });
        }
        Ok((Self { jobs: supervised }, lines))
    }

    /// The states of the jobs, which stay current.
    pub fn states(&self) -> States {
        States(self.jobs.iter().map(|job| (job.name.clone(), job.state.clone())).collect())
    }

    /// Waits until all jobs have ended by themselves.
    pub async fn ended(&mut self) {
        for job in &mut self.jobs {
            let _ = job.state.wait_for(State::is_over).await;
        }
    }

    /// Restarts a job, also one that has ended. Returns its state when it is ready or cannot become ready by itself.
    ///
    /// # Errors
    /// The job is unknown, or was never started.
    pub fn restart(&self, name: &str) -> Result<impl Future<Output = State> + use<>> {
        let job = self.jobs.iter().find(|job| job.name == name);
        let job = job.with_context(|| {
            let names: Vec<&str> = self.jobs.iter().map(|job| job.name.as_str()).collect();
            format!("this graph has no node {name}; its nodes: {}", names.join(", "))
        })?;
        if job.task.is_finished() {
            bail!("{name} was not started");
        }
        let mut state = job.state.clone();
        if let Phase::Waiting(other) = &state.borrow().phase {
            bail!("{name} has not started yet; it is waiting for {other}");
        }
        let before = state.borrow().starts;
        job.restart.notify_one();
        Ok(async move {
            let settled = state.wait_for(|state| state.starts > before && state.is_settled()).await;
            settled.map(|state| state.clone()).unwrap_or_else(|_| State::new())
        })
    }

    /// Stops the jobs from the lowest rank to the highest, each within its grace period.
    pub async fn stop(mut self) {
        self.jobs.sort_by_key(|job| job.rank);
        for rank in self.jobs.chunk_by_mut(|a, b| a.rank == b.rank) {
            for job in rank.iter() {
                job.stop.cancel();
            }
            for job in rank {
                // A task that panicked has killed its process.
                let _ = (&mut job.task).await;
            }
        }
    }
}

/// The current states of the jobs of a graph.
#[derive(Clone, Debug)]
pub struct States(Vec<(String, watch::Receiver<State>)>);

impl States {
    /// The jobs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, State)> {
        self.0.iter().map(|(name, state)| (name.as_str(), state.borrow().clone()))
    }

    /// The state of the job with this name.
    pub fn of(&self, name: &str) -> Option<State> {
        self.0.iter().find(|(one, _)| one == name).map(|(_, state)| state.borrow().clone())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        for job in &self.jobs {
            job.task.abort();
        }
    }
}

/// Checks that all dependencies exist and have no cycle.
fn check_order(jobs: &[Job]) -> Result<()> {
    let mut left: Vec<&Job> = jobs.iter().collect();
    if let Some((job, after)) = jobs.iter().find_map(|job| {
        let missing =
            job.after.iter().find(|after| after.required && !jobs.iter().any(|one| one.name == after.job));
        missing.map(|after| (job, after))
    }) {
        bail!("{} depends on unknown job {}", job.name, after.job);
    }
    loop {
        let names: Vec<&str> = left.iter().map(|job| job.name.as_str()).collect();
        let before = left.len();
        left.retain(|job| job.after.iter().any(|after| names.contains(&after.job.as_str())));
        if left.is_empty() {
            return Ok(());
        }
        if left.len() == before {
            bail!("dependency cycle: {}", names.join(", "));
        }
    }
}
