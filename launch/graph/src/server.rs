//! Services that are servers for the nodes, recognised by their images, or by `msight store` and `msight camera`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use msight_compose::{Located, Port, Service};

/// A server of a graph.
#[derive(Clone, Debug)]
pub struct Server {
    /// The name of its service.
    pub service: Located<String>,
    /// What kind of server it is.
    pub kind: ServerKind,
    /// Its port on this machine.
    pub port: u16,
    /// Its address on this machine: 127.0.0.1, unless the published port names another one.
    pub host: IpAddr,
    /// Its port in its container, which other containers use.
    pub own_port: u16,
    /// Whether it is `msight store` or `msight camera`, by its command line.
    pub is_own: bool,
}

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// Redis or a compatible server.
    Redis,
    /// A server with the S3 protocol.
    S3,
    /// A server that relays RTSP streams.
    Rtsp,
    /// A program that publishes a stream to an RTSP server, such as ffmpeg.
    Player,
    /// A program that prepares an S3 server and exits.
    S3Client,
}

/// A node that uses a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerUse {
    /// The index of the node.
    pub(crate) node: usize,
    /// The server.
    pub(crate) server: UsedServer,
    /// The bucket that the node stores in, for an S3 server.
    pub(crate) bucket: Option<String>,
}

/// A server that a node names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UsedServer {
    /// A service of the graph, by its index among the servers.
    Service(usize),
    /// A server that is not a service of the graph.
    Outside {
        /// Its kind.
        kind: ServerKind,
        /// Its host, with the port if the node names one.
        address: String,
    },
}

/// Parts of image names, with the port and kind of the server. The first match counts.
const KNOWN: [(&str, u16, ServerKind); 18] = [
    ("redis", 6379, ServerKind::Redis),
    ("valkey", 6379, ServerKind::Redis),
    ("keydb", 6379, ServerKind::Redis),
    ("dragonfly", 6379, ServerKind::Redis),
    ("minio", 9000, ServerKind::S3),
    ("rustfs", 9000, ServerKind::S3),
    ("localstack", 4566, ServerKind::S3),
    ("garage", 3900, ServerKind::S3),
    ("seaweedfs", 8333, ServerKind::S3),
    ("s3proxy", 80, ServerKind::S3),
    ("moto", 5000, ServerKind::S3),
    ("adobe/s3mock", 9090, ServerKind::S3),
    ("mediamtx", 8554, ServerKind::Rtsp),
    ("rtsp-simple-server", 8554, ServerKind::Rtsp),
    ("rtsp-server", 8554, ServerKind::Rtsp),
    ("ffmpeg", 0, ServerKind::Player),
    ("/mc", 0, ServerKind::S3Client),
    ("aws-cli", 0, ServerKind::S3Client),
];

/// Parts of the names of images that match [`KNOWN`] and are other programs.
const OTHERS: [&str; 4] = ["exporter", "insight", "commander", "console"];

impl Server {
    /// The server that a service is, if it is one.
    pub(crate) fn of(service: &Service) -> Option<Self> {
        let own = own(service);
        let (default_port, kind) = own.or_else(|| kind(service.image.as_deref()?))?;
        let own_port = own_port(kind, service).filter(|_| own.is_none()).unwrap_or(default_port);
        // With host networking the server's own port counts.
        let on_host = is_on_host_network(service);
        // The last match, as it comes from the last file.
        let published = service.ports.iter().filter(|_| !on_host).rfind(|one| *one.target == own_port);
        let port = published.and_then(|one| one.published).unwrap_or(own_port);
        let host = published.map_or(LOOPBACK, host);
        Some(Self { service: service.name.clone(), kind, port, host, own_port, is_own: own.is_some() })
    }

    /// Its address and port on this machine.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}

/// The address of servers on this machine.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The address on this machine that a published port is bound to. Docker binds all of them if the file names none; the
/// servers of [`machine`](crate::machine) are for this machine only.
pub(crate) fn host(port: &Port) -> IpAddr {
    port.host.filter(|host| !host.is_unspecified()).unwrap_or(LOOPBACK)
}

/// The port and kind of `msight store` or `msight camera`, from the service's command line.
fn own(service: &Service) -> Option<(u16, ServerKind)> {
    let words = words_of(service);
    let (program, rest) = words.split_first()?;
    if Path::new(program).file_name()? != "msight" {
        return None;
    }
    let (default_port, kind) = match *rest.first()? {
        "store" => (9000, ServerKind::S3),
        "camera" => (8554, ServerKind::Rtsp),
        _ => return None,
    };
    let port =
        values_of(&words, "--listen").last().and_then(|address| address.rsplit(':').next()?.parse().ok());
    Some((port.unwrap_or(default_port), kind))
}

/// The path of the stream of `msight camera` with these arguments, without slashes at its ends.
pub(crate) fn camera_path(words: &[&str]) -> String {
    values_of(words, "--path").last().map_or("live.stream", |path| path.trim_matches('/')).to_owned()
}

/// The words of a service's command line.
pub(crate) fn words_of(service: &Service) -> Vec<&str> {
    service.command_line().map(|word| word.value.as_str()).collect()
}

/// Whether a service uses the network of the host.
pub(crate) fn is_on_host_network(service: &Service) -> bool {
    service.network_mode.as_ref().is_some_and(|mode| mode.as_str() == "host")
}

/// The values of a flag in a command line, as `--flag value` or `--flag=value`.
pub(crate) fn values_of<'a>(words: &[&'a str], flag: &str) -> Vec<&'a str> {
    let next = words.iter().skip(1).map(Some).chain([None]);
    let values = words.iter().zip(next).filter_map(|(word, next)| match word.strip_prefix(flag)? {
        "" => next.copied(),
        rest => rest.strip_prefix('='),
    });
    values.collect()
}

