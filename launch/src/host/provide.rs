//! The servers of a graph: used where they answer, else started.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::answer::{Answer, answer};
use super::names::Names;
use super::volumes;
use crate::compose::{Finding, Place, Project, Restart, Service};
use crate::graph::{Graph, Server, ServerKind};
use crate::supervise::{Job, Readiness};

/// How a server is provided for.
pub(super) enum Provided {
    /// Something answers already.
    Answers,
    /// It is started.
    Started(Box<Job>),
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
            ServerKind::Redis | ServerKind::S3 | ServerKind::Rtsp => {
                match answer(server.port, server.kind).await {
                    Answer::Server => Ok(Provided::Answers),
                    Answer::Other => {
                        let text =
                            format!("what answers at port {} of this machine is no such server", server.port);
                        Err(Finding::error(server.service.place.clone(), text)
                            .with_help("stop that program, or publish another port: ports: [\"16379:6379\"]"))
                    }
                    Answer::Nobody => self.start_one(server, service),
                }
            }
        }
    }

    /// A server where nothing answers.
    fn start_one(&self, server: &Server, service: &Service) -> Result<Provided, Finding> {
        let missing = |what: &str, help: &str| {
            let text = format!("nothing answers at port {} of this machine, and {what}", server.port);
            Err(Finding::error(server.service.place.clone(), text).with_help(help))
        };
        match server.kind {
            ServerKind::Redis => match self.find("redis-server") {
                Some(program) => Ok(self.start(server, service, program, redis_arguments(server.port))),
                None => missing(
                    "redis-server is not on the PATH",
                    "install it (apt-get install redis-server), or name another by MSIGHT_REDIS_MESSAGE_BROKER_HOST",
                ),
            },
            ServerKind::Rtsp => match (self.find("mediamtx"), self.played(server)) {
                (Some(program), _) => Ok(self.start(server, service, program, Vec::new())),
                (None, Some(file)) => self.camera(server, service, &file),
                (None, None) => missing(
                    "mediamtx is not on the PATH",
                    "install MediaMTX (https://mediamtx.org), or start an RTSP server of your own at that port",
                ),
            },
            _ => self.store(server, service),
        }
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        self.path.iter().map(|folder| folder.join(program)).find(|file| file.is_file())
    }

    /// A job for a server, ready as soon as its port takes connections.
    fn start(&self, server: &Server, service: &Service, program: PathBuf, args: Vec<String>) -> Provided {
        let job = Job {
            readiness: Readiness::Port(server.port),
            restart: Restart::Always,
            folder: self.project.folder.clone(),
            ..Job::new(service.name.value.clone(), program, args)
        };
        Provided::Started(Box::new(job))
    }

    /// The built-in S3 server over the folder of the service's volume, else over one in the folder of the project.
    fn store(&self, server: &Server, service: &Service) -> Result<Provided, Finding> {
        let own = own_program(&server.service.place)?;
        let volume =
            service.volumes.iter().find_map(|volume| volumes::outside(&volume.target, &service.volumes));
        let folder = volume.unwrap_or_else(|| self.project.folder.join(format!("{}-data", *service.name)));
        let mut args = vec!["store".to_owned(), "--listen".to_owned(), loopback(server.port).to_string()];
        args.extend(["--folder".to_owned(), folder.to_string_lossy().into_owned()]);
        for bucket in self.buckets() {
            if !s3s::path::check_bucket_name(&bucket) {
                let text = format!("{bucket:?} is no name of a bucket that this server can have");
                return Err(Finding::error(server.service.place.clone(), text)
                    .with_help("3 to 63 small letters, digits, dots and hyphens"));
            }
            args.extend(["--bucket".to_owned(), bucket]);
        }
        let Provided::Started(mut job) = self.start(server, service, own, args) else {
            return Ok(Provided::Answers);
        };
        let keys = [
            ("MINIO_ROOT_USER", "MSIGHT_STORE_ACCESS_KEY"),
            ("MINIO_ROOT_PASSWORD", "MSIGHT_STORE_SECRET_KEY"),
        ];
        job.environment = keys
            .iter()
            .filter_map(|(theirs, ours)| {
                Some(((*ours).to_owned(), service.environment.get(theirs)?.value.clone()))
            })
            .collect();
        Ok(Provided::Started(job))
    }

    /// The buckets that the nodes of the graph name.
    fn buckets(&self) -> BTreeSet<String> {
        let named = self.graph.nodes.iter().filter_map(|node| {
            let args: Vec<String> = node.args.iter().map(|word| word.value.clone()).collect();
            node.program.description().value_of("--bucket-name", &args, &node.environment)
        });
        named.collect()
    }

    /// The service that sends a file to this RTSP server in the graph, with the file and the path of its stream.
    fn played(&self, server: &Server) -> Option<Played> {
        let players = self.graph.servers.iter().filter(|one| one.kind == ServerKind::Player);
        let played = players.filter_map(|player| Played::of(self.project.service(&player.service)?));
        let mut here = played.filter(|played| {
            let address = self.names.in_argument(&played.address);
            let port = url::Url::parse(&address).ok().map(|url| url.port().unwrap_or(554));
            port == Some(server.port)
        });
        here.next()
    }

    /// The built-in camera, which shows the file itself.
    fn camera(&self, server: &Server, service: &Service, played: &Played) -> Result<Provided, Finding> {
        if !played.file.is_file() {
            let text = format!("{} is no file, and should be shown here", played.file.display());
            return Err(Finding::error(server.service.place.clone(), text)
                .with_help("put an H.264 video in an MP4 file there"));
        }
        let args = ["camera", "--listen"].map(str::to_owned).into_iter();
        let args = args.chain([loopback(server.port).to_string(), "--path".to_owned(), played.path.clone()]);
        let args = args.chain(["--stream".to_owned(), played.file.to_string_lossy().into_owned()]);
        Ok(self.start(server, service, own_program(&server.service.place)?, args.collect()))
    }

    /// ffmpeg, where an RTSP server takes its stream.
    async fn player(&self, server: &Server, service: &Service) -> Result<Provided, Finding> {
        let rtsp = self.graph.servers.iter().find(|one| one.kind == ServerKind::Rtsp);
        if let Some(rtsp) = rtsp
            && Played::of(service).is_some()
            && self.find("mediamtx").is_none()
            && answer(rtsp.port, rtsp.kind).await == Answer::Nobody
        {
            return Ok(Provided::Needless(format!(
                "the built-in camera shows its file in place of {}",
                *rtsp.service
            )));
        }
        let Some(program) = self.find("ffmpeg") else {
            let text = "ffmpeg is not on the PATH".to_owned();
            return Err(
                Finding::error(server.service.place.clone(), text).with_help("apt-get install ffmpeg")
            );
        };
        let words = service.command_line().map(|word| word.value.as_str());
        let words = words.filter(|word| Path::new(word).file_name() != Some("ffmpeg".as_ref()));
        let args =
            words.map(|word| self.names.in_argument(&volumes::in_argument(word, &service.volumes))).collect();
        let job = Job {
            restart: service.restart,
            folder: self.project.folder.clone(),
            environment: BTreeMap::new(),
            ..Job::new(service.name.value.clone(), program, args)
        };
        Ok(Provided::Started(Box::new(job)))
    }
}

