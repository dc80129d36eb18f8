//! Ports of the host that two services would use: the second one would fail at its start.

use std::net::IpAddr;

use msight_compose::{Finding, Place, Project, Protocol, Severity};

use crate::graph::{Graph, GraphContext, Node};
use crate::server::{LOOPBACK, Server, is_on_host_network};

/// A port of the host that a service uses.
struct PortUse<'a> {
    service: &'a str,
    /// What it is for: `metrics port`.
    what: &'static str,
    port: u16,
    protocol: Protocol,
    /// The address; `None` is all of them.
    host: Option<IpAddr>,
    place: Place,
}

impl PortUse<'_> {
    fn clashes_with(&self, other: &Self) -> bool {
        // The ports of one service are its own matter: a published port may be that of its metrics.
        self.service != other.service
            && (self.port, self.protocol) == (other.port, other.protocol)
            && self.host.zip(other.host).is_none_or(|(one, other)| one == other)
    }
}

/// Reports each port that a service cannot have, because an earlier service has it.
pub(super) fn check(graph: &Graph, project: &Project, context: &GraphContext, findings: &mut Vec<Finding>) {
    let in_containers = used_by_containers(graph, project);
    let mut reported = Vec::new();
    for (second, first) in clashes(&in_containers) {
        reported.push((second.service, second.port));
        findings.push(finding(second, first));
    }
    for (second, first) in clashes(&used_by_processes(graph, project)) {
        if reported.contains(&(second.service, second.port)) {
            continue;
        }
        let of_up = finding(second, first);
        findings.push(match context.is_on_host {
            true => of_up,
            // Containers have networks of their own.
            false => Finding {
                severity: Severity::Note,
                message: format!("with `msight up`, {}", of_up.message),
                ..of_up
            },
        });
    }
}

fn finding(second: &PortUse<'_>, first: &PortUse<'_>) -> Finding {
    let PortUse { what, port, place, .. } = second;
    let text = format!("{what} {port} of the host is already used by service `{}`", first.service);
    let finding = Finding::error("duplicate-port", place.clone(), text);
    match *what {
        METRICS => finding.with_help("give each node on the host its own --metrics port"),
        _ => finding.with_help("publish another port of the host: ports: [\"HOST_PORT:CONTAINER_PORT\"]"),
    }
}

/// Each use that clashes with an earlier one, and the first such one.
fn clashes<'a>(uses: &'a [PortUse<'a>]) -> Vec<(&'a PortUse<'a>, &'a PortUse<'a>)> {
    let mut found: Vec<(&PortUse<'_>, &PortUse<'_>)> = Vec::new();
    for (at, second) in uses.iter().enumerate() {
        let is_known =
            found.iter().any(|(known, _)| (known.service, known.port) == (second.service, second.port));
        let first = uses[..at].iter().find(|first| first.clashes_with(second));
        found.extend(first.filter(|_| !is_known).map(|first| (second, first)));
    }
    found
}

const METRICS: &str = "metrics port";

/// The ports that `docker compose` opens on the host: published ones, and all ports of services with its network.
fn used_by_containers<'a>(graph: &'a Graph, project: &'a Project) -> Vec<PortUse<'a>> {
    let mut uses = Vec::new();
    for service in project.active() {
        if !is_on_host_network(service) {
            uses.extend(service.ports.iter().filter_map(|port| {
                Some(PortUse {
                    service: &service.name,
                    what: "published port",
                    port: port.published?,
                    protocol: port.protocol,
                    host: port.host.filter(|host| !host.is_unspecified()),
                    place: port.target.place.clone(),
                })
            }));
        }
    }
    let on_host = |name: &str| project.service(name).is_some_and(is_on_host_network);
    let servers = graph.servers.iter().filter(|server| on_host(&server.service));
    uses.extend(servers.filter_map(|server| of_server(server, None)));
    let nodes = graph.nodes.iter().filter(|node| on_host(&node.service));
    uses.extend(nodes.filter_map(|node| of_node(node, project)));
    uses
}

/// The ports that `msight up` opens: those of all servers and nodes.
fn used_by_processes<'a>(graph: &'a Graph, project: &'a Project) -> Vec<PortUse<'a>> {
    let servers = graph.servers.iter().filter_map(|server| of_server(server, Some(server.host)));
    servers.chain(graph.nodes.iter().filter_map(|node| of_node(node, project))).collect()
}

