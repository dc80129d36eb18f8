//! Provides the RTSP server of a graph and its player: MediaMTX and ffmpeg, or the built-in camera in place of both.

use std::path::{Path, PathBuf};

use super::answer::{Answer, answer};
use super::provider::{Provider, ServerPlan, another_port, missing, own_program_for, variables};
use super::stream::{Described, StreamProperties, describe};
use super::volumes;
use crate::server::{Server, ServerKind, camera_path, values_of, words_of};
use msight_compose::{Finding, Service};
use msight_supervise::Job;

impl Provider<'_> {
    /// MediaMTX, else the built-in camera.
    pub(super) fn rtsp(&self, server: &Server, service: &Service) -> Result<ServerPlan, Finding> {
        if server.is_own {
            return self.own_camera(server, service);
        }
        match (self.find("mediamtx"), self.played(server)) {
            (Some(program), _) => Ok(self.mediamtx(server, service, program)),
            (None, Some(file)) => self.camera(server, service, &file),
            (None, None) => Err(missing(
                server,
                "mediamtx is not on the PATH",
                "install MediaMTX (https://mediamtx.org), or start an RTSP server of your own at that port",
            )),
        }
    }

    /// Checks that a running server streams what the file says, as far as both can be known.
    ///
    /// # Errors
    /// It is the camera of something else.
    pub(super) async fn check_stream(
        &self,
        server: &Server,
        service: &Service,
        program: &str,
    ) -> Result<(), Finding> {
        let Some((path, expected)) = self.expected_stream(server, service) else { return Ok(()) };
        let problem = match describe(server.address(), &path).await {
            // A player sends its stream only after the start.
            Described::NotFound if server.is_own => "has no stream at this path".to_owned(),
            Described::Stream(found) if !found.agrees_with(&expected) => {
                format!("streams {found} there, not {expected}")
            }
            _ => return Ok(()),
        };
        let text = format!(
            "service `{}` is to stream at rtsp://{}/{path}, but the {program} that is running there {problem}",
            *service.name,
            server.address()
        );
        Err(Finding::error("wrong-stream", server.service.place.clone(), text)
            .with_help(format!("stop that server, or publish {}", another_port(server))))
    }

    /// The path of a server's stream, and the properties of its video.
    fn expected_stream(&self, server: &Server, service: &Service) -> Option<(String, StreamProperties)> {
        if !server.is_own {
            let played = self.played(server).filter(|played| played.is_copied)?;
            return Some((played.path, StreamProperties::of_file(&played.file)));
        }
        let words = service.command_line().map(|word| volumes::in_argument(word, &service.volumes));
        let words: Vec<String> = words.collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let properties = match values_of(&words, "--stream").last() {
            Some(file) => StreamProperties::of_file(&self.project.folder.join(file)),
            None => StreamProperties::of_test_picture(),
        };
        Some((camera_path(&words), properties))
    }

    /// MediaMTX with the settings of the file, except its address.
    fn mediamtx(&self, server: &Server, service: &Service, program: PathBuf) -> ServerPlan {
        // Without arguments it reads this file in its working directory.
        let usual = || volumes::outside("/mediamtx.yml", &service.volumes).filter(|file| file.is_file());
        let words = service.command_line().map(|word| volumes::in_argument(word, &service.volumes));
        let mut args: Vec<String> =
            words.filter(|word| Path::new(word).file_name() != Some("mediamtx".as_ref())).collect();
        if args.is_empty() {
            args.extend(usual().map(|file| file.to_string_lossy().into_owned()));
        }
        let mut job = self.job(server, service, program, args);
        let variables = service.environment.iter();
        job.environment = variables.map(|(name, value)| (name.to_owned(), value.value.clone())).collect();
        job.environment.insert("MTX_RTSPADDRESS".to_owned(), server.address().to_string());
        ServerPlan::Started(Box::new(job), Vec::new())
    }

    /// The file and stream path of the service that plays a file to this RTSP server.
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

    /// The built-in camera, which streams the file itself.
    fn camera(&self, server: &Server, service: &Service, played: &Played) -> Result<ServerPlan, Finding> {
        if !played.file.is_file() {
            let text = format!("no video file {} to stream", played.file.display());
            return Err(Finding::error("missing-file", server.service.place.clone(), text)
                .with_help("put an MP4 file with H.264 video there"));
        }
        let args = ["camera", "--listen"].map(str::to_owned).into_iter();
        let args = args.chain([server.address().to_string(), "--path".to_owned(), played.path.clone()]);
        let args = args.chain(["--stream".to_owned(), played.file.to_string_lossy().into_owned()]);
        let job = self.job(server, service, own_program_for(&server.service.place)?, args.collect());
        Ok(ServerPlan::Started(Box::new(job), settings(server, service)))
    }

    /// `msight camera` with the arguments of the file, but only for this machine.
    fn own_camera(&self, server: &Server, service: &Service) -> Result<ServerPlan, Finding> {
        let mut args = vec!["camera".to_owned(), "--listen".to_owned(), server.address().to_string()];
        let words = service.command_line().map(|word| volumes::in_argument(word, &service.volumes));
        let mut words = words.skip(2);
        while let Some(word) = words.next() {
            match word.strip_prefix("--listen") {
                Some("") => drop(words.next()),
                Some(attached) if attached.starts_with('=') => {}
                _ => args.push(word),
            }
        }
        let job = self.job(server, service, own_program_for(&server.service.place)?, args);
        Ok(ServerPlan::Started(Box::new(job), Vec::new()))
    }

    /// ffmpeg, if there is an RTSP server for its stream.
    pub(super) async fn player(&self, server: &Server, service: &Service) -> Result<ServerPlan, Finding> {
        let rtsp = self.graph.servers.iter().find(|one| one.kind == ServerKind::Rtsp);
        if let (Some(rtsp), Some(played)) = (rtsp, Played::of(service)) {
            let answer = answer(rtsp.address(), rtsp.kind, None).await.0;
            if answer == Answer::NoServer && self.find("mediamtx").is_none() {
                return Ok(ServerPlan::NotNeeded(format!(
                    "the built-in camera streams its file in place of {}",
                    *rtsp.service
                )));
            }
            // A path has one publisher.
            if answer == Answer::Server
                && matches!(describe(rtsp.address(), &played.path).await, Described::Stream(_))
            {
                return Ok(ServerPlan::NotNeeded(format!(
                    "the RTSP server at {} already has the stream /{}",
                    rtsp.address(),
                    played.path
                )));
            }
        }
        let Some(program) = self.find("ffmpeg") else {
            let text = "ffmpeg is not on the PATH".to_owned();
            return Err(Finding::error("missing-program", server.service.place.clone(), text)
                .with_help("apt-get install ffmpeg"));
        };
        let words = service.command_line().map(|word| word.value.as_str());
        let words = words.filter(|word| Path::new(word).file_name() != Some("ffmpeg".as_ref()));
        let args =
            words.map(|word| self.names.in_argument(&volumes::in_argument(word, &service.volumes))).collect();
        let environment =
            service.environment.iter().map(|(name, value)| (name.to_owned(), value.value.clone())).collect();
        let job = Job {
            restart: service.restart,
            folder: self.project.folder.clone(),
            environment: self.names.in_environment(&environment),
            ..Job::new(service.name.value.clone(), program, args)
        };
        Ok(ServerPlan::Started(Box::new(job), Vec::new()))
    }
}

