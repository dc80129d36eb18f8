//! Plans the jobs of a graph and their order.

use std::collections::BTreeSet;
use std::path::PathBuf;

use url::Url;

use super::names::Names;
use super::node_job;
use super::provider::{Provider, ServerPlan};
use super::registered::{self, RegisteredNode};
use super::secret_flags;
use super::shared_process::{OneProcess, SharedProcessPlan};
use super::start_order;
use crate::catalog::Catalog;
use crate::graph::{Graph, Node};
use crate::server::ServerKind;
use msight_compose::{Finding, Place, Project};
use msight_supervise::Job;

/// The plan of a graph for this machine.
#[derive(Debug, Default)]
pub struct Plan {
    /// The jobs to start.
    pub jobs: Vec<Job>,
    /// Services that are not started, or differ from the compose file: the name of the service and a sentence.
    pub aside: Vec<(String, String)>,
    /// Services that run beside the shared process, and why.
    pub beside: Vec<(String, String)>,
    /// The names that the nodes register on Redis.
    pub registered: BTreeSet<RegisteredNode>,
    /// Errors that prevent the start.
    pub findings: Vec<Finding>,
}

/// Plans a graph for this machine: its nodes as processes, or the built-in ones in one process. `path` has the
/// folders of the servers' programs.
pub async fn plan(
    project: &Project,
    graph: &Graph,
    catalog: &Catalog,
    path: &[PathBuf],
    one_process: Option<&OneProcess>,
) -> Plan {
    let names = Names::of(project);
    let mut plan = Plan::default();
    let shared =
        match one_process.map(|asked| SharedProcessPlan::of(project, graph, &names, asked)).transpose() {
            Ok(shared) => shared,
            Err(error) => {
                plan.findings.push(Finding::error("invalid-plan", None, format!("{error:#}")));
                return plan;
            }
        };
    let needs_redis = shared.as_ref().is_none_or(SharedProcessPlan::needs_redis);
    let provider = Provider { project, graph, names: &names, path, needs_redis };
    for server in &graph.servers {
        let name = server.service.value.clone();
        match provider.provide(server).await {
            Ok(ServerPlan::Started(job, left_out)) => {
                plan.jobs.push(*job);
                if !left_out.is_empty() {
                    plan.aside.push((name, format!("started without {}", left_out.join(", "))));
                }
            }
            Ok(ServerPlan::Answers { program, not_told, neighbours }) => {
                let mut text =
                    format!("using the {program} at {}, which msight did not start", server.address());
                if !not_told.is_empty() {
                    text.push_str(&format!(
                        "; it may lack these settings of the file: {}",
                        not_told.join(", ")
                    ));
                }
                plan.aside.extend([text].into_iter().chain(neighbours).map(|text| (name.clone(), text)));
            }
            Ok(ServerPlan::NotNeeded(why)) => plan.aside.push((name, format!("not started: {why}"))),
            Err(finding) => plan.findings.push(finding),
        }
    }
    if let Some(url) = outside_redis(graph, &names).filter(|_| needs_redis) {
        let text = format!("using the Redis at {url}, which is not a service of this graph");
        plan.aside.push(("redis".to_owned(), text));
    }
    if needs_redis {
        plan.registered = registered::nodes(graph, &names);
    }
    let servers: Vec<String> = plan.jobs.iter().map(|job| job.name.clone()).collect();
    for node in &graph.nodes {
        let job = node_job::job(node, project, &names, catalog).and_then(|mut job| {
            if let (Some(job), Some(shared)) = (&mut job, &shared) {
                shared.assign(job, node, &project.folder, place_of_folder(node, project))?;
            }
            // Nodes that report are those of the kit, which read all flags from variables as well. The arguments of a node
            // in the shared process are on no command line.
            if let Some(job) = job.as_mut().filter(|job| job.reports && job.in_process.is_none()) {
                secret_flags::into_environment(job, node.program.description());
            }
            Ok(job)
        });
        match job {
            Ok(Some(job)) => plan.jobs.push(job),
            Ok(None) => {
                plan.aside.push((node.service.value.clone(), "not started: it has 0 replicas".to_owned()));
            }
            Err(finding) => plan.findings.push(finding),
        }
    }
    start_order::order(&mut plan.jobs, graph, project, &servers);
    if let Some(shared) = shared {
        plan.beside = shared.aside;
        plan.findings.extend(shared.findings);
    }
    plan
}

