//! The keys of the Compose specification, and what msight does with each.

use super::Finding;
use super::field::Field;
use super::finding::Findings;

/// How a key is handled.
#[derive(Clone, Copy)]
pub(super) enum Use {
    /// The key is read, or it only describes the container and not what runs in it.
    Supported,
    /// The key limits a container's resources. Processes are not limited.
    ContainerLimit,
    /// The key changes what a service sees, in containers only. The text is the alternative for processes.
    ContainerOnly(&'static str),
    /// The key changes what would run and is not supported. The text says what to do.
    Unsupported(&'static str),
}

/// Names of keys, separated by spaces, and how they are handled.
type Keys = &'static [(&'static str, Use)];

const NOT_AS_PROCESSES: &str = "leave it out, or run the graph as containers with `docker compose up`";

/// The keys of a file.
pub(super) const FILE: Keys = &[
    ("version name include services networks volumes configs secrets", Use::Supported),
    ("models", Use::Unsupported(NOT_AS_PROCESSES)),
];

/// The keys of an entry of `include`.
pub(super) const INCLUDE: Keys = &[("path project_directory env_file", Use::Supported)];

/// The keys of `x-msight`, the settings of this program in a compose file.
pub(super) const MSIGHT: Keys = &[("external", Use::Supported)];

/// The keys of a service.
pub(super) const SERVICE: Keys = &[
    (
        "build command container_name depends_on deploy entrypoint env_file environment extends \
         healthcheck hostname image links network_mode networks ports profiles restart scale \
         stop_grace_period stop_signal user volumes working_dir",
        Use::Supported,
    ),
    (
        "annotations attach blkio_config cap_add cap_drop cgroup cgroup_parent credential_spec \
         develop device_cgroup_rules devices dns dns_opt dns_search domainname expose gpus \
         group_add init ipc isolation label_file labels logging mac_address oom_kill_disable \
         oom_score_adj pid platform privileged pull_policy pull_refresh_after read_only runtime \
         security_opt shm_size stdin_open storage_opt sysctls tmpfs tty use_api_socket \
         userns_mode uts",
        Use::Supported,
    ),
    (
        "cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus \
         cpuset mem_limit mem_reservation mem_swappiness memswap_limit pids_limit ulimits",
        Use::ContainerLimit,
    ),
    ("configs secrets", Use::ContainerOnly("pass the file's path in a flag or a variable")),
    ("extra_hosts", Use::ContainerOnly("add the names to /etc/hosts, or use addresses")),
    ("external_links volumes_from", Use::ContainerOnly("use addresses and folders directly")),
    ("post_start pre_stop provider models", Use::Unsupported(NOT_AS_PROCESSES)),
];

/// The keys of `build`.
pub(super) const BUILD: Keys = &[(
    "context dockerfile target additional_contexts args cache_from cache_to dockerfile_inline \
         entitlements extra_hosts isolation labels network no_cache platforms privileged \
         provenance pull sbom secrets shm_size ssh tags ulimits",
    Use::Supported,
)];

/// The keys of `deploy`.
pub(super) const DEPLOY: Keys = &[
    (
        "mode replicas restart_policy endpoint_mode labels placement rollback_config \
         update_config",
        Use::Supported,
    ),
    ("resources", Use::ContainerLimit),
];

/// The keys of `deploy.restart_policy`.
pub(super) const RESTART_POLICY: Keys = &[("condition delay max_attempts window", Use::Supported)];

/// The keys of a service in `depends_on`.
pub(super) const DEPENDENCY: Keys = &[("condition required restart", Use::Supported)];

/// The keys of `healthcheck`.
pub(super) const HEALTHCHECK: Keys =
    &[("test interval timeout retries start_period start_interval disable", Use::Supported)];

/// The keys of a port in its long form.
pub(super) const PORT: Keys = &[("target published host_ip protocol mode name app_protocol", Use::Supported)];

/// The keys of a volume in its long form.
pub(super) const VOLUME: Keys =
    &[("type source target read_only bind volume tmpfs image consistency", Use::Supported)];

/// The keys of a file in `env_file`.
pub(super) const ENV_FILE: Keys = &[("path required format", Use::Supported)];

/// Reports the keys of a mapping that are unknown, unsupported or without effect.
pub(super) fn check(field: &Field<'_>, keys: Keys, findings: &mut Findings) {
    for (key, value) in field.entries(findings) {
        // Keys that begin with `x-` are the user's own.
        if key.starts_with("x-") {
            continue;
        }
        let known = keys.iter().find(|(names, _)| names.split(' ').any(|name| name == key.as_str()));
        match known.map(|(_, use_)| *use_) {
            Some(_) if value.node.is_null() => {}
            Some(Use::Supported) => {}
            Some(Use::ContainerLimit) => findings.push(Finding::note(
                "container-limit",
                key.place.clone(),
                format!("`{}` limits containers, not processes", *key),
            )),
            Some(Use::ContainerOnly(instead)) => findings.push(
                Finding::warning(
                    "container-only",
                    key.place.clone(),
                    format!("`{}` has no effect outside containers", *key),
                )
                .with_help(format!("for a process, {instead}")),
            ),
            Some(Use::Unsupported(way_out)) => findings.push(
                Finding::error("unsupported-key", key.place.clone(), format!("`{}` is not supported", *key))
                    .with_help(way_out),
            ),
            None => {
                let finding =
                    Finding::error("unknown-key", key.place.clone(), format!("unknown key `{}`", *key));
                let names = keys.iter().flat_map(|(names, _)| names.split(' '));
                findings.push(match findings.near(&key, names) {
                    Some(near) => finding.with_help(format!("did you mean `{near}`?")),
                    None => finding.with_help(
                        "check the key's place and spelling; names of custom keys begin with `x-`",
                    ),
                });
            }
        }
    }
}
