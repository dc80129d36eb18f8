//! Plans the nodes of a graph that share one process: which nodes, which variables they share, and which topics use
//! Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use msight_node::logs::Level;

use super::names::Names;
use super::own_program::own_program;
use crate::graph::{Graph, Node};
use msight_compose::{Finding, Place, Project};
use msight_contract::suggest::closest;
use msight_supervise::wire::{SUBCOMMAND, Setup};
use msight_supervise::{InProcessNode, Job, SharedProcess};

/// The topics that use Redis beside those of nodes outside the process.
#[derive(Clone, Debug, Default)]
pub struct OneProcess {
    /// Topics to also publish on Redis.
    pub expose: Vec<String>,
    /// Topics that programs outside the graph publish or read.
    pub external: BTreeSet<String>,
}

/// The shared process, and findings about it.
pub(super) struct SharedProcessPlan {
    process: Arc<SharedProcess>,
    flags: BTreeMap<String, BTreeMap<String, String>>,
    /// The services that run in other processes, and why.
    pub(super) aside: Vec<(String, String)>,
    pub(super) findings: Vec<Finding>,
}

impl SharedProcessPlan {
    /// Collects all built-in nodes into one process.
    ///
    /// # Errors
    /// The path of this program is unknown.
    pub(super) fn of(project: &Project, graph: &Graph, names: &Names, asked: &OneProcess) -> Result<Self> {
        let own = own_program()?;
        let (inside, outside): (Vec<&Node>, Vec<&Node>) = graph
            .nodes
            .iter()
            .filter(|node| node.instances > 0)
            .partition(|node| node.program.entry().is_some());
        let mut findings = Vec::new();
        let flags: BTreeMap<_, _> =
            inside.iter().map(|node| (node.service.value.clone(), flag_variables(node, names))).collect();
        let shared = Shared::of(&inside, names);
        findings.extend(shared.conflicts.iter().map(|conflict| conflict.finding(project)));
        let mut setup = topics(&inside, &outside, asked);
        findings.extend(unknown(&asked.expose, &inside));
        setup.level =
            inside.iter().map(|node| level(node, &flags[node.service.as_str()])).min().unwrap_or_default();
        let aside = outside.iter().map(|node| {
            let program = &node.program.description().program;
            let why = format!(
                "runs as a separate process and uses Redis: {program} is not built into this launcher"
            );
            (node.service.value.clone(), why)
        });
        let args = vec![SUBCOMMAND.to_owned()];
        let process = SharedProcess::new(own, args, shared.variables, project.folder.clone(), setup);
        Ok(Self { process: Arc::new(process), flags, aside: aside.collect(), findings })
    }

    /// Whether the graph needs Redis.
    pub(super) fn needs_redis(&self) -> bool {
        self.process.setup().is_on_redis
    }

    /// Assigns a node's job to the process, if it is a built-in node.
    ///
    /// # Errors
    /// The node has another working directory.
    pub(super) fn assign(
        &self,
        job: &mut Job,
        node: &Node,
        folder: &Path,
        place: &Place,
    ) -> Result<(), Finding> {
        let Some((entry, variables)) = node.program.entry().zip(self.flags.get(node.service.as_str())) else {
            return Ok(());
        };
        if job.folder != folder {
            let text = format!("nodes in one process share the working directory {}", folder.display());
            return Err(Finding::error("shared-working-dir", place.clone(), text)
                .with_help("remove `working_dir` and use absolute paths in the command"));
        }
        job.in_process = Some(InProcessNode {
            process: self.process.clone(),
            entry: entry.program().to_owned(),
            node: node.invocation.name.clone(),
            variables: variables.clone(),
        });
        Ok(())
    }
}

/// The variables for the node's flags, as a separate process would have them: those of the service, else of this
/// process.
fn flag_variables(node: &Node, names: &Names) -> BTreeMap<String, String> {
    let given = names.in_environment(&node.environment);
    let variables = node.program.description().flags.iter().filter_map(|flag| flag.env.clone());
    let value = |name: &String| given.get(name).cloned().or_else(|| std::env::var(name).ok());
    variables.filter_map(|name| Some((name.clone(), value(&name)?))).collect()
}

