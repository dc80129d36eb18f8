//! The keys of the Compose specification, and what becomes of each: none is passed over because nobody knew it.

use super::field::Field;
use super::finding::Findings;
use super::{AS_ONE_FILE, Finding};

/// What becomes of a key.
#[derive(Clone, Copy)]
pub(super) enum Use {
    /// It is read, or it says nothing of what runs: only of how a container is made.
    Taken,
    /// It limits a container, and a process is not limited by it.
    Unlimited,
    /// It changes what a service sees, in a container alone. What to do instead is said.
    ContainerOnly(&'static str),
    /// It changes what would run, and cannot be read. The way out is said.
    Unsupported(&'static str),
}

/// Names of keys, with blanks between them, and what becomes of these.
type Keys = &'static [(&'static str, Use)];

const NOT_AS_PROCESSES: &str = "leave it out, or run the graph as containers with `docker compose up`";

/// The keys of a file.
pub(super) const FILE: Keys = &[
    ("version name services networks volumes configs secrets", Use::Taken),
    ("include", Use::Unsupported(AS_ONE_FILE)),
    ("models", Use::Unsupported(NOT_AS_PROCESSES)),
];

/// The keys of a service.
pub(super) const SERVICE: Keys = &[
    (
        "build command container_name depends_on deploy entrypoint env_file environment extends \
         healthcheck hostname image links network_mode networks ports profiles restart scale \
         stop_grace_period stop_signal user volumes working_dir",
        Use::Taken,
    ),
    (
        "annotations attach blkio_config cap_add cap_drop cgroup cgroup_parent credential_spec \
         develop device_cgroup_rules devices dns dns_opt dns_search domainname expose gpus \
         group_add init ipc isolation label_file labels logging mac_address oom_kill_disable \
         oom_score_adj pid platform privileged pull_policy pull_refresh_after read_only runtime \
         security_opt shm_size stdin_open storage_opt sysctls tmpfs tty use_api_socket \
         userns_mode uts",
        Use::Taken,
    ),
    (
        "cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus \
         cpuset mem_limit mem_reservation mem_swappiness memswap_limit pids_limit ulimits",
        Use::Unlimited,
    ),
    ("configs secrets", Use::ContainerOnly("name the file itself in a flag or a variable")),
    ("extra_hosts", Use::ContainerOnly("add the names to /etc/hosts, or use addresses")),
    ("external_links volumes_from", Use::ContainerOnly("name addresses and folders themselves")),
    ("post_start pre_stop provider models", Use::Unsupported(NOT_AS_PROCESSES)),
];

/// The keys of `build`.
pub(super) const BUILD: Keys = &[(
    "context dockerfile target additional_contexts args cache_from cache_to dockerfile_inline \
         entitlements extra_hosts isolation labels network no_cache platforms privileged \
         provenance pull sbom secrets shm_size ssh tags ulimits",
    Use::Taken,
)];

/// The keys of `deploy`.
pub(super) const DEPLOY: Keys = &[
    (
        "mode replicas restart_policy endpoint_mode labels placement rollback_config \
         update_config",
        Use::Taken,
    ),
    ("resources", Use::Unlimited),
];

/// The keys of `deploy.restart_policy`.
pub(super) const RESTART_POLICY: Keys = &[("condition delay max_attempts window", Use::Taken)];

/// The keys of a service in `depends_on`.
pub(super) const DEPENDENCY: Keys = &[("condition required restart", Use::Taken)];

/// The keys of `healthcheck`.
pub(super) const HEALTHCHECK: Keys =
    &[("test interval timeout retries start_period start_interval disable", Use::Taken)];

/// The keys of a port in its long form.
pub(super) const PORT: Keys = &[("target published host_ip protocol mode name app_protocol", Use::Taken)];

/// The keys of a volume in its long form.
pub(super) const VOLUME: Keys =
    &[("type source target read_only bind volume tmpfs image consistency", Use::Taken)];

/// The keys of a file in `env_file`.
pub(super) const ENV_FILE: Keys = &[("path required format", Use::Taken)];

/// Says what is to be said of the keys of a mapping.
pub(super) fn check(field: &Field<'_>, keys: Keys, findings: &mut Findings) {
    for (key, value) in field.entries(findings) {
        // Fields that begin with x- belong to whoever has written them.
        if key.starts_with("x-") {
            continue;
        }
        let known = keys.iter().find(|(names, _)| names.split(' ').any(|name| name == key.as_str()));
        match known.map(|(_, use_)| *use_) {
            Some(_) if value.node.is_null() => {}
            Some(Use::Taken) => {}
            Some(Use::Unlimited) => findings.push(Finding::note(
                key.place.clone(),
                format!("`{}` limits containers, not processes", *key),
            )),
            Some(Use::ContainerOnly(instead)) => findings.push(
                Finding::warning(key.place.clone(), format!("`{}` has an effect in containers alone", *key))
                    .with_help(format!("as a process: {instead}")),
            ),
            Some(Use::Unsupported(way_out)) => findings.push(
                Finding::error(key.place.clone(), format!("`{}` is not supported", *key)).with_help(way_out),
            ),
            None => {
                let finding = Finding::error(key.place.clone(), format!("`{}` is no key here", *key));
                let names = keys.iter().flat_map(|(names, _)| names.split(' '));
                findings.push(match findings.near(&key, names) {
                    Some(near) => finding.with_help(format!("did you mean `{near}`?")),
                    None => finding.with_help("keys of your own begin with `x-`"),
                });
            }
        }
    }
}
