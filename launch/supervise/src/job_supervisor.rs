//! Supervises one job: waits for dependencies, runs it, and restarts it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use msight_node::BAD_USAGE;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::job::{Job, JobDependency, Readiness};
use super::journal::Journal;
use super::probe::Probe;
use super::restart::Restarts;
use super::state::{Phase, State};
use super::work::{End, Work};

/// Supervises one job.
#[derive(Debug)]
pub(crate) struct JobSupervisor {
    pub(crate) job: Job,
    pub(crate) journal: Arc<Journal>,
    pub(crate) state: watch::Sender<State>,
    /// The dependencies, with their states.
    pub(crate) others: Vec<(JobDependency, watch::Receiver<State>)>,
    pub(crate) stop: CancellationToken,
    /// Requests a restart.
    pub(crate) restart: Arc<Notify>,
}

/// How a run ended.
enum Run {
    /// It was stopped.
    Stopped,
    /// It is to be restarted.
    Restart,
    /// By itself, after this time: with the reason if it failed, and whether a retry would fail alike.
    Over { failure: Option<String>, is_final: bool, lasted: Duration },
}

impl JobSupervisor {
    /// Runs the job until it has ended or is stopped.
    pub(crate) async fn supervise(mut self) {
        let stop = self.stop.clone();
        let ready = tokio::select! {
            ready = self.wait_for_others() => ready,
            () = stop.cancelled() => return self.enter(Phase::Ended),
        };
        if let Err(why) = ready {
            self.journal.note("ERROR", format!("not started: {why}"));
            self.enter(Phase::LeftOut(why));
            return;
        }
        let mut restarts = Restarts::new(self.job.restart);
        loop {
            match self.run().await {
                Run::Stopped => return self.enter(Phase::Ended),
                Run::Restart => {}
                Run::Over { failure, is_final, lasted } => {
                    let pause = restarts.after(failure.is_none(), lasted).filter(|_| !is_final);
                    if !self.rest(failure, pause).await {
                        return;
                    }
                }
            }
        }
    }

    async fn wait_for_others(&mut self) -> Result<(), String> {
        for (after, state) in &mut self.others {
            self.state.send_modify(|state| state.phase = Phase::Waiting(after.job.clone()));
            let is_decided = |state: &State| state.meets(after.condition) != Ok(false);
            let patience = after.patience.unwrap_or(Duration::MAX);
            let Ok(decided) = timeout(patience, state.wait_for(is_decided)).await else {
                let text = format!("starting without {}, which is not ready", after.job);
                self.journal.note("WARNING", text);
                continue;
            };
            let met = decided
                .map_err(|_| "its supervisor has failed".to_owned())
                .and_then(|state| state.meets(after.condition));
            if let Err(why) = met
                && after.required
            {
                return Err(format!("dependency {} is not met: {why}", after.job));
            }
        }
        Ok(())
    }

    async fn run(&self) -> Run {
        self.journal.begin();
        let mut work = match Work::start(&self.job, &self.journal) {
            Ok(work) => work,
            Err(error) => {
                self.state.send_modify(|state| state.starts += 1);
                let failure = Some(format!("{error:#}"));
                return Run::Over { failure, is_final: false, lasted: Duration::ZERO };
            }
        };
        self.state.send_modify(|state| {
            (state.phase, state.since) = (Phase::Starting(String::new()), Instant::now());
            state.pid = Some(work.pid());
            state.starts += 1;
        });
        let mut probe = Probe::new(self.journal.clone());
        let run = loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.enter(Phase::Stopping);
                    work.stop(&self.job, &self.journal).await;
                    break Run::Stopped;
                }
                () = self.restart.notified() => {
                    self.enter(Phase::Stopping);
                    work.stop(&self.job, &self.journal).await;
                    break Run::Restart;
                }
                ended = work.wait() => {
                    let lasted = work.lasted();
                    break match ended {
                        Ok(end) => self.judge(end, lasted),
                        Err(error) => Run::Over { failure: Some(format!("{error:#}")), is_final: true, lasted },
                    };
                }
                phase = probe.next(&self.job) => self.enter(phase),
            }
        };
        self.state.send_modify(|state| (state.pid, state.metrics) = (None, None));
        run
    }

    fn judge(&self, end: End, lasted: Duration) -> Run {
        let (failure, is_final) = match end {
            End::Process(status) if status.success() => (None, false),
            End::Process(status) => {
                let is_final =
                    self.job.readiness == Readiness::Node && status.code() == Some(BAD_USAGE.into());
                (Some(self.journal.end_of(status)), is_final)
            }
            End::NodeRun(ended) => (ended.failure, ended.is_final),
        };
        Run::Over { failure, is_final, lasted }
    }

    /// Waits for the next run; `false` if there will be none.
    async fn rest(&self, failure: Option<String>, pause: Option<Duration>) -> bool {
        let why = failure.clone().unwrap_or_else(|| "ended".to_owned());
        match (&failure, pause) {
            (Some(why), None) => self.journal.note("ERROR", format!("failed: {why}")),
            (None, None) => self.journal.note("INFO", "ended".to_owned()),
            (_, Some(pause)) => {
                let text = format!("{why}; restarting in {:.1} s", pause.as_secs_f64());
                self.journal.note("WARNING", text);
            }
        }
        self.enter(match (failure, pause) {
            (_, Some(pause)) => Phase::Resting(why, pause),
            (Some(why), None) => Phase::Failed(why),
            (None, None) => Phase::Ended,
        });
        let rested = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                if pause.is_some() {
                    self.enter(Phase::Ended);
                }
                false
            }
            () = self.restart.notified() => true,
            () = rested => true,
        }
    }

    fn enter(&self, phase: Phase) {
        let metrics = self.journal.reported().borrow().metrics;
        self.state.send_if_modified(|state| {
            let is_news = state.phase != phase;
            if is_news {
                (state.phase, state.since) = (phase, Instant::now());
            }
            state.metrics = metrics.filter(|_| state.pid.is_some());
            is_news
        });
    }
}
