//! Reading the graph of a project, and checking it.

use std::collections::BTreeMap;

use msight_compose::{Finding, Located, Project, Service};

use crate::catalog::{Catalog, NotFound};
use crate::graph::{Graph, GraphContext, Node};
use crate::server::Server;
use crate::{check, spelling};

/// Reads the graph of a project and checks it.
pub async fn read(project: &Project, catalog: &Catalog, context: &GraphContext) -> (Graph, Vec<Finding>) {
    let (mut graph, mut findings) = (Graph::default(), Vec::new());
    // Unconnected topics are not reported if a service is unreadable: it may hold the other end.
    let mut all_read = true;
    for service in project.active() {
        match read_service(service, catalog, context).await {
            Ok(Role::Node(node)) => graph.nodes.push(*node),
            Ok(Role::Server(server)) => graph.servers.push(server),
            Err(finding) => {
                all_read = false;
                if !service.is_incomplete {
                    findings.push(finding);
                }
            }
        }
    }
    check::names(&graph, &mut findings);
    check::environment(&graph, context, &mut findings);
    check::types(&graph, &mut findings);
    check::python(&graph, &mut findings);
    check::writers(&graph, &mut findings);
    check::cycles(&graph, &mut findings);
    check::keys(&graph, &mut findings);
    spelling::check(project, &graph, &mut findings);
    if all_read {
        check::loose_ends(&graph, context, &mut findings);
    }
    (graph, findings)
}

/// The help for a service that is neither a node nor a known server.
const LEFT_OUT: &str =
    "if it is not part of the graph, give it a profile that is not enabled: profiles: [other]";

enum Role {
    Node(Box<Node>),
    Server(Server),
}

async fn read_service(service: &Service, catalog: &Catalog, context: &GraphContext) -> Result<Role, Finding> {
    if let Some(server) = Server::of(service) {
        return Ok(Role::Server(server));
    }
    let words: Vec<&Located<String>> = service.command_line().collect();
    let Some((name, args)) = words.split_first().filter(|(name, _)| !name.starts_with('-')) else {
        return Err(Finding::error(
            "no-program",
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
    let invocation = program.understand(&plain, &all).await.map_err(|mistake| {
        let argument = mistake.argument.and_then(|at| args.get(at)).map(|word| word.place.clone());
        let variable = mistake.variable.as_deref().and_then(|name| service.environment.get(name));
        let place = argument.or_else(|| variable.map(|value| value.place.clone()));
        let message = format!("{}: {}", program.description().program, mistake.message);
        let finding =
            Finding::error("invalid-arguments", place.unwrap_or_else(|| name.place.clone()), message);
        match mistake.help {
            Some(help) => finding.with_help(help),
            None => finding,
        }
    })?;
    let is_incomplete = service.is_incomplete;
    let (service, instances) = (service.name.clone(), service.replicas);
    Ok(Role::Node(Box::new(Node {
        service,
        instances,
        program,
        args,
        environment,
        invocation,
        is_incomplete,
    })))
}

fn not_found(name: &Located<String>, reason: &NotFound) -> Finding {
    let code = match reason {
        NotFound::Unknown { .. } => "unknown-program",
        NotFound::NotANode { .. } => "not-a-node",
        NotFound::Broken { .. } => "broken-program",
    };
    let finding = Finding::error(code, name.place.clone(), reason.to_string());
    match reason {
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
