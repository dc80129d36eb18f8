//! Compares the nodes of a graph with the graph's own servers: ports, stream paths, buckets and keys.

use std::collections::BTreeSet;

use msight_compose::{Finding, Place, Project, Service};
use msight_segment::{LegacyBucketName, check_aws_bucket_name, check_bucket_name};
use url::Url;

use crate::graph::{Graph, Node};
use crate::server::{Server, ServerKind, camera_path, values_of, words_of};
use crate::server_use;

/// The names of the keys of a server and of its clients, in their environments.
const STORE_KEYS: [(&str, &str); 2] =
    [("MSIGHT_STORE_ACCESS_KEY", "AWS_ACCESS_KEY_ID"), ("MSIGHT_STORE_SECRET_KEY", "AWS_SECRET_ACCESS_KEY")];
const MINIO_KEYS: [(&str, &str); 2] =
    [("MINIO_ROOT_USER", "AWS_ACCESS_KEY_ID"), ("MINIO_ROOT_PASSWORD", "AWS_SECRET_ACCESS_KEY")];

/// Reports what a node expects of a server of its graph and the server does not have.
pub(super) fn check(project: &Project, graph: &Graph, findings: &mut Vec<Finding>) {
    for node in graph.nodes.iter().filter(|node| !node.is_incomplete) {
        let ends = Ends { project, graph, node };
        if let Some((url, place)) = ends.endpoint()
            && let Some(server) = ends.server(&url, ServerKind::S3)
        {
            findings.extend(ends.port(server, &url, "--endpoint-url", &place));
            findings.extend(ends.bucket(server));
            findings.extend(ends.keys(server, &place));
        }
        let stream = node.value_of("--url").and_then(|url| Url::parse(&url).ok());
        if let Some(url) = stream.filter(|url| url.scheme() == "rtsp")
            && let Some(server) = ends.server(&url, ServerKind::Rtsp)
        {
            let place = node.place_of_value("--url", project);
            findings.extend(ends.port(server, &url, "--url", &place));
            findings.extend(ends.path(server, &url, &place));
        }
        // A name that the node itself refuses is reported already.
        let is_reported = |place: &Place| {
            let places = findings.iter().filter_map(|finding| finding.place.as_ref());
            places.map(|one| (one.line, &one.path)).any(|one| one == (place.line, &place.path))
        };
        let place = node.place_of_value("--bucket-name", project);
        if !is_reported(&place) {
            findings.extend(ends.bucket_name(place));
        }
    }
}

/// One node, and the servers around it.
struct Ends<'a> {
    project: &'a Project,
    graph: &'a Graph,
    node: &'a Node,
}

impl<'a> Ends<'a> {
    /// The URL of the node's S3 server, and its place.
    fn endpoint(&self) -> Option<(Url, Place)> {
        let (url, place) = server_use::endpoint(self.project, self.node)?;
        Some((Url::parse(&url).ok()?, place))
    }

