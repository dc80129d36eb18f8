//! What the servers of a graph are provided from, and what can come of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use msight_compose::{Finding, Place, Project, Restart, Service};
use msight_supervise::{Job, Readiness};

use super::names::Names;
use super::own_program::own_program;
use crate::graph::Graph;
use crate::server::Server;

/// How a server is provided for.
pub(super) enum Provided {
    /// Something answers already.
    Answers {
        /// What it was not told of what the file sets: the names of that.
        not_told: Vec<String>,
        /// Who else uses it in a way that will be noticed, a sentence each.
        neighbours: Vec<String>,
    },
    /// It is started, without what the file sets and this cannot have: the names of that.
    Started(Box<Job>, Vec<String>),
    /// It is not needed: why.
    Needless(String),
}

/// What the servers are provided from.
pub(super) struct Provider<'a> {
    pub(super) project: &'a Project,
    pub(super) graph: &'a Graph,
    pub(super) names: &'a Names,
    /// Where programs are looked for.
    pub(super) path: &'a [PathBuf],
    /// Whether any message leaves the process that publishes it.
    pub(super) needs_redis: bool,
}

impl Provider<'_> {
    /// A program of this machine.
    pub(super) fn find(&self, program: &str) -> Option<PathBuf> {
        self.path.iter().map(|folder| folder.join(program)).find(|file| file.is_file())
    }

    /// A job for a server, ready as soon as its port takes connections.
    pub(super) fn job(&self, server: &Server, service: &Service, program: PathBuf, args: Vec<String>) -> Job {
        Job {
            readiness: Readiness::Port(server.port),
            restart: Restart::Always,
            folder: self.project.folder.clone(),
            ..Job::new(service.name.value.clone(), program, args)
        }
    }
}

/// Nothing is there, and nothing can be started.
pub(super) fn missing(server: &Server, what: &str, help: &str) -> Finding {
    let text = format!("no server answers at port {} of this machine, and {what}", server.port);
    Finding::error("missing-server", server.service.place.clone(), text).with_help(help)
}

/// The variables of a service that set up its program, which are called so, but for these.
pub(super) fn variables(service: &Service, prefix: &str, but: &[&str]) -> impl Iterator<Item = String> {
    let names = service.environment.iter().map(|(name, _)| name);
    names.filter(move |name| name.starts_with(prefix) && !but.contains(name)).map(str::to_owned)
}

/// This program, for what stands at this place of the file.
pub(super) fn own_program_for(place: &Place) -> Result<PathBuf, Finding> {
    own_program().map_err(|error| Finding::error("missing-program", place.clone(), format!("{error:#}")))
}

pub(super) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
