//! Which servers the nodes of a graph use: the camera of a source, the S3 server of a sink, and Redis.

use msight_compose::{Place, Project, Service};
use url::Url;

use crate::graph::{Graph, Node};
use crate::server::{ServerKind, ServerUse, UsedServer};

/// The variables that give the pusher its endpoint without a flag, in the order of the AWS SDK.
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];

/// The address of an S3 server that no setting names.
const AWS: &str = "AWS S3";

/// Finds the servers that the nodes name.
pub(crate) fn of_nodes(project: &Project, graph: &Graph) -> Vec<ServerUse> {
    let mut uses = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let mut add = |server: Option<UsedServer>, bucket: Option<String>| {
            uses.extend(server.map(|server| ServerUse { node: at, server, bucket }));
        };
        add(camera(project, graph, node), None);
        if let Some(bucket) = node.value_of("--bucket-name") {
            add(store(project, graph, node), Some(bucket));
        }
        add(redis(project, graph, node), None);
    }
    uses
}

/// The servers that other servers of the graph use: a player streams to an RTSP server, and a client prepares an S3
/// server. Each pair is the indices of the client and of its server.
pub(crate) fn of_servers(project: &Project, graph: &Graph) -> Vec<(usize, usize)> {
    let target = |service: &Service, kind: ServerKind| {
        let environment = service.environment.iter().map(|(_, value)| value);
        let mut texts: Vec<&str> =
            service.command_line().chain(environment).map(|word| word.value.as_str()).collect();
        texts.reverse();
        let by_url = texts.iter().find_map(|text| {
            let mut hosts = text.split("://").skip(1).filter_map(|rest| {
                let rest = rest.split(['/', ' ', '"', '\'']).next()?;
                rest.rsplit('@').next()?.split(':').next()
            });
            hosts.find_map(|host| named(project, graph, host, kind))
        });
        let mut dependencies = service.depends_on.iter();
        by_url
            .or_else(|| dependencies.find_map(|dependency| named(project, graph, &dependency.service, kind)))
    };
    let links = graph.servers.iter().enumerate().filter_map(|(at, server)| {
        let kind = match server.kind {
            ServerKind::Player => ServerKind::Rtsp,
            ServerKind::S3Client => ServerKind::S3,
            ServerKind::Redis | ServerKind::S3 | ServerKind::Rtsp => return None,
        };
        Some((at, target(project.service(&server.service)?, kind)?))
    });
    links.collect()
}

/// The index of the server of this kind that a host names.
pub(crate) fn named(project: &Project, graph: &Graph, host: &str, kind: ServerKind) -> Option<usize> {
    graph.servers.iter().position(|server| {
        server.kind == kind
            && project.service(&server.service).is_some_and(|service| {
                let names = service.aliases.iter().chain(&service.container_name).chain([&service.name]);
                names.into_iter().any(|name| name.as_str() == host)
            })
    })
}

/// The URL of the S3 server of a node, and the place where the file has it; `None` if the node names none.
pub(crate) fn endpoint(project: &Project, node: &Node) -> Option<(String, Place)> {
    if let Some(url) = node.value_of("--endpoint-url") {
        return Some((url, node.place_of_value("--endpoint-url", project)));
    }
    node.value_of("--bucket-name")?;
    let environment = &project.service(&node.service)?.environment;
    let value = ENDPOINTS.iter().find_map(|name| environment.get(name))?;
    Some((value.value.clone(), value.place.clone()))
}

fn camera(project: &Project, graph: &Graph, node: &Node) -> Option<UsedServer> {
    let url = node.value_of("--url")?;
    // The variable that a required value is to come from.
    if url.starts_with("${") && url.ends_with('}') {
        return Some(UsedServer::Outside { kind: ServerKind::Rtsp, address: url });
    }
    let url = Url::parse(&url).ok()?;
    let is_stream = matches!(url.scheme(), "rtsp" | "rtsps");
    is_stream.then(|| used(project, graph, &url, ServerKind::Rtsp)).flatten()
}

fn store(project: &Project, graph: &Graph, node: &Node) -> Option<UsedServer> {
    match endpoint(project, node) {
        Some((url, _)) => used(project, graph, &Url::parse(&url).ok()?, ServerKind::S3),
        None => Some(UsedServer::Outside { kind: ServerKind::S3, address: AWS.to_owned() }),
    }
}

/// The server that a URL names. Of the URL only host and port are kept: the rest may hold a password.
fn used(project: &Project, graph: &Graph, url: &Url, kind: ServerKind) -> Option<UsedServer> {
    let host = url.host_str()?;
    if let Some(at) = named(project, graph, host, kind) {
        return Some(UsedServer::Service(at));
    }
    let address = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Some(UsedServer::Outside { kind, address })
}

/// The Redis that carries the topics of a node; `None` if neither the node nor the graph names one.
fn redis(project: &Project, graph: &Graph, node: &Node) -> Option<UsedServer> {
    let kind = ServerKind::Redis;
    if let Some(url) = node.value_of("--redis-url") {
        return used(project, graph, &Url::parse(&url).ok()?, kind);
    }
    let setting = |name: &str| {
        let value = node.environment.get(&format!("MSIGHT_REDIS_MESSAGE_BROKER_{name}"));
        value.map(String::as_str).filter(|value| !value.is_empty())
    };
    let outside = |address: String| Some(UsedServer::Outside { kind, address });
    if let Some(path) = setting("UNIX_SOCKET_PATH") {
        return outside(path.to_owned());
    }
    let Some(host) = setting("HOST").filter(|host| !is_local(host)) else {
        // On this host it is the graph's own Redis, if there is only one.
        let mut servers = graph.servers.iter().enumerate().filter(|(_, server)| server.kind == kind);
        return match (servers.next(), servers.next()) {
            (Some((at, _)), None) => Some(UsedServer::Service(at)),
            _ => outside(setting("HOST")?.to_owned()),
        };
    };
    if let Some(at) = named(project, graph, host, kind) {
        return Some(UsedServer::Service(at));
    }
    outside(setting("PORT").map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "::1" | "host.docker.internal") || host.starts_with("127.")
}
