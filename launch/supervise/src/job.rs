//! What there is to run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::host::Within;
use msight_compose::{Condition, Restart};

/// A program of a graph, and how it is looked after.
#[derive(Clone)]
pub struct Job {
    /// Its name, which no other job of the graph has.
    pub name: String,
    /// The process that it is a part of; without it the job has one of its own. The arguments then are those of a
    /// node, and program, variables and folder are the process's.
    pub within: Option<Within>,
    /// The file to execute.
    pub program: PathBuf,
    /// The name it is called by, where that is not the file's.
    pub called: Option<String>,
    /// Its arguments, without its name.
    pub args: Vec<String>,
    /// What it reads on its standard input, to which nothing is added later.
    pub input: Option<String>,
    /// Variables that it has beside those of this process.
    pub environment: BTreeMap<String, String>,
    /// The folder that it starts in.
    pub folder: PathBuf,
    /// What must be there before it starts.
    pub after: Vec<After>,
    /// What follows its end.
    pub restart: Restart,
    /// When others may count on it.
    pub readiness: Readiness,
    /// What asks it to stop.
    pub stop_signal: Signal,
    /// How long it may take to stop before it is killed.
    pub stop_grace: Duration,
    /// Jobs stop from the lowest rank to the highest: those that others take messages from have the lower one.
    pub rank: usize,
}

impl Job {
    /// A program with its arguments that is ready when it runs, is not started again, and has Compose's 10 s to stop
    /// after SIGTERM. It starts in the root folder.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>, args: Vec<String>) -> Self {
        Self {
            name: name.into(),
            within: None,
            program: program.into(),
            called: None,
            args,
            input: None,
            environment: BTreeMap::new(),
            folder: "/".into(),
            after: Vec::new(),
            restart: Restart::No,
            readiness: Readiness::Started,
            stop_signal: Signal::TERM,
            stop_grace: Duration::from_secs(10),
            rank: 0,
        }
    }
}

impl fmt::Debug for Job {
    /// Without arguments, input and variables, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .field("within", &self.within)
            .field("program", &self.program)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

/// A job that must be there before another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// Its name.
    pub job: String,
    /// How far it must be.
    pub condition: Condition,
    /// Whether nothing starts without it. Otherwise it is waited for only while it may still come.
    pub required: bool,
    /// How long it is waited for, where there is an end to that.
    pub patience: Option<Duration>,
}

/// When others may count on a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// As soon as it runs: nothing is known of it.
    Started,
    /// When its `/readyz` says so. It logs where that is, as JSON.
    Node,
    /// When this port of the machine takes connections.
    Port(u16),
    /// When a test of its compose file succeeds.
    Test(Test),
}

/// A command that tells whether a program works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// From one test to the next.
    pub interval: Duration,
    /// How long a test may take.
    pub timeout: Duration,
    /// Failures in a row after which the program does not work.
    pub retries: u32,
    /// How long failures do not count after the start.
    pub start_period: Duration,
}
