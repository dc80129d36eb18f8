//! The contents of compose files, as values with their places.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;

use super::Located;

/// A project: the merged contents of its compose files.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its name: lower-case letters, digits, `-` and `_`. Graphs with different names are independent.
    pub name: String,
    /// The project folder, absolute: relative paths start from it. By default the folder of the first file.
    pub folder: PathBuf,
    /// All services in the order of the files, including those whose profiles are not enabled.
    pub services: Vec<Service>,
    /// The topics that programs outside the project publish or read: `external` in `x-msight`.
    pub external: Vec<Located<String>>,
}

impl Project {
    /// The service with this name, active or not.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| *service.name == name)
    }

    /// The services that run: those without profiles, and those with an enabled one.
    pub fn active(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|service| service.active)
    }
}

/// A service: one program, in one or more instances.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name, with the place of its key.
    pub name: Located<String>,
    /// Whether it runs: it has no profiles, or one of them is enabled.
    pub active: bool,
    /// The image of its containers.
    pub image: Option<Located<String>>,
    /// How its image is built.
    pub build: Option<Build>,
    /// The program and its first arguments. `None`: that of the image. Empty: the image's is removed.
    pub entrypoint: Option<Vec<Located<String>>>,
    /// The arguments after the entry point. `None`: those of the image. Empty: the image's are removed.
    pub command: Option<Vec<Located<String>>>,
    /// Its variables: those of `env_file`, overridden by those of `environment`.
    pub environment: Environment,
    /// Whether its image, command or variables could not be read completely, which has been reported. Checks of these
    /// values would report consequences of that.
    pub is_incomplete: bool,
    /// The services that it depends on.
    pub depends_on: Vec<Dependency>,
    /// Its restart policy.
    pub restart: Restart,
    /// The number of instances, 0 to [`MAX_REPLICAS`].
    pub replicas: u32,
    /// Its profiles; empty for a service that is always active.
    pub profiles: Vec<Located<String>>,
    /// Its health check.
    pub healthcheck: Option<Healthcheck>,
    /// Its volumes and bind mounts.
    pub volumes: Vec<Volume>,
    /// Its published ports.
    pub ports: Vec<Port>,
    /// `host`, `bridge`, `none`, `service:NAME`, `container:NAME`.
    pub network_mode: Option<Located<String>>,
    /// The name of its container, which is also its host name for other services.
    pub container_name: Option<Located<String>>,
    /// Further host names that others reach it by: `hostname`, network aliases, and `links` of other services.
    pub aliases: Vec<Located<String>>,
    /// How long it may take to stop before it is killed; 10 s if not set.
    pub stop_grace_period: Option<Located<Duration>>,
    /// The signal that stops it; SIGTERM if not set.
    pub stop_signal: Option<Located<String>>,
    /// Its working directory in the container.
    pub working_dir: Option<Located<String>>,
    /// The user that it runs as in the container.
    pub user: Option<Located<String>>,
}

/// The maximum number of instances of a service.
pub const MAX_REPLICAS: u32 = 1000;

impl Service {
    /// The words of the command line that the file specifies: entry point, then command.
    pub fn command_line(&self) -> impl Iterator<Item = &Located<String>> {
        self.entrypoint.iter().chain(&self.command).flatten()
    }
}

/// How an image is built.
#[derive(Clone, Debug)]
pub struct Build {
    /// The build context: a folder or URL; `.` if not set.
    pub context: Located<String>,
    /// The Dockerfile, relative to the context.
    pub dockerfile: Option<Located<String>>,
    /// The build stage.
    pub target: Option<Located<String>>,
}

/// The variables of a service by name, in the order of the files. `Debug` shows only the names.
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

/// A service that another service depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    /// Its name. If the dependency is not required, the service need not exist.
    pub service: Located<String>,
    /// What state it must have reached.
    pub condition: Condition,
    /// Whether the dependent service must not start without it. Otherwise it is waited for only if it is active.
    pub required: bool,
    /// Whether the dependent service restarts after this one was restarted.
    pub restart: bool,
}

/// The state that a service must reach before its dependents start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `service_started`
    Started,
    /// `service_healthy`: its health check has succeeded.
    Healthy,
    /// `service_completed_successfully`: it has exited with status 0.
    CompletedSuccessfully,
}

/// Whether a service is restarted after it has exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// Whatever its exit status was.
    Always,
    /// After an exit status other than 0, at most this many times.
    OnFailure(Option<u32>),
    /// As `Always`, but not after it was stopped on request.
    UnlessStopped,
}

/// A health check.
#[derive(Clone, Debug, PartialEq)]
pub struct Healthcheck {
    /// The command to run; `None` leaves it to the image.
    pub test: Option<HealthTest>,
    /// The time between tests; 30 s if not set.
    pub interval: Option<Duration>,
    /// The time-out of a test; 30 s if not set.
    pub timeout: Option<Duration>,
    /// The number of consecutive failures that make it unhealthy; 3 if not set.
    pub retries: Option<u32>,
    /// The time after the start in which failures do not count; 0 if not set.
    pub start_period: Option<Duration>,
    /// The time between tests during the start period; 5 s if not set.
    pub start_interval: Option<Duration>,
}

/// The command of a health check.
#[derive(Clone, Debug, PartialEq)]
pub enum HealthTest {
    /// `disable: true`, or `NONE`: no test, not even that of the image.
    None,
    /// A program and its arguments.
    Command(Vec<Located<String>>),
    /// A command line for the shell.
    Shell(Located<String>),
}

/// A part of the file system that is mounted into a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// What is mounted.
    pub source: Mount,
    /// The path in the container.
    pub target: Located<String>,
    /// Whether the mount is read-only.
    pub read_only: bool,
}

/// What a volume mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// A file or folder of the machine; absolute.
    Path(PathBuf),
    /// A named volume of the project.
    Named(String),
    /// A new, empty volume, on disk or in memory.
    Empty,
}

/// A published port.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// The address of the machine to publish on; all if not set.
    pub host: Option<IpAddr>,
    /// The port of the machine; any free one if not set.
    pub published: Option<u16>,
    /// The port that the service listens on.
    pub target: Located<u16>,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// The protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `tcp`
    Tcp,
    /// `udp`
    Udp,
}