/// A file that a player sends.
struct Played {
    file: PathBuf,
    /// The whole address, as the file has it.
    address: String,
    path: String,
}

impl Played {
    /// From ffmpeg's command line: the first input, and the output.
    fn of(service: &Service) -> Option<Self> {
        let words: Vec<&str> = service.command_line().map(|word| word.value.as_str()).collect();
        let input = words.windows(2).find(|pair| pair[0] == "-i")?[1];
        let address = (*words.last()?).to_owned();
        let url = url::Url::parse(&address).ok().filter(|url| url.scheme() == "rtsp")?;
        let file = volumes::outside(input, &service.volumes)?;
        Some(Self { file, path: url.path().trim_matches('/').to_owned(), address })
    }
}

/// Where this program is.
pub(super) fn own_program(place: &Place) -> Result<PathBuf, Finding> {
    let said =
        |error| Finding::error(place.clone(), format!("this program does not know where it is: {error}"));
    std::env::current_exe().map_err(said)
}

fn redis_arguments(port: u16) -> Vec<String> {
    // Segments pass as messages of megabytes: the limit of a stock server, 32 MB in all, is low for a slow reader.
    let port = port.to_string();
    let args = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let limits = ["--client-output-buffer-limit", "pubsub 256mb 64mb 60"];
    args.iter().chain(&limits).map(|word| (*word).to_owned()).collect()
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{BUILT_IN, Catalog};
    use crate::compose::{Options, Source, read};
    use crate::graph::{self, Surroundings};

    #[tokio::test]
    async fn buckets_are_found_in_any_spelling() {
        let text = "services:
  a: { image: x, entrypoint: [msight_launch_aws_video_pusher], command: '-n a -st s --bucket one' }
  b: { image: x, entrypoint: [msight_launch_aws_video_pusher], command: '-n b -st s --bucket-name=two' }
  c: { image: x, entrypoint: [msight_launch_aws_sequence_pusher], command: '-n c -st s --buck=three' }";
        let source = Source::Text { name: "compose.yaml".into(), text: text.into() };
        let project = read(&[source], &Options::default()).project;
        let catalog = Catalog::new(BUILT_IN, None);
        let (graph, _) = graph::read(&project, &catalog, &Surroundings::default()).await;
        let names = Names::of(&project);
        let provider =
            Provider { project: &project, graph: &graph, names: &names, path: &[], needs_redis: true };
        let buckets: Vec<String> = provider.buckets().into_iter().collect();
        assert_eq!(buckets, ["one", "three", "two"]);
    }
}
