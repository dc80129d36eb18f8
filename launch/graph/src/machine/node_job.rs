//! The job of a node: its program, arguments, variables and health check on this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use url::Url;

use super::names::Names;
use super::provider::own_program_for;
use super::volumes;
use crate::catalog::{Catalog, Origin};
use crate::graph::Node;
use msight_compose::{Finding, HealthTest, Healthcheck, Project, Service};
use msight_supervise::{Job, NodeRegistration, Readiness, Test};

/// The job of a node; `None` if it has no replicas.
///
/// # Errors
/// Its program is not on this machine, or a setting has no meaning here.
pub(super) fn job(
    node: &Node,
    project: &Project,
    names: &Names,
    catalog: &Catalog,
) -> Result<Option<Job>, Finding> {
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
    let mounted = volumes::of_node(service, &project.folder)?;
    let words = node.args.iter().map(|word| names.in_argument(&volumes::in_argument(word, &mounted)));
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
    let folder = match &service.working_dir {
        Some(folder) => volumes::outside(folder, &mounted).unwrap_or_else(|| project.folder.clone()),
        None => project.folder.clone(),
    };
    let mut job = Job::new(service.name.value.clone(), program, args);
    job.called = called;
    job.reports = is_ours;
    let variables = node.environment.iter();
    let variables = variables.map(|(name, value)| (name.clone(), volumes::in_argument(value, &mounted)));
    job.environment = names.in_environment(&variables.collect());
    let readiness = match test(service) {
        // The launcher asks the node directly, without starting a program.
        Some(test) if is_ours && asks_the_node(&test.command) => Readiness::Node,
        Some(test) => Readiness::Test(test),
        None if is_ours => Readiness::Node,
        // Of a Python node: its first frames would go unheard otherwise.
        None => match redis_url(&job.environment) {
            Some(redis_url) => {
                Readiness::Registered(NodeRegistration { redis_url, node: node.invocation.name.clone() })
            }
            None => Readiness::Started,
        },
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
pub(super) fn redis_url(environment: &BTreeMap<String, String>) -> Option<String> {
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
