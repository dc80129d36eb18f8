//! The order in which jobs start and stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::graph::{Graph, Node};
use crate::server::ServerKind;
use crate::spool_folders::share_files;
use msight_compose::{Condition, Dependency, Project};
use msight_supervise::{Job, JobDependency};

/// The maximum time that a job waits only for the start order: a viewer that does not start must not keep a camera
/// from being recorded.
const PATIENCE: Duration = Duration::from_secs(30);

/// Orders the start: servers before nodes, then `depends_on`, then readers before their writers, so that no message
/// is lost at the start. Jobs stop in the reverse order.
pub(super) fn order(jobs: &mut [Job], graph: &Graph, project: &Project, servers: &[String]) {
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
        // A reader of a spool folder loses nothing if it starts later, and waits until its writer has made the folder.
        let waits_for = |other: &&Node| node.feeds(other) && !share_files(node, other);
        let readers = graph.nodes.iter().filter(waits_for);
        for reader in readers.filter(|other| known.contains(other.service.as_str())) {
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