/// The port of a server; `None` for a program that only connects to others.
fn of_server(server: &Server, host: Option<IpAddr>) -> Option<PortUse<'_>> {
    Some(PortUse {
        service: &server.service,
        what: "port",
        port: Some(server.port).filter(|port| *port > 0)?,
        protocol: Protocol::Tcp,
        host,
        place: server.service.place.clone(),
    })
}

/// The port of a node's metrics: `9100`, or that of an address.
fn of_node<'a>(node: &'a Node, project: &Project) -> Option<PortUse<'a>> {
    let address = node.value_of("--metrics").filter(|_| node.instances > 0)?;
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => (host.trim_matches(['[', ']']).parse().ok(), port),
        // A port alone is one of this machine.
        None => (Some(LOOPBACK), address.as_str()),
    };
    Some(PortUse {
        service: &node.service,
        what: METRICS,
        port: port.parse().ok().filter(|port| *port > 0)?,
        protocol: Protocol::Tcp,
        host: host.filter(|host: &IpAddr| !host.is_unspecified()),
        place: node.place_of_value("--metrics", project),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::tutorial::BUILT_IN;
    use msight_compose::{Options, Source};

    /// The findings about ports of a graph with these services: severity, line and key word.
    async fn found(services: &str, is_on_host: bool) -> Vec<(Severity, usize)> {
        let text = format!("services:\n{services}");
        let project =
            msight_compose::read(&[Source::Text { name: "compose.yaml".into(), text }], &Options::default())
                .project;
        let context = GraphContext { is_on_host, ..GraphContext::default() };
        let (_, findings) = crate::read::read(&project, &Catalog::new(BUILT_IN, None), &context).await;
        let of_ports = findings.iter().filter(|finding| finding.code == "duplicate-port");
        of_ports.map(|one| (one.severity, one.place.as_ref().map_or(0, |place| place.line))).collect()
    }

    const NODE: &str = "image: x, entrypoint: [msight_launch_rtsp], command: '-pt t -sn";

    #[tokio::test]
    async fn a_port_is_reported_where_two_services_would_use_it() {
        use Severity::{Error, Note};
        let rtsp = |name: &str, metrics: &str, rest: &str| {
            format!("  {name}: {{ {NODE} {name} -u rtsp://c/ -n {name} --metrics {metrics}' {rest} }}\n")
        };
        let host = ", network_mode: host";
        for (services, of_check, of_up) in [
            // Published twice: an error wherever it runs.
            ("  a: { image: redis, ports: ['7000:6379'] }\n  b: { image: mediamtx, ports: ['7000:8554'] }\n".to_owned(), vec![(Error, 3)], vec![(Error, 3)]),
            ("  a: { image: redis, ports: ['127.0.0.1:7000:6379'] }\n  b: { image: mediamtx, ports: ['0.0.0.0:7000:8554'] }\n".to_owned(), vec![(Error, 3)], vec![(Error, 3)]),
            // Different addresses, and different protocols.
            ("  a: { image: redis, ports: ['127.0.0.2:7000:6379'] }\n  b: { image: mediamtx, ports: ['127.0.0.3:7000:8554'] }\n".to_owned(), vec![], vec![]),
            ("  a: { image: redis, ports: ['7000:6379'] }\n  b: { image: mediamtx, ports: ['7000:8000/udp', '7001:8554'] }\n".to_owned(), vec![], vec![]),
            // Unpublished: containers have networks of their own.
            ("  a: { image: redis }\n  b: { image: valkey }\n  c: { image: keydb }\n".to_owned(), vec![(Note, 3), (Note, 4)], vec![(Error, 3), (Error, 4)]),
            (rtsp("a", "9100", "") + &rtsp("b", "0.0.0.0:9100", ""), vec![(Note, 3)], vec![(Error, 3)]),
            (rtsp("a", "127.0.0.1:9100", host) + &rtsp("b", "9100", host), vec![(Error, 3)], vec![(Error, 3)]),
            (rtsp("a", "127.0.0.1:0", host) + &rtsp("b", "127.0.0.1:0", host), vec![], vec![]),
            // On the network of the host beside a published port.
            ("  a: { image: redis, ports: ['6379:6379'] }\n  b: { image: valkey, network_mode: host }\n".to_owned(), vec![(Error, 3)], vec![(Error, 3)]),
            // Its own port, published.
            (rtsp("a", "9100", ", ports: ['9100:9100']"), vec![], vec![]),
        ] {
            assert_eq!(found(&services, false).await, of_check, "check: {services}");
            assert_eq!(found(&services, true).await, of_up, "up: {services}");
        }
    }
}
