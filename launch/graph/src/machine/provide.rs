//! Provides the servers of a graph: running ones are used, others are started.

use msight_compose::{Finding, Service};
use msight_supervise::Job;

use super::answer::{Answer, answer};
use super::provider::{Provider, ServerPlan, another_port, missing};
use super::redis::Settings;
use super::{neighbours, rtsp, s3};
use crate::server::{Server, ServerKind};

impl Provider<'_> {
    /// Provides one server.
    ///
    /// # Errors
    /// The server is not running and cannot be started, with what to install.
    pub(super) async fn provide(&self, server: &Server) -> Result<ServerPlan, Finding> {
        let Some(service) = self.project.service(&server.service) else {
            return Ok(ServerPlan::NotNeeded("the service does not exist".to_owned()));
        };
        match server.kind {
            ServerKind::Redis if !self.needs_redis => Ok(ServerPlan::NotNeeded(
                "no topic leaves the process; pass --expose TOPIC to publish one on Redis".to_owned(),
            )),
            ServerKind::Player => self.player(server, service).await,
            ServerKind::S3Client => Ok(ServerPlan::NotNeeded(
                "the built-in S3 server creates the buckets itself; another S3 server must have them already"
                    .to_owned(),
            )),
            ServerKind::Redis => self.redis(server, service).await,
            ServerKind::S3 => match self.running(server, None).await? {
                Some(program) => Ok(answers(program, s3::settings(server, service))),
                None => self.store(server, service),
            },
            ServerKind::Rtsp => match self.running(server, None).await? {
                Some(program) => {
                    self.check_stream(server, service, &program).await?;
                    Ok(answers(program, rtsp::settings(server, service)))
                }
                None => self.rtsp(server, service),
            },
        }
    }

    /// The program of the server if it is running and accepts the password.
    ///
    /// # Errors
    /// Another program uses its port, or the password differs.
    async fn running(&self, server: &Server, password: Option<&str>) -> Result<Option<String>, Finding> {
        let wrong = |text: String| {
            Err(Finding::error("port-in-use", server.service.place.clone(), text)
                .with_help(format!("stop that program, or publish {}", another_port(server))))
        };
        let address = server.address();
        match answer(address, server.kind, password).await {
            (Answer::Server, program) => Ok(Some(program)),
            (Answer::NoServer, _) => Ok(None),
            (Answer::Refuses, program) => {
                wrong(format!("the {program} at {address} rejects the password of this service"))
            }
            (Answer::Other, _) => wrong(format!("{address} is used by another kind of server")),
        }
    }

    async fn redis(&self, server: &Server, service: &Service) -> Result<ServerPlan, Finding> {
        let settings = Settings::of(service);
        if let Some(program) = self.running(server, settings.password()).await? {
            let neighbours = neighbours::writers(server.address(), settings.password(), self.graph).await;
            return Ok(ServerPlan::Answers { program, not_told: settings.not_told(), neighbours });
        }
        let Some(program) = self.find("redis-server") else {
            return Err(missing(
                server,
                "redis-server is not on the PATH",
                "install it (apt-get install redis-server), or set MSIGHT_REDIS_MESSAGE_BROKER_HOST to another server",
            ));
        };
        let job = self.job(server, service, program, vec!["-".to_owned()]);
        let input = Some(settings.configuration(server.address()));
        Ok(ServerPlan::Started(Box::new(Job { input, ..job }), settings.left_out().to_vec()))
    }
}

fn answers(program: String, not_told: Vec<String>) -> ServerPlan {
    ServerPlan::Answers { program, not_told, neighbours: Vec::new() }
}
