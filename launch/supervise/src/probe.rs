//! Whether others may count on a job.

use std::future::pending;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use msight_bus::registry::{self, Status};
use msight_proto::unix_now;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, sleep_until, timeout};

use super::guard::Guard;
use super::job::{Job, NodeRegistration, Readiness, Test};
use super::journal::Journal;
use super::state::Phase;

/// From one question to the next until a node is ready, and after.
const SOON: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_secs(2);

/// From one look at the registry to the next, and the time limit of one.
const REGISTRY: Duration = Duration::from_millis(300);
const REGISTRY_PATIENCE: Duration = Duration::from_secs(3);

/// Asks one run of a job again and again.
#[derive(Debug)]
pub(crate) struct Probe {
    journal: Arc<Journal>,
    begun: Instant,
    was_ready: bool,
    failures: u32,
    asked: bool,
    /// The last answer that followed from reports, and where the metrics were then.
    answer: Option<(Result<(), String>, Option<SocketAddr>)>,
}

impl Probe {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self { journal, begun: Instant::now(), was_ready: false, failures: 0, asked: false, answer: None }
    }

    /// Waits until it is time to ask, asks, and gives the answer.
    pub(crate) async fn next(&mut self, job: &Job) -> Phase {
        let answer = match &job.readiness {
            Readiness::Started if !self.asked => Ok(()),
            Readiness::Started => pending().await,
            Readiness::Node => self.node().await,
            Readiness::Port(port) => self.port(*port).await,
            Readiness::Registered(_) if self.was_ready => pending().await,
            Readiness::Registered(registration) => self.registered(registration).await,
            Readiness::Test(test) => self.test(job, test).await,
        };
        self.asked = true;
        match answer {
            Ok(()) => {
                (self.was_ready, self.failures) = (true, 0);
                Phase::Ready
            }
            Err(why) if self.was_ready => Phase::Unready(why),
            Err(why) => Phase::Starting(why),
        }
    }

    async fn port(&mut self, address: SocketAddr) -> Result<(), String> {
        if self.asked {
            sleep(if self.was_ready { LATER } else { SOON }).await;
        }
        let connected = TcpStream::connect(address).await;
        connected.map(drop).map_err(|error| format!("{address}: {error}"))
    }

    /// Looks for the node's record. That of an earlier run has an older heartbeat. A node of MSight is `REGISTERED` from
    /// its constructor on, and `RUNNING` when it subscribes.
    async fn registered(&mut self, registration: &NodeRegistration) -> Result<(), String> {
        if self.asked {
            sleep(REGISTRY).await;
        }
        let since = unix_now() - self.begun.elapsed().as_secs_f64();
        let read = async {
            let connection = msight_bus::connect(Some(&registration.redis_url)).await?;
            registry::nodes(&*connection.registry).await
        };
        let nodes = match timeout(REGISTRY_PATIENCE, read).await {
            Ok(Ok(nodes)) => nodes,
            Ok(Err(error)) => return Err(format!("waiting for its registration: {error}")),
            Err(_) => return Err("waiting for its registration: no answer from Redis".to_owned()),
        };
        let mut records = nodes.into_iter().filter(|(name, _)| *name == registration.node);
        let record = records.find_map(|(_, record)| record.ok()).filter(|one| one.last_heartbeat >= since);
        match record.map(|record| record.status) {
            None => Err("waiting for its registration".to_owned()),
            Some(Status::Registered) => Err("registered, not running yet".to_owned()),
            Some(_) => Ok(()),
        }
    }

    /// Waits until what the job reports gives another answer.
    async fn node(&mut self) -> Result<(), String> {
        let mut reports = self.journal.reported();
        loop {
            let reported = reports.borrow_and_update().clone();
            let now = Instant::now();
            let answer = reported.readiness(self.begun, now).map(|answer| (answer, reported.metrics));
            if let Some((ready, _)) = answer.clone().filter(|_| answer != self.answer) {
                self.answer = answer;
                return ready;
            }
            let expired = async {
                match reported.deadline(self.begun, now) {
                    Some(deadline) => sleep_until(deadline.into()).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                // The sender is in the journal, which is held.
                _ = reports.changed() => {}
                () = expired => {}
            }
        }
    }

    async fn test(&mut self, job: &Job, test: &Test) -> Result<(), String> {
        if self.asked {
            sleep(test.interval).await;
        }
        let Some((program, args)) = test.command.split_first() else { return Ok(()) };
        // Whatever it starts ends with it, or with this process.
        let guard = Guard::new().map_err(|error| format!("its health check cannot be run: {error:#}"))?;
        let mut command = Command::new(program);
        command.process_group(guard.group());
        command.args(args).envs(&job.environment).current_dir(&job.folder).kill_on_drop(true);
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let failure = match timeout(test.timeout, status).await {
            Ok(Ok(status)) if status.success() => return Ok(()),
            Ok(Ok(status)) => format!("its health check gives {status}"),
            Ok(Err(error)) => format!("its health check cannot be run: {error}"),
            Err(_) => format!("its health check takes longer than {:.0} s", test.timeout.as_secs_f64()),
        };
        if self.begun.elapsed() >= test.start_period {
            self.failures += 1;
        }
        // A few failures are forgiven.
        if self.was_ready && self.failures < test.retries { Ok(()) } else { Err(failure) }
    }
}
