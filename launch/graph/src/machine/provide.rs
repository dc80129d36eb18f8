//! The servers of a graph: used where they answer, else started.

use msight_compose::{Finding, Service};
use msight_supervise::Job;

use super::answer::{Answer, answer};
use super::provider::{Provided, Provider, missing};
use super::redis::Settings;
use super::{neighbours, rtsp, s3};
use crate::server::{Server, ServerKind};

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
}

fn answers(not_told: Vec<String>) -> Provided {
    Provided::Answers { not_told, neighbours: Vec::new() }
}
