//! A service's dependencies, restart policy, replicas and health check.

use super::field::Field;
use super::finding::Findings;
use super::yaml::Value;
use super::{
    Condition, Dependency, Finding, HealthTest, Healthcheck, Located, MAX_REPLICAS, MAX_SERVICES, Restart,
    keys,
};
use msight_contract::suggest::closest;

/// `depends_on`, as a list of names or as a mapping.
pub(super) fn dependencies(field: &Field<'_>, findings: &mut Findings) -> Vec<Dependency> {
    if field.is_list() {
        let mut dependencies: Vec<Dependency> = Vec::new();
        for service in field.texts(findings).into_iter().take(MAX_SERVICES) {
            if !dependencies.iter().any(|known| known.service == service) {
                dependencies.push(started(service));
            }
        }
        return dependencies;
    }
    let mut dependencies = Vec::new();
    for (service, field) in field.entries(findings).into_iter().take(MAX_SERVICES) {
        let mut dependency = started(service);
        if !field.node.is_null() {
            keys::check(&field, keys::DEPENDENCY, findings);
            if let Some(condition) = field.get("condition").and_then(|field| field.text(findings)) {
                dependency.condition = read_condition(&condition, findings);
            }
            if let Some(required) = field.get("required").and_then(|field| field.boolean(findings)) {
                dependency.required = required;
            }
            if let Some(restart) = field.get("restart").and_then(|field| field.boolean(findings)) {
                dependency.restart = restart;
            }
        }
        dependencies.push(dependency);
    }
    dependencies
}

/// A dependency with the condition `service_started`.
pub(super) fn started(service: Located<String>) -> Dependency {
    Dependency { service, condition: Condition::Started, required: true, restart: false }
}

fn read_condition(text: &Located<String>, findings: &mut Findings) -> Condition {
    match text.as_str() {
        "service_started" => Condition::Started,
        "service_healthy" => Condition::Healthy,
        "service_completed_successfully" => Condition::CompletedSuccessfully,
        other => {
            let known = ["service_started", "service_healthy", "service_completed_successfully"];
            invalid_value(text, other, &known, findings);
            Condition::Started
        }
    }
}

/// `restart`, else `deploy.restart_policy`.
pub(super) fn restart(service: &Field<'_>, findings: &mut Findings) -> Restart {
    if let Some(field) = service.get("restart") {
        // YAML 1.1 reads a bare `no` as false, and so does Compose.
        if field.scalar().is_some_and(|scalar| scalar.text == "false") {
            return Restart::No;
        }
        let Some(text) = field.text(findings) else { return Restart::No };
        return match text.as_str() {
            "no" | "" => Restart::No,
            "always" => Restart::Always,
            "unless-stopped" => Restart::UnlessStopped,
            "on-failure" => Restart::OnFailure(None),
            other => match other.strip_prefix("on-failure:").map(str::parse) {
                Some(Ok(times)) => Restart::OnFailure((times > 0).then_some(times)),
                _ => {
                    invalid_value(
                        &text,
                        other,
                        &["no", "always", "on-failure", "on-failure:5", "unless-stopped"],
                        findings,
                    );
                    Restart::No
                }
            },
        };
    }
    let Some(policy) = service.get("deploy").and_then(|deploy| deploy.get("restart_policy")) else {
        return Restart::No;
    };
    keys::check(&policy, keys::RESTART_POLICY, findings);
    let times = policy.get("max_attempts").and_then(|field| field.integer(0..=u32::MAX, findings));
    match policy.get("condition").and_then(|field| field.text(findings)) {
        None => Restart::Always,
        Some(condition) => match condition.as_str() {
            "none" => Restart::No,
            "any" => Restart::Always,
            "on-failure" => Restart::OnFailure(times.filter(|times| *times > 0)),
            other => {
                invalid_value(&condition, other, &["none", "any", "on-failure"], findings);
                Restart::No
            }
        },
    }
}

/// `deploy.replicas` or `scale`, which mean the same.
pub(super) fn replicas(service: &Field<'_>, findings: &mut Findings) -> u32 {
    let read = |field: Option<Field<'_>>, findings: &mut Findings| {
        let field = field?;
        Some((field.integer(0..=MAX_REPLICAS, findings)?, field.place()))
    };
    let scale = read(service.get("scale"), findings);
    let replicas = read(service.get("deploy").and_then(|deploy| deploy.get("replicas")), findings);
    match (scale, replicas) {
        (Some((scale, place)), Some((replicas, _))) if scale != replicas => {
            findings.error(
                "contradiction",
                place,
                format!("`scale` is {scale}, but `deploy.replicas` is {replicas}"),
            );
            replicas
        }
        (Some((number, _)), _) | (None, Some((number, _))) => number,
        (None, None) => 1,
    }
}

/// `healthcheck`
pub(super) fn healthcheck(field: &Field<'_>, findings: &mut Findings) -> Option<Healthcheck> {
    field.mapping(findings)?;
    keys::check(field, keys::HEALTHCHECK, findings);
    let mut duration = |key| field.get(key)?.duration(findings).map(|read| read.value);
    let (interval, timeout) = (duration("interval"), duration("timeout"));
    let (start_period, start_interval) = (duration("start_period"), duration("start_interval"));
    let retries = field.get("retries").and_then(|field| field.integer(0..=u32::MAX, findings));
    let is_disabled = field.get("disable").and_then(|field| field.boolean(findings)).unwrap_or(false);
    let test = match is_disabled {
        true => Some(HealthTest::None),
        false => field.get("test").and_then(|field| health_test(&field, findings)),
    };
    Some(Healthcheck { test, interval, timeout, retries, start_period, start_interval })
}

fn health_test(field: &Field<'_>, findings: &mut Findings) -> Option<HealthTest> {
    if !matches!(field.node.value, Value::Sequence(_)) {
        return field.text(findings).map(HealthTest::Shell);
    }
    let mut words = field.texts(findings);
    if words.is_empty() {
        return None;
    }
    let kind = words.remove(0);
    match (kind.as_str(), words.len()) {
        ("NONE", 0) => Some(HealthTest::None),
        ("CMD", 1..) => Some(HealthTest::Command(words)),
        ("CMD-SHELL", 1) => words.pop().map(HealthTest::Shell),
        _ => {
            findings.push(
                Finding::error(
                    "invalid-healthcheck",
                    kind.place,
                    "a health check that is a list must begin with `CMD`, `CMD-SHELL` or `NONE`",
                )
                .with_help("write `[\"CMD\", \"program\", \"argument\"]` or `[\"CMD-SHELL\", \"one line\"]`"),
            );
            None
        }
    }
}

/// Reports a value that is not one of the `known` ones.
fn invalid_value(text: &Located<String>, written: &str, known: &[&str], findings: &mut Findings) {
    let finding = Finding::error("invalid-value", text.place.clone(), format!("invalid value `{written}`"));
    findings.push(match closest(written, known.iter().copied()) {
        Some(near) => finding.with_help(format!("did you mean `{near}`?")),
        None => finding.with_help(format!("expected one of: {}", known.join(", "))),
    });
}
