//! Resolves service names: in containers they are hosts, on this machine the addresses of published ports, else 127.0.0.1.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use msight_compose::{Project, Service};

use crate::server::{self, LOOPBACK};

/// The host names of services, with the addresses that their ports are published at.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, BTreeMap<u16, SocketAddr>>);

impl Names {
    /// The names of all services of a project, active or not.
    pub(super) fn of(project: &Project) -> Self {
        let mut names = BTreeMap::new();
        for service in &project.services {
            let aliases = service.aliases.iter().chain(&service.container_name);
            for name in aliases.chain([&service.name]) {
                names.insert(name.value.clone(), published(service));
            }
        }
        names.insert("host.docker.internal".to_owned(), BTreeMap::new());
        Self(names)
    }

    /// Replaces service names in URLs and addresses of an argument: `rtsp://camera:8554/live` and `camera:8554`. A
    /// word that is only a name stays: it may be the name of a node, a topic or a sensor.
    pub(super) fn in_argument(&self, text: &str) -> String {
        if let Some((before, rest)) = text.split_once("://") {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, after) = rest.split_at(end);
            // The part before the last `@` is the user.
            let at = authority.rfind('@').map_or(0, |at| at + 1);
            let (user, hosts) = authority.split_at(at);
            let scheme = before.rsplit(['=', ' ']).next().unwrap_or(before);
            let hosts: Vec<String> =
                hosts.split(',').map(|host| self.address(host, usual_port(scheme))).collect();
            return format!("{before}://{user}{}{after}", hosts.join(","));
        }
        match text.split_once(':') {
            Some((host, port)) if self.0.contains_key(host) && port.parse::<u16>().is_ok() => {
                self.address(text, None)
            }
            _ => text.to_owned(),
        }
    }

    /// Resolves `host:port`, or `host` with the default port.
    fn address(&self, text: &str, usual: Option<u16>) -> String {
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        let Some(published) = self.0.get(host) else { return text.to_owned() };
        match port {
            None => {
                let unchanged = usual.map(|port| SocketAddr::new(LOOPBACK, port));
                let moved =
                    usual.and_then(|port| published.get(&port)).filter(|moved| Some(**moved) != unchanged);
                moved.map_or_else(|| LOOPBACK.to_string(), ToString::to_string)
            }
            Some(port) => {
                let moved = port.parse().ok().and_then(|port: u16| published.get(&port));
                moved.map_or_else(|| format!("{LOOPBACK}:{port}"), ToString::to_string)
            }
        }
    }

    /// Replaces service names in variables: in URLs and addresses, and in variables whose name ends in HOST. The
    /// variable whose name ends in PORT then gets the published port.
    pub(super) fn in_environment(&self, variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut replaced: BTreeMap<String, String> =
            variables.iter().map(|(name, value)| (name.clone(), self.in_argument(value))).collect();
        for (name, value) in variables {
            let Some(stem) = name.strip_suffix("HOST") else { continue };
            let Some(published) = self.0.get(value) else { continue };
            let port = format!("{stem}PORT");
            let moved = match variables.get(&port) {
                Some(port) => port.parse().ok().and_then(|port: u16| published.get(&port)),
                // The default port is meant: usually the only port of the server.
                None => published.values().next().filter(|_| published.len() == 1),
            };
            replaced.insert(name.clone(), moved.map_or(LOOPBACK, SocketAddr::ip).to_string());
            if let Some(moved) = moved {
                replaced.insert(port, moved.port().to_string());
            }
        }
        replaced
    }
}

/// The default port of a URL.
fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "rtsp" => Some(554),
        "http" => Some(80),
        "https" => Some(443),
        "redis" | "rediss" => Some(6379),
        _ => None,
    }
}

/// The ports of a service, with their published ports.
fn published(service: &Service) -> BTreeMap<u16, SocketAddr> {
    let published = service
        .ports
        .iter()
        .filter_map(|port| Some((*port.target, SocketAddr::new(server::host(port), port.published?))));
    published.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use msight_compose::{Options, Source, read};

    fn names() -> Names {
        let text = "services:
  redis: { image: redis, ports: ['6380:6379'] }
  rtsp-server: { image: mediamtx, container_name: cam }
  minio: { image: minio/minio, ports: ['9000'] }
  other: { image: redis, ports: ['127.0.0.5:6391:6379'] }";
        let source = Source::Text { name: "compose.yaml".into(), text: text.into() };
        Names::of(&read(&[source], &Options::default()).project)
    }

    #[test]
    fn addresses_lead_to_this_machine_and_names_stay() {
        let table = [
            ("rtsp://rtsp-server:8554/live.stream", "rtsp://127.0.0.1:8554/live.stream"),
            ("rtsp://user:redis@cam/redis", "rtsp://user:redis@127.0.0.1/redis"),
            ("redis://redis:6379/0", "redis://127.0.0.1:6380/0"),
            ("redis://redis/0", "redis://127.0.0.1:6380/0"),
            ("--redis-url=redis://redis", "--redis-url=redis://127.0.0.1:6380"),
            ("redis:6379", "127.0.0.1:6380"),
            ("redis://other/0", "redis://127.0.0.5:6391/0"),
            ("http://minio:9000", "http://127.0.0.1:9000"),
            ("http://minio.example:9000/minio", "http://minio.example:9000/minio"),
            ("redis", "redis"),
            ("redis:topic", "redis:topic"),
            ("a:b://", "a:b://"),
            ("", ""),
        ];
        for (written, expected) in table {
            assert_eq!(names().in_argument(written), expected);
        }
    }

    #[test]
    fn a_host_variable_is_replaced_and_its_port_with_it() {
        let given = [
            ("MSIGHT_REDIS_MESSAGE_BROKER_HOST", "redis"),
            ("MSIGHT_REDIS_MESSAGE_BROKER_PORT", "6379"),
            ("AWS_ENDPOINT_URL_S3", "http://minio:9000"),
            ("NAME", "redis"),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let replaced = names().in_environment(&given);
        assert_eq!(replaced["MSIGHT_REDIS_MESSAGE_BROKER_HOST"], "127.0.0.1");
        assert_eq!(replaced["MSIGHT_REDIS_MESSAGE_BROKER_PORT"], "6380");
        assert_eq!(replaced["AWS_ENDPOINT_URL_S3"], "http://127.0.0.1:9000");
        assert_eq!(replaced["NAME"], "redis");
        let other = [("MSIGHT_REDIS_MESSAGE_BROKER_HOST".to_owned(), "other".to_owned())].into();
        let other = names().in_environment(&other);
        assert_eq!(other["MSIGHT_REDIS_MESSAGE_BROKER_HOST"], "127.0.0.5");
        assert_eq!(other["MSIGHT_REDIS_MESSAGE_BROKER_PORT"], "6391");
        let alone = [("MSIGHT_REDIS_MESSAGE_BROKER_HOST".to_owned(), "redis".to_owned())].into();
        assert_eq!(names().in_environment(&alone)["MSIGHT_REDIS_MESSAGE_BROKER_PORT"], "6380");
    }
}