fn level(node: &Node, variables: &BTreeMap<String, String>) -> Level {
    let args = node.args.iter().map(|word| word.value.clone());
    let entry = node.program.entry();
    entry.map_or_else(Level::default, |entry| {
        entry.logging_level(args, &|name| variables.get(name).map(Into::into))
    })
}

/// The variables that the nodes share, and their conflicts.
#[derive(Default)]
struct Shared<'a> {
    variables: BTreeMap<String, String>,
    conflicts: Vec<Conflict<'a>>,
}

/// A variable with different values for two nodes.
struct Conflict<'a> {
    variable: String,
    first: &'a Node,
    second: &'a Node,
}

impl<'a> Shared<'a> {
    fn of(nodes: &[&'a Node], names: &Names) -> Self {
        let mut shared = Self::default();
        let environments: Vec<_> = nodes.iter().map(|node| own_variables(node, names)).collect();
        let all: BTreeSet<&String> = environments.iter().flat_map(BTreeMap::keys).collect();
        for variable in all {
            let mut holders =
                nodes.iter().zip(&environments).filter_map(|(node, own)| Some((*node, own.get(variable)?)));
            let Some((first, value)) = holders.next() else { continue };
            let other = holders.find(|(_, other)| *other != value).map(|(node, _)| node);
            // A node of the same program would wrongly read it, for example as its camera's password.
            let bare = || {
                let mut bare = nodes.iter().zip(&environments).filter(|(_, own)| !own.contains_key(variable));
                bare.find(|(node, _)| same_program(node, first)).map(|(node, _)| *node)
            };
            if let Some(second) = other.or_else(bare) {
                shared.conflicts.push(Conflict { variable: variable.clone(), first, second });
            }
            shared.variables.insert(variable.clone(), value.clone());
        }
        shared
    }
}

/// The variables of the node's service without those of its flags, which are passed separately.
fn own_variables(node: &Node, names: &Names) -> BTreeMap<String, String> {
    let flags: BTreeSet<&str> =
        node.program.description().flags.iter().filter_map(|flag| flag.env.as_deref()).collect();
    let mut own = names.in_environment(&node.environment);
    own.retain(|name, _| !flags.contains(name.as_str()));
    own
}

fn same_program(one: &Node, other: &Node) -> bool {
    one.program.description().program == other.program.description().program
}

impl Conflict<'_> {
    fn finding(&self, project: &Project) -> Finding {
        let Self { variable, first, second } = self;
        let service = project.service(&second.service);
        let place = service.and_then(|service| Some(service.environment.get(variable)?.place.clone()));
        let what = match place {
            Some(_) => "sets another value",
            None => "does not set it",
        };
        let text = format!(
            "nodes in one process share their variables: `{}` sets {variable}, and `{}` {what}",
            *first.service, *second.service
        );
        Finding::error("shared-variable", place.unwrap_or_else(|| second.service.place.clone()), text)
            .with_help(
                "set the same value for both, use a flag instead, or run the graph without --one-process",
            )
    }
}

/// The topics that use Redis, and whether Redis is needed.
fn topics(inside: &[&Node], outside: &[&Node], asked: &OneProcess) -> Setup {
    let reads = |node: &&Node, topic: &str| node.invocation.reads.iter().any(|read| read.topic == topic);
    let writes =
        |node: &&Node, topic: &str| node.invocation.writes.iter().any(|written| written.topic == topic);
    let mut setup = Setup::default();
    let ends = inside.iter().flat_map(|node| node.invocation.writes.iter().chain(&node.invocation.reads));
    for topic in ends.map(|end| end.topic.as_str()).collect::<BTreeSet<_>>() {
        let is_written_here = inside.iter().any(|node| writes(node, topic));
        let is_external = asked.external.contains(topic);
        let comes_from_outside =
            outside.iter().any(|node| writes(node, topic)) || (is_external && !is_written_here);
        if comes_from_outside {
            setup.left_to_bus.push(topic.to_owned());
        } else if is_external
            || asked.expose.iter().any(|asked| asked == topic)
            || outside.iter().any(|node| reads(node, topic))
        {
            setup.exposed.push(topic.to_owned());
        }
    }
    setup.is_on_redis = !outside.is_empty() || !setup.left_to_bus.is_empty() || !setup.exposed.is_empty();
    setup
}

