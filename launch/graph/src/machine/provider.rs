//! The context for providing the servers of a graph, and the possible results.

use std::path::PathBuf;

use msight_compose::{Finding, Place, Project, Restart, Service};
use msight_supervise::{Job, Readiness};

use super::names::Names;
use super::own_program::own_program;
use crate::graph::Graph;
use crate::server::Server;

/// How a server is provided.
pub(super) enum ServerPlan {
    /// A server is already running.
    Answers {
        /// The server's program, such as `Redis 7.0.15`.
        program: String,
        /// The names of settings in the file that it may not have.
        not_told: Vec<String>,
        /// Warnings about other users of the server, one sentence each.
        neighbours: Vec<String>,
    },
    /// It is started, without these settings of the file.
    Started(Box<Job>, Vec<String>),
    /// It is not needed, with the reason.
    NotNeeded(String),
}

/// The context for providing servers.
pub(super) struct Provider<'a> {
    pub(super) project: &'a Project,
    pub(super) graph: &'a Graph,
    pub(super) names: &'a Names,
    /// The folders of programs.
    pub(super) path: &'a [PathBuf],
    /// Whether any topic uses Redis.
    pub(super) needs_redis: bool,
}

impl Provider<'_> {
    /// Finds a program on this machine.
    pub(super) fn find(&self, program: &str) -> Option<PathBuf> {
        self.path.iter().map(|folder| folder.join(program)).find(|file| file.is_file())
    }

    /// A job for a server, which is ready when its port accepts connections.
    pub(super) fn job(&self, server: &Server, service: &Service, program: PathBuf, args: Vec<String>) -> Job {
        Job {
            readiness: Readiness::Port(server.address()),
            restart: Restart::Always,
            folder: self.project.folder.clone(),
            ..Job::new(service.name.value.clone(), program, args)
        }
    }
}

/// The error that a server is not running and cannot be started.
pub(super) fn missing(server: &Server, what: &str, help: &str) -> Finding {
    let text = format!("no server answers at {}, and {what}", server.address());
    Finding::error("missing-server", server.service.place.clone(), text).with_help(help)
}

/// The words of a help about a port that is taken, with an example for this server.
pub(super) fn another_port(server: &Server) -> String {
    let other = server.port.checked_add(10_000).unwrap_or(10_000);
    format!("another port: ports: [\"127.0.0.1:{other}:{}\"]", server.own_port)
}

/// The names of the service's variables with this prefix, except `but`.
pub(super) fn variables(service: &Service, prefix: &str, but: &[&str]) -> impl Iterator<Item = String> {
    let names = service.environment.iter().map(|(name, _)| name);
    names.filter(move |name| name.starts_with(prefix) && !but.contains(name)).map(str::to_owned)
}

/// The path of this program, with an error at this place of the file.
pub(super) fn own_program_for(place: &Place) -> Result<PathBuf, Finding> {
    own_program().map_err(|error| Finding::error("missing-program", place.clone(), format!("{error:#}")))
}