/// A file that a player streams.
struct Played {
    file: PathBuf,
    /// The whole URL, as in the compose file.
    address: String,
    path: String,
    /// Whether the video is sent as it is in the file.
    is_copied: bool,
}

impl Played {
    /// Reads ffmpeg's command line: the first input, and the output.
    fn of(service: &Service) -> Option<Self> {
        let words = words_of(service);
        let input = words.windows(2).find(|pair| pair[0] == "-i")?[1];
        let address = (*words.last()?).to_owned();
        let url = url::Url::parse(&address).ok().filter(|url| url.scheme() == "rtsp")?;
        let file = volumes::outside(input, &service.volumes)?;
        let codec = |pair: &&[&str]| matches!(pair[0], "-c" | "-codec" | "-c:v" | "-codec:v" | "-vcodec");
        let is_copied = words.windows(2).rev().find(codec).is_some_and(|pair| pair[1] == "copy");
        Some(Self { file, path: url.path().trim_matches('/').to_owned(), address, is_copied })
    }
}

/// The names of the server's settings in the file, without its port.
pub(super) fn settings(server: &Server, service: &Service) -> Vec<String> {
    if server.is_own {
        return Vec::new();
    }
    let command = service.command_line().next().map(|_| "its command".to_owned());
    command.into_iter().chain(variables(service, "MTX_", &["MTX_PROTOCOLS", "MTX_RTSPTRANSPORTS"])).collect()
}
