//! Reads one service of a file.

use super::environment::Environments;
use super::field::Field;
use super::finding::Findings;
use super::volumes::Folders;
use super::yaml::Value;
use super::{Build, Finding, Located, Service, keys, lifecycle, ports, volumes};

/// The context for reading services.
pub(super) struct Reader<'a> {
    pub(super) folders: Folders<'a>,
    pub(super) environments: Environments<'a>,
    /// The enabled profiles; `*` enables all.
    pub(super) profiles: &'a [String],
}

impl Reader<'_> {
    /// Reads the service `name`; `None` if its value is not a mapping.
    pub(super) fn service(
        &mut self,
        name: Located<String>,
        field: &Field<'_>,
        findings: &mut Findings,
    ) -> Option<Service> {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
            findings.push(
                Finding::error(
                    "invalid-service-name",
                    name.place.clone(),
                    format!("invalid service name `{}`", *name),
                )
                .with_help("use letters, digits, `.`, `_` and `-`"),
            );
        }
        field.mapping(findings)?;
        keys::check(field, keys::SERVICE, findings);
        if let Some(deploy) = field.get("deploy") {
            keys::check(&deploy, keys::DEPLOY, findings);
        }
        let mut text = |key| field.get(key).and_then(|field| field.text(findings));
        let (image, container_name) = (text("image"), text("container_name"));
        let (network_mode, working_dir) = (text("network_mode"), text("working_dir"));
        let (user, stop_signal, hostname) = (text("user"), text("stop_signal"), text("hostname"));
        let profiles = field.get("profiles").map(|field| field.texts(findings)).unwrap_or_default();
        let active = profiles.is_empty()
            || self.profiles.iter().any(|chosen| chosen == "*")
            || profiles.iter().any(|profile| self.profiles.contains(profile));
        let before = findings.error_count();
        let entrypoint = field.get("entrypoint").map(|field| field.words(findings));
        let command = field.get("command").map(|field| field.words(findings));
        let environment = self.environments.read(field, findings);
        let keys = ["image", "entrypoint", "command", "environment", "env_file"];
        let is_incomplete = findings.error_count() > before
            || field.get("<<").is_some()
            || keys.iter().filter_map(|key| field.get(key)).any(|field| field.node.is_incomplete());
        let service = Service {
            active,
            image,
            build: field.get("build").and_then(|field| build(&field, findings)),
            entrypoint,
            command,
            environment,
            is_incomplete,
            depends_on: field
                .get("depends_on")
                .map(|field| lifecycle::dependencies(&field, findings))
                .unwrap_or_default(),
            restart: lifecycle::restart(field, findings),
            replicas: lifecycle::replicas(field, findings),
            profiles,
            healthcheck: field.get("healthcheck").and_then(|field| lifecycle::healthcheck(&field, findings)),
            volumes: field
                .get("volumes")
                .map(|field| volumes::read(&field, self.folders, findings))
                .unwrap_or_default(),
            ports: field.get("ports").map(|field| ports::read(&field, findings)).unwrap_or_default(),
            network_mode,
            container_name,
            aliases: hostname.into_iter().chain(aliases(field, findings)).collect(),
            stop_grace_period: field.get("stop_grace_period").and_then(|field| field.duration(findings)),
            stop_signal,
            working_dir,
            user,
            name,
        };
        check(&service, field.get("<<").is_some(), findings);
        Some(service)
    }
}

/// Reports contradictions between the keys of a service. `lacks_settings`: it merges a mapping that is unknown.
fn check(service: &Service, lacks_settings: bool, findings: &mut Findings) {
    if service.image.is_none() && service.build.is_none() && !lacks_settings {
        findings.push(
            Finding::error(
                "no-image",
                service.name.place.clone(),
                format!("service `{}` has no image", *service.name),
            )
            .with_help("set `image` or `build`, which Docker Compose requires"),
        );
    }
    if let Some(name) = &service.container_name
        && service.replicas > 1
    {
        findings.error(
            "replicas-with-name",
            name.place.clone(),
            format!("{} replicas cannot share one `container_name`", service.replicas),
        );
    }
    if let Some(mode) = &service.network_mode
        && mode.as_str() == "host"
        && !service.ports.is_empty()
    {
        findings.push(Finding::note(
            "ports-without-effect",
            mode.place.clone(),
            "`ports` has no effect with `network_mode: host`: the service's own ports are open",
        ));
    }
}

/// `build`, as a folder or as a mapping.
fn build(field: &Field<'_>, findings: &mut Findings) -> Option<Build> {
    if !matches!(field.node.value, Value::Mapping(_)) {
        return Some(Build { context: field.text(findings)?, dockerfile: None, target: None });
    }
    keys::check(field, keys::BUILD, findings);
    let mut text = |key| field.get(key).and_then(|field| field.text(findings));
    let context = text("context").unwrap_or_else(|| Located::new(".".to_owned(), field.place()));
    Some(Build { context, dockerfile: text("dockerfile"), target: text("target") })
}

/// The further names of a service in its networks.
fn aliases(service: &Field<'_>, findings: &mut Findings) -> Vec<Located<String>> {
    let Some(networks) = service.get("networks").filter(|networks| !networks.is_list()) else {
        return Vec::new();
    };
    let mut aliases = Vec::new();
    for (_, network) in networks.entries(findings) {
        if let Some(field) = network.get("aliases") {
            aliases.extend(field.texts(findings));
        }
    }
    aliases
}