    fn service(&self, name: &str) -> Option<&'a Service> {
        self.project.service(name)
    }

    /// The server of this kind that the URL's host names.
    fn server(&self, url: &Url, kind: ServerKind) -> Option<&'a Server> {
        let at = server_use::named(self.project, self.graph, url.host_str()?, kind)?;
        self.graph.servers.get(at)
    }

    /// An error for a built-in server, whose settings are all known; a warning for another one.
    fn finding(server: &Server, code: &'static str, place: Place, message: String) -> Finding {
        match server.is_own {
            true => Finding::error(code, place, message),
            false => Finding::warning(code, place, message),
        }
    }

    fn port(&self, server: &Server, url: &Url, flag: &str, place: &Place) -> Option<Finding> {
        let usual = if url.scheme() == "rtsp" { Some(554) } else { url.port_or_known_default() };
        let port = url.port().or(usual).filter(|port| *port != server.own_port)?;
        let message = format!(
            "{flag} names port {port} of service `{}`, which listens on port {}",
            *server.service, server.own_port
        );
        let finding = Self::finding(server, "wrong-port", place.clone(), message);
        Some(match server.port == port {
            true => finding.with_help(format!(
                "use port {}: services reach each other at the port in the container, not at the published one",
                server.own_port
            )),
            false => finding.with_help(format!("use port {}", server.own_port)),
        })
    }

    fn path(&self, server: &Server, url: &Url, place: &Place) -> Option<Finding> {
        let words = self.words(&server.service);
        let paths: Vec<String> = match server.is_own {
            true => vec![camera_path(&words)],
            false => self.played(server),
        };
        let asked = url.path().trim_matches('/');
        if paths.is_empty() || paths.iter().any(|path| path.trim_matches('/') == asked) {
            return None;
        }
        let message = format!(
            "service `{}` has no stream at this path; its streams: {}",
            *server.service,
            paths.iter().map(|path| format!("/{}", path.trim_matches('/'))).collect::<Vec<_>>().join(", ")
        );
        Some(
            Self::finding(server, "wrong-path", place.clone(), message)
                .with_help("correct the path of --url, or that of the stream"),
        )
    }

    /// The paths of the streams that players of the graph send to this server. A server without players may have any.
    fn played(&self, server: &Server) -> Vec<String> {
        let players = self.graph.servers.iter().filter(|one| one.kind == ServerKind::Player);
        let targets = players.filter_map(|player| Url::parse(self.words(&player.service).last()?).ok());
        let here = targets.filter(|url| url.scheme() == "rtsp").filter(|url| {
            self.server(url, ServerKind::Rtsp).is_some_and(|one| *one.service == *server.service)
        });
        here.map(|url| url.path().to_owned()).collect()
    }

    /// A bucket's name that only AWS can have, or that its server refuses. The node knows the server by a flag; here the
    /// variables of the service count as well.
    fn bucket_name(&self, place: Place) -> Option<Finding> {
        let name = self.node.value_of("--bucket-name").filter(|name| !name.starts_with("arn:"))?;
        if self.endpoint().is_some() {
            let invalid = check_bucket_name(&name).err()?;
            return Some(Finding::error("invalid-bucket", place, invalid.to_string()));
        }
        let legacy = check_aws_bucket_name(&name).ok()??;
        Some(
            Finding::warning(LegacyBucketName::CODE, place, legacy.to_string())
                .with_help("correct --bucket-name, unless your bucket has this name"),
        )
    }

    fn bucket(&self, server: &Server) -> Option<Finding> {
        let words = self.words(&server.service);
        let created: BTreeSet<&str> = values_of(&words, "--bucket").into_iter().collect();
        let bucket = self.node.value_of("--bucket-name")?;
        // Without --bucket its folder may hold buckets already.
        if !server.is_own || created.is_empty() || created.contains(bucket.as_str()) {
            return None;
        }
        let created: Vec<&str> = created.into_iter().collect();
        let message = format!(
            "service `{}` creates no bucket {bucket:?}; it creates {}",
            *server.service,
            created.join(", ")
        );
        Some(
            Finding::error(
                "unknown-bucket",
                self.node.place_of_value("--bucket-name", self.project),
                message,
            )
            .with_help(format!("correct --bucket-name, or add --bucket {bucket} to that service")),
        )
    }

    /// Compares the keys. Their values are never shown.
    fn keys(&self, server: &Server, place: &Place) -> Option<Finding> {
        let node = &self.service(&self.node.service)?.environment;
        let service = &self.service(&server.service)?.environment;
        let names = if server.is_own { STORE_KEYS } else { MINIO_KEYS };
        let unsigned = self.node.value_of("--no-sign-request").is_some()
            || self.node.args.iter().any(|word| word.as_str() == "--no-sign-request");
        if unsigned {
            return None;
        }
        names.into_iter().find_map(|(theirs, ours)| {
            let (theirs_value, ours_value) = (service.get(theirs)?, node.get(ours)?);
            (theirs_value.value != ours_value.value).then(|| {
                let message = format!("{ours} differs from {theirs} of service `{}`", *server.service);
                let place = if ours_value.place.line > 0 { ours_value.place.clone() } else { place.clone() };
                Self::finding(server, "wrong-key", place, message)
                    .with_help("give both the same value, for example from one variable in .env")
            })
        })
    }

    fn words(&self, service: &str) -> Vec<&'a str> {
        self.service(service).map(words_of).unwrap_or_default()
    }
}
