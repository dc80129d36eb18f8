//! A job: a program to run and how to supervise it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::shared_process::InProcessNode;
use msight_compose::{Condition, Restart};

/// A program of a graph, and how it is supervised.
#[derive(Clone)]
pub struct Job {
    /// Its name, unique in the graph.
    pub name: String,
    /// The shared process that it runs in, if any. `args` are then those of a node; program, variables and folder are
    /// those of the process.
    pub in_process: Option<InProcessNode>,
    /// The file to execute.
    pub program: PathBuf,
    /// The first argument (`argv[0]`), if it is not the file's name.
    pub called: Option<String>,
    /// Its arguments, without the program's name.
    pub args: Vec<String>,
    /// The content of its standard input.
    pub input: Option<String>,
    /// Variables in addition to those of this process.
    pub environment: BTreeMap<String, String>,
    /// Its working directory.
    pub folder: PathBuf,
    /// The jobs that it depends on.
    pub after: Vec<JobDependency>,
    /// Its restart policy.
    pub restart: Restart,
    /// When it counts as ready.
    pub readiness: Readiness,
    /// Whether it is given a socket to report to by the protocol of sd_notify(3), as nodes do.
    pub reports: bool,
    /// The signal that asks it to stop.
    pub stop_signal: Signal,
    /// The time to stop before it is killed.
    pub stop_grace: Duration,
    /// Jobs stop from the lowest rank to the highest: writers have lower ranks than their readers.
    pub rank: usize,
}

impl Job {
    /// A program that counts as ready when it runs, is not restarted, and has 10 s to stop after SIGTERM, as in
    /// Compose. It starts in the root folder.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>, args: Vec<String>) -> Self {
        Self {
            name: name.into(),
            in_process: None,
            program: program.into(),
            called: None,
            args,
            input: None,
            environment: BTreeMap::new(),
            folder: "/".into(),
            after: Vec::new(),
            restart: Restart::No,
            readiness: Readiness::Started,
            reports: false,
            stop_signal: Signal::TERM,
            stop_grace: Duration::from_secs(10),
            rank: 0,
        }
    }
}

impl fmt::Debug for Job {
    /// Hides arguments, input and variables, which may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .field("in_process", &self.in_process)
            .field("program", &self.program)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

/// A dependency on another job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobDependency {
    /// The job's name.
    pub job: String,
    /// The state that it must reach.
    pub condition: Condition,
    /// Whether the dependent job must not start without it. Otherwise it is waited for only while it can still become
    /// ready.
    pub required: bool,
    /// The maximum time to wait for it, if limited.
    pub patience: Option<Duration>,
}

/// When a job counts as ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// As soon as it runs: its readiness is unknown.
    Started,
    /// When it reports so; a program that reports nothing counts as ready after a while.
    Node,
    /// When this address of the machine accepts connections.
    Port(SocketAddr),
    /// When the node has registered on Redis since its start: MSight's Python nodes report nothing else.
    Registered(NodeRegistration),
    /// When the health check of its compose file succeeds.
    Test(Test),
}

/// The record by which a node is known on Redis.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeRegistration {
    /// The URL of the Redis server, with its password.
    pub redis_url: String,
    /// The name of the node.
    pub node: String,
}

impl fmt::Debug for NodeRegistration {
    /// Hides the URL, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeRegistration").field("node", &self.node).finish_non_exhaustive()
    }
}

/// A health check command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The time between tests.
    pub interval: Duration,
    /// The time limit of a test.
    pub timeout: Duration,
    /// The number of consecutive failures that make the program unready.
    pub retries: u32,
    /// The time after the start in which failures do not count.
    pub start_period: Duration,
}
