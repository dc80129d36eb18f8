//! Reading the graph of a project, and checking it.

use std::collections::{BTreeMap, BTreeSet};

use msight_compose::{Finding, Located, Project, Service};
use msight_node::describe::{Description, Invocation, Port, TopicUse};

use crate::catalog::{Catalog, NotFound};
use crate::graph::{Graph, GraphContext, Node};
use crate::server::Server;
use crate::{
    check, exposed_secrets, far_ends, host_ports, message_types, server_use, spelling, spool_folders,
};

/// Reads the graph of a project and checks it.
pub async fn read(project: &Project, catalog: &Catalog, context: &GraphContext) -> (Graph, Vec<Finding>) {
    let (mut graph, mut findings) = (Graph::default(), Vec::new());
    graph.external = context.external.clone();
    graph.external.extend(project.external.iter().map(|topic| topic.value.clone()));
    let mut unknown = UnknownEnds::default();
    for service in project.active() {
        let mistake = match read_service(service, catalog, context).await {
            Ok(Role::Node(node, mistake)) => {
                if mistake.is_some() {
                    unknown.of_node(&node);
                }
                graph.nodes.push(*node);
                mistake
            }
            Ok(Role::Server(server)) => {
                graph.servers.push(server);
                None
            }
            Err(finding) => {
                unknown.of_service(service);
                if finding.code != NO_PROGRAM {
                    graph.unreadable.push(service.name.value.clone());
                }
                Some(finding)
            }
        };
        if service.is_incomplete {
            unknown.all |= mistake.is_some();
        } else {
            findings.extend(mistake);
        }
    }
    graph.server_uses = server_use::of_nodes(project, &graph);
    graph.server_links = server_use::of_servers(project, &graph);
    check::names(&graph, &mut findings);
    check::environment(&graph, context, &mut findings);
    message_types::mismatches(&graph, &mut findings);
    message_types::python(&graph, &mut findings);
    check::writers(&graph, &mut findings);
    check::cycles(&graph, &mut findings);
    check::keys(&graph, &mut findings);
    host_ports::check(&graph, project, context, &mut findings);
    check::bursts(&graph, project, &mut findings);
    spelling::check(project, &graph, &mut findings);
    far_ends::check(project, &graph, &mut findings);
    spool_folders::check(project, &graph, &mut findings);
    exposed_secrets::check(project, &graph, context, &mut findings);
    if !unknown.all {
        check::loose_ends(&graph, &unknown.words, &mut findings);
        check::external(&graph, project, &unknown.words, &mut findings);
    }
    (graph, findings)
}

/// What services with a mistake may name as topics: reporting these topics as unconnected would report the mistake
/// again.
#[derive(Default)]
struct UnknownEnds {
    words: BTreeSet<String>,
    /// Whether a service cannot be read completely, so that it may name any topic.
    all: bool,
}

impl UnknownEnds {
    /// The arguments of a node with a mistake, without those that are known to name topics.
    fn of_node(&mut self, node: &Node) {
        let ends = node.invocation.reads.iter().chain(&node.invocation.writes);
        let known: Vec<usize> = ends.filter_map(|end| end.argument).collect();
        let words = node.args.iter().enumerate().filter(|(at, _)| !known.contains(at));
        self.words.extend(words.map(|(_, word)| value(word)));
    }

    fn of_service(&mut self, service: &Service) {
        self.all |= service.command_line().count() < 2;
        self.words.extend(service.command_line().map(|word| value(word)));
    }
}

/// The value in an argument: `frames` of `--publish-topic=frames`.
fn value(word: &str) -> String {
    word.split_once('=').map_or(word, |(_, value)| value).to_owned()
}

/// The code of the finding about a service without a program: it need not be meant as a node.
const NO_PROGRAM: &str = "no-program";

/// The help for a service that is neither a node nor a known server.
const LEFT_OUT: &str =
    "if it is not part of the graph, give it a profile that is not enabled: profiles: [other]";

