//! The servers of a graph: used where they answer, else started.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::answer::{Answer, answer};
use super::names::Names;
use super::redis::Settings;
use super::{neighbours, own_program, rtsp, s3};
use crate::compose::{Finding, Place, Project, Restart, Service};
use crate::graph::{Graph, Server, ServerKind};
use crate::supervise::{Job, Readiness};

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
    /// Provides for one server.
    ///
    /// # Errors
    /// Neither does it answer nor is there anything here to start: what to install.
    pub(super) async fn provide(&self, server: &Server) -> Result<Provided, Finding> {
        let Some(service) = self.project.service(&server.service) else {
            return Ok(Provided::Needless("it is no service any more".to_owned()));
        };
        match server.kind {
            ServerKind::Redis if !self.needs_redis => Ok(Provided::Needless(
                "no topic leaves the process; --expose TOPIC publishes one there, too".to_owned(),
            )),
            ServerKind::Player => self.player(server, service).await,
            ServerKind::S3Client => Ok(Provided::Needless(
                "the built-in S3 server has the buckets from the start; another must have them already"
                    .to_owned(),
            )),
            ServerKind::Redis => self.redis(server, service).await,
            ServerKind::S3 => match self.is_there(server, None).await? {
                true => Ok(answers(s3::settings(server, service))),
                false => self.store(server, service),
            },
            ServerKind::Rtsp => match self.is_there(server, None).await? {
                true => Ok(answers(rtsp::settings(server, service))),
                false => self.rtsp(server, service),
            },
        }
    }

    /// Whether the server answers; with a password, that it takes it.
    ///
    /// # Errors
    /// Something else is at its port, or it has another password.
    async fn is_there(&self, server: &Server, password: Option<&str>) -> Result<bool, Finding> {
        let wrong = |text: String| {
            Err(Finding::error("port-in-use", server.service.place.clone(), text)
                .with_help("stop that program or publish another port: ports: [\"16379:6379\"]"))
        };
        let port = server.port;
        match answer(port, server.kind, password).await {
            Answer::Server => Ok(true),
            Answer::Nobody => Ok(false),
            Answer::Refuses => wrong(format!(
                "the server at port {port} of this machine does not take the password of this one"
            )),
            Answer::Other => wrong(format!("what answers at port {port} of this machine is no such server")),
        }
    }

    async fn redis(&self, server: &Server, service: &Service) -> Result<Provided, Finding> {
        let settings = Settings::of(service);
        if self.is_there(server, settings.password()).await? {
            let neighbours = neighbours::writers(server.port, settings.password(), self.graph).await;
            return Ok(Provided::Answers { not_told: settings.not_told(), neighbours });
        }
        let Some(program) = self.find("redis-server") else {
            return Err(missing(
                server,
                "redis-server is not on the PATH",
                "install it (apt-get install redis-server), or name another by MSIGHT_REDIS_MESSAGE_BROKER_HOST",
            ));
        };
        let job = self.job(server, service, program, vec!["-".to_owned()]);
        let input = Some(settings.configuration(server.port));
        Ok(Provided::Started(Box::new(Job { input, ..job }), settings.left_out().to_vec()))
    }

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

fn answers(not_told: Vec<String>) -> Provided {
    Provided::Answers { not_told, neighbours: Vec::new() }
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