/// Reports exposed topics that no node in the process publishes.
fn unknown(expose: &[String], inside: &[&Node]) -> Vec<Finding> {
    let written: BTreeSet<&str> = inside
        .iter()
        .flat_map(|node| &node.invocation.writes)
        .map(|written| written.topic.as_str())
        .collect();
    let unknown = expose.iter().filter(|topic| !written.contains(topic.as_str()));
    let findings = unknown.map(|topic| {
        let finding = Finding::error(
            "unpublished-topic",
            None,
            format!("--expose {topic}: no node in the process publishes this topic"),
        );
        match closest(topic, written.iter().copied()) {
            Some(near) => finding.with_help(format!("did you mean {near}?")),
            None => finding,
        }
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::graph::GraphContext;
    use crate::tutorial::BUILT_IN;
    use msight_compose::{Options, Source, read};

    /// What a camera and an aggregator inside share, with a node in Python beside them.
    async fn setup(python: &str, expose: &[&str], external: &[&str]) -> Setup {
        let text = format!(
            "services:
  camera:
    image: msight
    entrypoint: [msight_launch_rtsp]
    command: '-n camera -pt frames -sn gate -u rtsp://c/ --logging-level WARNING'
  aggregator:
    image: msight
    entrypoint: [msight_launch_image_to_video_aggregator]
    command: '-n aggregator -st frames -pt segments --fps 10 --buffer-size 10 --overlap-size 0 --logging-level DEBUG'
{python}"
        );
        let source = Source::Text { name: "compose.yaml".into(), text };
        let project = read(&[source], &Options::default()).project;
        let external: BTreeSet<String> = external.iter().map(|topic| (*topic).to_owned()).collect();
        let around = GraphContext { external: external.clone(), ..GraphContext::default() };
        let (graph, _) = crate::read::read(&project, &Catalog::new(BUILT_IN, None), &around).await;
        let asked = OneProcess { expose: expose.iter().map(|topic| (*topic).to_owned()).collect(), external };
        let shared = SharedProcessPlan::of(&project, &graph, &Names::of(&project), &asked);
        shared.expect("it knows where it is").process.setup().clone()
    }

    /// With Redis, and the most verbose log level of the nodes.
    fn on_redis(exposed: &[&str], left_to_bus: &[&str]) -> Setup {
        let topics = |topics: &[&str]| topics.iter().map(|topic| (*topic).to_owned()).collect();
        let (exposed, left_to_bus) = (topics(exposed), topics(left_to_bus));
        Setup { is_on_redis: true, exposed, left_to_bus, level: Level::Debug }
    }

    #[tokio::test]
    async fn a_topic_leaves_the_process_where_something_outside_has_a_part_in_it() {
        assert_eq!(setup("", &[], &[]).await, Setup { is_on_redis: false, ..on_redis(&[], &[]) });
        assert_eq!(setup("", &["frames"], &[]).await, on_redis(&["frames"], &[]));
        assert_eq!(setup("", &[], &["segments"]).await, on_redis(&["segments"], &[]));
        let viewer =
            "  viewer: { image: x, entrypoint: [msight_launch_image_viewer], command: '-n v -st frames' }";
        assert_eq!(setup(viewer, &[], &[]).await, on_redis(&["frames"], &[]));
        let camera = "  back: { image: x, entrypoint: [msight_launch_local_image], command: '-n b -pt frames -sn b -p x.jpg' }";
        assert_eq!(setup(camera, &["frames"], &[]).await, on_redis(&[], &["frames"]));
    }
}