fn place_of_folder<'a>(node: &'a Node, project: &'a Project) -> &'a Place {
    let folder = project.service(&node.service).and_then(|service| service.working_dir.as_ref());
    folder.map_or(&node.service.place, |folder| &folder.place)
}

/// The Redis outside the compose file that the nodes use, without credentials.
fn outside_redis(graph: &Graph, names: &Names) -> Option<String> {
    if graph.servers.iter().any(|server| server.kind == ServerKind::Redis) {
        return None;
    }
    let node = graph.nodes.first()?;
    let mut url = Url::parse(&node_job::redis_url(&names.in_environment(&node.environment))?).ok()?;
    url.set_username("").and_then(|()| url.set_password(None)).ok()?;
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::graph::GraphContext;
    use crate::tutorial::BUILT_IN;
    use msight_compose::{Options, Source, read};
    use msight_supervise::Readiness;

    async fn jobs(folder: &Path, services: &str) -> BTreeMap<String, Job> {
        let text = format!("services:\n{services}");
        let source = Source::Text { name: "compose.yaml".into(), text };
        let options = Options { folder: folder.to_owned(), ..Options::default() };
        let project = read(&[source], &options).project;
        let catalog = Catalog::new(BUILT_IN, None);
        let (graph, _) = crate::read::read(&project, &catalog, &GraphContext::default()).await;
        let plan = plan(&project, &graph, &catalog, &[], None).await;
        assert!(plan.findings.is_empty(), "{:?}", plan.findings);
        plan.jobs.into_iter().map(|job| (job.name.clone(), job)).collect()
    }

    #[tokio::test]
    async fn health_checks_and_metrics_of_an_image_are_those_of_the_host() {
        let node = "image: x, entrypoint: [msight_launch_rtsp], command: '-pt t -sn s -u rtsp://c/ -n";
        let folder = Path::new("/srv/graph");
        let text = format!(
            "  asked: {{ {node} a', healthcheck: {{ test: [CMD, msight, healthy, --ready] }} }}
  other: {{ {node} b', healthcheck: {{ test: [CMD, /bin/check] }} }}
  fixed: {{ {node} c', environment: {{ MSIGHT_METRICS: 127.0.0.1:9107 }} }}
  short: {{ {node} d --metr 9107 --log-f=text' }}
  auto: {{ {node} e --log-format auto' }}"
        );
        let jobs = jobs(folder, &text).await;
        assert_eq!(jobs["asked"].readiness, Readiness::Node);
        assert!(matches!(&jobs["other"].readiness, Readiness::Test(test) if test.command == ["/bin/check"]));
        let metrics = |name: &str| jobs[name].args.iter().any(|word| word == "--metrics");
        assert!(metrics("asked") && metrics("other") && !metrics("fixed"));
        // What the user has set stays, in whatever spelling.
        let given = ["--metr", "9107", "--log-f=text"];
        assert!(jobs["short"].args.ends_with(&given.map(str::to_owned)), "{:?}", jobs["short"].args);
        assert!(!jobs["auto"].args.iter().any(|word| word == "json"), "{:?}", jobs["auto"].args);
    }

    #[tokio::test]
    async fn servers_of_this_program_are_started_for_this_machine_alone() {
        let graph = tempfile::tempdir().expect("a folder");
        let path = |rest: &str| graph.path().join(rest).to_string_lossy().into_owned();
        // Ports at which nothing answers on any machine.
        let jobs = jobs(
            graph.path(),
            "  camera: { image: x, entrypoint: [msight, camera], ports: ['2:8554'], volumes: [./a:/data],
    command: --listen 0.0.0.0:8554 --path gate --stream=/data/street.mp4 }
  s3: { image: x, command: msight store --listen=0.0.0.0:9000 --folder /data --bucket videos, ports: ['3:9000'],
    volumes: [segments:/data], environment: { MSIGHT_STORE_ACCESS_KEY: k, MSIGHT_STORE_SECRET_KEY: s } }",
        )
        .await;
        assert_eq!(
            jobs["camera"].args,
            [
                "camera",
                "--listen",
                "127.0.0.1:2",
                "--path",
                "gate",
                &format!("--stream={}", path("a/street.mp4"))
            ]
        );
        let store = &jobs["s3"];
        let folder = &path("s3-data");
        assert_eq!(
            store.args,
            ["store", "--listen", "127.0.0.1:3", "--folder", folder, "--bucket", "videos"]
        );
        assert_eq!(store.environment["MSIGHT_STORE_SECRET_KEY"], "s");
    }
}