/// The port in the server's own command line: `--port 6380`, or MinIO's `--address :9100`.
fn own_port(kind: ServerKind, service: &Service) -> Option<u16> {
    let flag = match kind {
        ServerKind::Redis => "--port",
        ServerKind::S3 => "--address",
        ServerKind::Rtsp | ServerKind::Player | ServerKind::S3Client => return None,
    };
    let words = words_of(service);
    values_of(&words, flag).last()?.rsplit(':').next()?.parse().ok()
}

fn kind(image: &str) -> Option<(u16, ServerKind)> {
    let image = image.split('@').next()?.to_ascii_lowercase();
    // A registry may have a port; a tag has no slash.
    let name = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => &image,
    };
    // The image's name counts more than its registry path; `minio/mc` is a client.
    let last = name.rsplit('/').next()?;
    if OTHERS.iter().any(|other| last.contains(other)) {
        return None;
    }
    let known = |text: &str| {
        KNOWN.iter().find(|(part, ..)| text.contains(part)).map(|(_, port, kind)| (*port, *kind))
    };
    known(&format!("/{last}")).filter(|_| last != "mc" || name.ends_with("/mc")).or_else(|| known(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use msight_compose::{Options, Source, read};

    #[test]
    fn the_published_port_of_the_command_counts() {
        let table = [
            ("image: redis", 6379),
            ("image: redis, network_mode: host, command: redis-server --port 6380", 6380),
            ("image: redis, command: --port 7000, ports: ['6400:6379', '6401:7000']", 6401),
            (
                "image: minio/minio, command: server /data --address=0.0.0.0:9100 --console-address :9001",
                9100,
            ),
            ("image: redis, command: redis-server --port", 6379),
        ];
        for (service, port) in table {
            let text = format!("services: {{ server: {{ {service} }} }}");
            let source = Source::Text { name: "compose.yaml".into(), text };
            let project = read(&[source], &Options::default()).project;
            assert_eq!(Server::of(&project.services[0]).map(|server| server.port), Some(port), "{service}");
        }
    }

    #[test]
    fn servers_are_recognised_by_image() {
        let table = [
            ("redis", Some(ServerKind::Redis)),
            ("redis:7-alpine", Some(ServerKind::Redis)),
            ("registry.example:5000/valkey/valkey:8@sha256:00", Some(ServerKind::Redis)),
            ("oliver006/redis_exporter", None),
            ("minio/minio:latest", Some(ServerKind::S3)),
            ("quay.io/minio/mc", Some(ServerKind::S3Client)),
            ("bluenviron/mediamtx:latest", Some(ServerKind::Rtsp)),
            ("jrottenberg/ffmpeg:4.4-alpine", Some(ServerKind::Player)),
            ("msight", None),
            ("michigan/msight-core:2", None),
        ];
        for (image, expected) in table {
            assert_eq!(kind(image).map(|(_, kind)| kind), expected, "{image}");
        }
    }

    #[test]
    fn the_port_of_a_later_file_counts() {
        let file = |port: &str| {
            let text = format!("services: {{ redis: {{ image: redis, ports: ['{port}:6379'] }} }}");
            Source::Text { name: "compose.yaml".into(), text }
        };
        let project = read(&[file("6379"), file("16379")], &Options::default()).project;
        assert_eq!(Server::of(&project.services[0]).map(|server| server.port), Some(16379));
    }

    #[test]
    fn own_servers_are_recognised_by_command() {
        let table = [
            ("entrypoint: [msight, store]", Some((9000, ServerKind::S3))),
            ("command: /usr/bin/msight store --listen=0.0.0.0:9001", Some((9001, ServerKind::S3))),
            (
                "{ entrypoint: [msight], command: [camera, --listen, '0.0.0.0:554'] }",
                Some((554, ServerKind::Rtsp)),
            ),
            ("command: msight up", None),
            ("command: msight", None),
            ("command: sight store", None),
        ];
        for (words, expected) in table {
            let words = words.trim_matches(['{', '}']);
            let text = format!("services: {{ own: {{ image: msight-rs, {words} }} }}");
            let project =
                read(&[Source::Text { name: "compose.yaml".into(), text }], &Options::default()).project;
            let server = Server::of(&project.services[0]);
            assert!(server.as_ref().is_none_or(|server| server.is_own));
            assert_eq!(server.map(|server| (server.port, server.kind)), expected, "{words}");
        }
    }
}
