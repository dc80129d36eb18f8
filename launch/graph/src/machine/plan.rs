//! Plans the jobs of a graph and their order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::names::Names;
use super::provider::{Provider, ServerPlan, own_program_for};
use super::shared_process::{OneProcess, SharedProcessPlan};
use super::volumes;
use crate::catalog::{Catalog, Origin};
use crate::graph::{Graph, Node};
use crate::server::ServerKind;
use msight_compose::{Condition, Dependency, Finding, HealthTest, Healthcheck, Place, Project, Service};
use msight_supervise::{Job, JobDependency, NodeRegistration, Readiness, Test};
use url::Url;

/// The maximum time that a job waits only for the start order: a viewer that does not start must not keep a camera
/// from being recorded.
const PATIENCE: Duration = Duration::from_secs(30);

/// The plan of a graph for this machine.
#[derive(Debug, Default)]
pub struct Plan {
    /// The jobs to start.
    pub jobs: Vec<Job>,
    /// Services that are not started, or differ from the compose file: the name of the service and a sentence.
    pub aside: Vec<(String, String)>,
    /// Services that run beside the shared process, and why.
    pub beside: Vec<(String, String)>,
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
    let servers: Vec<String> = plan.jobs.iter().map(|job| job.name.clone()).collect();
    for node in &graph.nodes {
        let job = job(node, project, &names, catalog).and_then(|mut job| {
            if let (Some(job), Some(shared)) = (&mut job, &shared) {
                shared.assign(job, node, &project.folder, place_of_folder(node, project))?;
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
    order(&mut plan.jobs, graph, project, &servers);
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

/// The job of a node; `None` if it has no replicas.
fn job(node: &Node, project: &Project, names: &Names, catalog: &Catalog) -> Result<Option<Job>, Finding> {
    let Some(service) = project.service(&node.service).filter(|_| node.instances > 0) else {
        return Ok(None);
    };
    let described = node.program.description();
    let (program, called) = match (node.program.file(), node.program.origin()) {
        (Some(file), _) => (file.to_owned(), None),
        // Called by the name of a node, this program is that node.
        (None, Origin::BuiltIn) => {
            let entry = catalog.entry(&described.program);
            (own_program_for(&node.service.place)?, entry.map(|entry| entry.program().to_owned()))
        }
        (None, _) => {
            let text = format!("{} is not installed on this machine", described.program);
            return Err(Finding::error("missing-program", node.service.place.clone(), text).with_help(
                "install msight-core with pip, and add the bin folder of its environment to the PATH",
            ));
        }
    };
    let words = node.args.iter().map(|word| names.in_argument(&volumes::in_argument(word, &service.volumes)));
    let mut args: Vec<String> = words.collect();
    let is_ours = !matches!(node.program.origin(), Origin::Python(_));
    if is_ours {
        // The launcher reads the node's metrics, and its log as JSON.
        for (flag, value) in [("--metrics", "127.0.0.1:0"), ("--log-format", "json")] {
            let Some(known) = described.flags.iter().find(|known| known.name() == flag) else { continue };
            let variable = known.env.as_ref().and_then(|name| node.environment.get(name));
            // A user's own value has priority, in any spelling that the program accepts.
            if variable.is_none() && described.position_of(flag, &args).is_none() {
                args.extend([flag.to_owned(), value.to_owned()]);
            }
        }
    }
    let readiness = match test(service) {
        // The launcher asks the node directly, without starting a program.
        Some(test) if is_ours && asks_the_node(&test.command) => Readiness::Node,
        Some(test) => Readiness::Test(test),
        None if is_ours => Readiness::Node,
        None => Readiness::Started,
    };
    let is_python = matches!(node.program.origin(), Origin::Python(_));
    let folder = match &service.working_dir {
        Some(folder) => volumes::outside(folder, &service.volumes).unwrap_or_else(|| project.folder.clone()),
        None => project.folder.clone(),
    };
    let mut job = Job::new(service.name.value.clone(), program, args);
    job.called = called;
    job.reports = is_ours;
    let variables = node.environment.iter();
    let variables =
        variables.map(|(name, value)| (name.clone(), volumes::in_argument(value, &service.volumes)));
    job.environment = names.in_environment(&variables.collect());
    let readiness = match readiness {
        // Its first frames would go unheard otherwise.
        Readiness::Started if is_python => match redis_url(&job.environment) {
            Some(redis_url) => {
                Readiness::Registered(NodeRegistration { redis_url, node: node.invocation.name.clone() })
            }
            None => Readiness::Started,
        },
        known => known,
    };
    (job.folder, job.restart, job.readiness) = (folder, service.restart, readiness);
    if let Some(grace) = &service.stop_grace_period {
        job.stop_grace = **grace;
    }
    if let Some(name) = &service.stop_signal {
        job.stop_signal = signal(name).ok_or_else(|| {
            let text = format!("invalid stop signal `{}`", **name);
            Finding::error("invalid-value", name.place.clone(), text)
                .with_help("use SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2 or SIGKILL")
        })?;
    }
    Ok(Some(job))
}

/// The URL of the Redis that a Python node uses, from its variables and those of this process; `None` for a server that
/// a plain URL cannot describe.
fn redis_url(environment: &BTreeMap<String, String>) -> Option<String> {
    let value = |name: &str| {
        let name = format!("MSIGHT_REDIS_MESSAGE_BROKER_{name}");
        let value = environment.get(&name).cloned().or_else(|| std::env::var(name).ok());
        value.filter(|value| !value.is_empty())
    };
    if ["UNIX_SOCKET_PATH", "USE_TLS", "USE_CLUSTER"].into_iter().any(|name| value(name).is_some()) {
        return None;
    }
    let mut url = Url::parse("redis://localhost:6379/").ok()?;
    url.set_host(Some(&value("HOST").unwrap_or_else(|| "localhost".to_owned()))).ok()?;
    if let Some(port) = value("PORT") {
        url.set_port(port.parse().ok()).ok()?;
    }
    url.set_path(&value("DB").unwrap_or_else(|| "0".to_owned()));
    url.set_username(&value("USERNAME").unwrap_or_default()).ok()?;
    url.set_password(value("PASSWORD").as_deref()).ok()?;
    Some(url.into())
}

/// The Redis outside the compose file that the nodes use, without credentials.
fn outside_redis(graph: &Graph, names: &Names) -> Option<String> {
    if graph.servers.iter().any(|server| server.kind == ServerKind::Redis) {
        return None;
    }
    let node = graph.nodes.first()?;
    let mut url = Url::parse(&redis_url(&names.in_environment(&node.environment))?).ok()?;
    url.set_username("").and_then(|()| url.set_password(None)).ok()?;
    Some(url.into())
}

fn signal(name: &str) -> Option<Signal> {
    match name.strip_prefix("SIG").unwrap_or(name) {
        "TERM" | "15" => Some(Signal::TERM),
        "INT" | "2" => Some(Signal::INT),
        "QUIT" | "3" => Some(Signal::QUIT),
        "HUP" | "1" => Some(Signal::HUP),
        "KILL" | "9" => Some(Signal::KILL),
        "USR1" | "10" => Some(Signal::USR1),
        "USR2" | "12" => Some(Signal::USR2),
        _ => None,
    }
}

/// The health check of a service, with the defaults of Compose.
fn test(service: &Service) -> Option<Test> {
    let Healthcheck { test, interval, timeout, retries, start_period, .. } = service.healthcheck.as_ref()?;
    let command = match test.as_ref()? {
        HealthTest::None => return None,
        HealthTest::Command(words) => words.iter().map(|word| word.value.clone()).collect(),
        HealthTest::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.value.clone()],
    };
    let usual = Duration::from_secs(30);
    Some(Test {
        command,
        interval: interval.unwrap_or(usual),
        timeout: timeout.unwrap_or(usual),
        retries: retries.unwrap_or(3),
        start_period: start_period.unwrap_or_default(),
    })
}

/// Whether a health check runs `msight healthy`, directly or in a shell.
fn asks_the_node(command: &[String]) -> bool {
    let words: Vec<&str> = match command {
        [shell, flag, line] if shell == "/bin/sh" && flag == "-c" => line.split_whitespace().collect(),
        words => words.iter().map(String::as_str).collect(),
    };
    let program = words.first().and_then(|program| Path::new(program).file_name());
    program.is_some_and(|name| name == "msight") && words.get(1) == Some(&"healthy")
}

/// Orders the start: servers before nodes, then `depends_on`, then readers before their writers, so that no message
/// is lost at the start. Jobs stop in the reverse order.
fn order(jobs: &mut [Job], graph: &Graph, project: &Project, servers: &[String]) {
    let known: BTreeSet<String> = jobs.iter().map(|job| job.name.clone()).collect();
    let mut before: BTreeMap<String, Vec<JobDependency>> = BTreeMap::new();
    for job in jobs.iter() {
        let said =
            project.service(&job.name).map(|service| service.depends_on.as_slice()).unwrap_or_default();
        let said = said.iter().filter(|dependency| known.contains(dependency.service.as_str()));
        before.insert(job.name.clone(), said.map(after).collect());
    }
    for node in &graph.nodes {
        let name = node.service.as_str();
        if !known.contains(name) {
            continue;
        }
        // Every node may need a server, and no server needs a node.
        for server in servers {
            add(&mut before, name, server);
        }
        for reader in
            graph.nodes.iter().filter(|other| node.feeds(other) && known.contains(other.service.as_str()))
        {
            add(&mut before, name, &reader.service);
        }
    }
    for player in graph.servers.iter().filter(|one| one.kind == ServerKind::Player) {
        for rtsp in
            graph.servers.iter().filter(|one| one.kind == ServerKind::Rtsp && servers.contains(&one.service))
        {
            add(&mut before, &player.service, &rtsp.service);
        }
    }
    let ranks = graph.ranks();
    let last = ranks.iter().max().map_or(0, |rank| rank + 1);
    for job in jobs {
        job.after = before.remove(&job.name).unwrap_or_default();
        let node = graph.nodes.iter().position(|node| *node.service == job.name);
        job.rank = node.map_or(last, |at| ranks[at]);
    }
}

fn after(dependency: &Dependency) -> JobDependency {
    let Dependency { service, condition, required, .. } = dependency;
    JobDependency { job: service.value.clone(), condition: *condition, required: *required, patience: None }
}

/// Makes `job` wait for `other`, unless `other` waits for it: the order of the compose file has priority.
fn add(before: &mut BTreeMap<String, Vec<JobDependency>>, job: &str, other: &str) {
    let is_known = before.get(job).is_some_and(|known| known.iter().any(|after| after.job == other));
    if job == other || is_known || waits(before, other, job, &mut BTreeSet::new()) {
        return;
    }
    if let Some(known) = before.get_mut(job) {
        let patience = Some(PATIENCE);
        known.push(JobDependency {
            job: other.to_owned(),
            condition: Condition::Healthy,
            required: false,
            patience,
        });
    }
}

/// Whether `job` waits for `other`, directly or indirectly.
fn waits(
    before: &BTreeMap<String, Vec<JobDependency>>,
    job: &str,
    other: &str,
    seen: &mut BTreeSet<String>,
) -> bool {
    seen.insert(job.to_owned())
        && before.get(job).is_some_and(|known| {
            known.iter().any(|after| after.job == other || waits(before, &after.job, other, seen))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphContext;
    use crate::tutorial::BUILT_IN;
    use msight_compose::{Options, Source, read};

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