enum Role {
    /// A node, and what is wrong with its command line.
    Node(Box<Node>, Option<Finding>),
    Server(Server),
}

async fn read_service(service: &Service, catalog: &Catalog, context: &GraphContext) -> Result<Role, Finding> {
    if let Some(server) = Server::of(service) {
        return Ok(Role::Server(server));
    }
    let words: Vec<&Located<String>> = service.command_line().collect();
    let Some((name, args)) = words.split_first().filter(|(name, _)| !name.starts_with('-')) else {
        return Err(Finding::error(
            NO_PROGRAM,
            service.name.place.clone(),
            format!("service `{}` names no program: the command is left to the image", *service.name),
        )
        .with_help(format!("for a node, set entrypoint: [\"msight_launch_…\"]; {LEFT_OUT}")));
    };
    let program = catalog.find(name).await.map_err(|reason| not_found(name, &reason))?;
    let args: Vec<Located<String>> = args.iter().map(|word| (*word).clone()).collect();
    let environment: BTreeMap<String, String> =
        service.environment.iter().map(|(name, value)| (name.to_owned(), value.value.clone())).collect();
    let mut all = context.variables.clone();
    all.extend(environment.clone());
    let plain: Vec<String> = args.iter().map(|word| word.value.clone()).collect();
    let (invocation, mistake) = match program.understand(&plain, &all).await {
        Ok(invocation) => (invocation, None),
        Err(mistake) => {
            let argument = mistake.argument.and_then(|at| args.get(at)).map(|word| word.place.clone());
            let variable = mistake.variable.as_deref().and_then(|name| service.environment.get(name));
            let place = argument.or_else(|| variable.map(|value| value.place.clone()));
            let message = format!("{}: {}", program.description().program, mistake.message);
            let finding =
                Finding::error("invalid-arguments", place.unwrap_or_else(|| name.place.clone()), message);
            let finding = match mistake.help {
                Some(help) => finding.with_help(help),
                None => finding,
            };
            (probable(program.description(), &plain, &all), Some(finding))
        }
    };
    let is_incomplete = service.is_incomplete;
    let (service, instances) = (service.name.clone(), service.replicas);
    let node = Node { service, instances, program, args, environment, invocation, is_incomplete };
    Ok(Role::Node(Box::new(node), mistake))
}

/// The names and topics of a command line with a mistake, as far as they can be read.
fn probable(program: &Description, args: &[String], environment: &BTreeMap<String, String>) -> Invocation {
    let value = |flag: &str| program.value_of(flag, args, environment).filter(|value| !value.is_empty());
    let used = |port: &Port| {
        let argument = program.position_of(&port.flag, args);
        value(&port.flag).map(|topic| TopicUse::of(port, topic, argument))
    };
    Invocation {
        name: value("--name").unwrap_or_default(),
        name_argument: program.position_of("--name", args),
        sensor_name: value("--sensor-name"),
        reads: program.inputs.iter().filter_map(used).collect(),
        writes: program.outputs.iter().filter_map(used).collect(),
    }
}

fn not_found(name: &Located<String>, reason: &NotFound) -> Finding {
    let code = match reason {
        NotFound::Unknown { .. } => "unknown-program",
        NotFound::NotANode { .. } => "not-a-node",
        NotFound::Broken { .. } => "broken-program",
    };
    let finding = Finding::error(code, name.place.clone(), reason.to_string());
    match reason {
        NotFound::Unknown { near: None, name } if name.contains('/') => finding.with_help(format!(
            "correct the path, which starts from the current folder unless it is absolute; {LEFT_OUT}"
        )),
        NotFound::Unknown { near: Some(near), .. } => finding.with_help(format!("did you mean {near}?")),
        NotFound::Unknown { .. } => finding.with_help(format!(
            "install it on the PATH (`msight nodes` lists the available programs); {LEFT_OUT}"
        )),
        NotFound::NotANode { .. } => finding.with_help(format!(
            "a node program answers --describe, as every program built with msight_node does; {LEFT_OUT}"
        )),
        NotFound::Broken { .. } => finding,
    }
}
