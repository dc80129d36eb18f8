//! What a compose file says, as values with their places.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;

use super::Located;

/// What the compose files of a graph say together.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its name: lower-case letters, digits, `-` and `_`. Graphs of different names do not disturb each other.
    pub name: String,
    /// The folder that relative paths start from: that of the first file. Absolute.
    pub folder: PathBuf,
    /// All services in the order of the files, with those whose profiles are not chosen.
    pub services: Vec<Service>,
}

impl Project {
    /// The service of this name, active or not.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| *service.name == name)
    }

    /// The services that run: those without profiles, and those with a chosen one.
    pub fn active(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|service| service.active)
    }
}

/// A service: one program, in one or more instances.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name, at its key.
    pub name: Located<String>,
    /// Whether it runs: it has no profiles, or one of them is chosen.
    pub active: bool,
    /// The image that a container of it has.
    pub image: Option<Located<String>>,
    /// How its image is built.
    pub build: Option<Build>,
    /// The program and its first arguments. `None` is what the image says; empty means nothing, not even that.
    pub entrypoint: Option<Vec<Located<String>>>,
    /// What follows the entry point. `None` is what the image says; empty means nothing, not even that.
    pub command: Option<Vec<Located<String>>>,
    /// Its variables: those of `env_file`, under those of `environment`.
    pub environment: Environment,
    /// Whether something of its image, command or variables could not be read, which is said already: what else seems
    /// to be wrong with them may come of that.
    pub is_guess: bool,
    /// The services that must be there before it.
    pub depends_on: Vec<Dependency>,
    /// Whether it is started again after its end.
    pub restart: Restart,
    /// How many instances run, 0 to [`MOST_REPLICAS`].
    pub replicas: u32,
    /// Its profiles; empty for a service that always runs.
    pub profiles: Vec<Located<String>>,
    /// How it is told that it works.
    pub healthcheck: Option<Healthcheck>,
    /// Folders and volumes that it sees.
    pub volumes: Vec<Volume>,
    /// Ports that can be reached from outside.
    pub ports: Vec<Port>,
    /// `host`, `bridge`, `none`, `service:NAME`, `container:NAME`.
    pub network_mode: Option<Located<String>>,
    /// The name of its container, which is a host name for the others as well.
    pub container_name: Option<Located<String>>,
    /// Further names that others reach it by: `hostname`, aliases in networks, and `links` of other services.
    pub aliases: Vec<Located<String>>,
    /// How long it may take to stop before it is killed; 10 s where nothing is said.
    pub stop_grace_period: Option<Located<Duration>>,
    /// The signal that stops it; SIGTERM where nothing is said.
    pub stop_signal: Option<Located<String>>,
    /// The folder that it starts in, as a container sees it.
    pub working_dir: Option<Located<String>>,
    /// Who it runs as, in a container.
    pub user: Option<Located<String>>,
}

/// The most instances that a service may have.
pub const MOST_REPLICAS: u32 = 1000;

impl Service {
    /// The words of the command line as far as the file says it: entry point, then command.
    pub fn command_line(&self) -> impl Iterator<Item = &Located<String>> {
        self.entrypoint.iter().chain(&self.command).flatten()
    }
}

/// How an image is built.
#[derive(Clone, Debug)]
pub struct Build {
    /// The folder or URL of what it is built from; `.` if nothing is said.
    pub context: Located<String>,
    /// The file with the instructions, in the context.
    pub dockerfile: Option<Located<String>>,
    /// The stage that is built.
    pub target: Option<Located<String>>,
}

/// The variables of a service by name, in the order of the files. `Debug` shows their names alone.
#[derive(Clone, Default, PartialEq)]
pub struct Environment(pub(super) IndexMap<String, Located<String>>);

impl Environment {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&Located<String>> {
        self.0.get(name)
    }

    /// All names and values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Located<String>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A service that must be there before another.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    /// Its name. A service that is not required need not exist.
    pub service: Located<String>,
    /// How far it must be.
    pub condition: Condition,
    /// Whether nothing starts without it. Otherwise it is waited for only if it runs at all.
    pub required: bool,
    /// Whether who depends on it is restarted after it was.
    pub restart: bool,
}

/// How far a service must be before those that depend on it start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `service_started`
    Started,
    /// `service_healthy`: its health check has succeeded.
    Healthy,
    /// `service_completed_successfully`: it has ended, with status 0.
    CompletedSuccessfully,
}

/// Whether a service is started again after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// Whatever its status was.
    Always,
    /// After a status other than 0, at most so many times.
    OnFailure(Option<u32>),
    /// As `Always`, but not after it was stopped by hand.
    UnlessStopped,
}

/// How a service is asked whether it works.
#[derive(Clone, Debug, PartialEq)]
pub struct Healthcheck {
    /// What is run; nothing if the file leaves it to the image.
    pub test: Option<HealthTest>,
    /// From one test to the next; 30 s where nothing is said.
    pub interval: Option<Duration>,
    /// How long a test may take; 30 s where nothing is said.
    pub timeout: Option<Duration>,
    /// Failures in a row after which it counts as unhealthy; 3 where nothing is said.
    pub retries: Option<u32>,
    /// How long failures do not count after the start; 0 where nothing is said.
    pub start_period: Option<Duration>,
    /// From one test to the next during that time; 5 s where nothing is said.
    pub start_interval: Option<Duration>,
}

/// What is run to ask a service whether it works.
#[derive(Clone, Debug, PartialEq)]
pub enum HealthTest {
    /// `disable: true`, or `NONE`: nothing is run, not even what the image says.
    None,
    /// A program and its arguments.
    Command(Vec<Located<String>>),
    /// A line for the shell.
    Shell(Located<String>),
}

/// What a service sees of the file system beside its image.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// What is seen.
    pub source: Mount,
    /// Where the service sees it.
    pub target: Located<String>,
    /// Whether it may only read.
    pub read_only: bool,
}

/// What a volume shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// A file or folder of the machine; absolute.
    Path(PathBuf),
    /// A volume of the project, by its name.
    Named(String),
    /// A new, empty volume, on disk or in memory.
    Empty,
}

/// A port that can be reached from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// The address of the machine that it is reached at; every one if nothing is said.
    pub host: Option<IpAddr>,
    /// The port of the machine; any free one if nothing is said.
    pub published: Option<u16>,
    /// The port that the service listens on.
    pub target: Located<u16>,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// What a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `tcp`
    Tcp,
    /// `udp`
    Udp,
}
