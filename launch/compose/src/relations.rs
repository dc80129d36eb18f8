//! Relations between services: dependencies, and the names that others reach a service by.

use std::collections::HashMap;

use super::field::Field;
use super::finding::Findings;
use super::lifecycle::started;
use super::{Finding, Located, MAX_SERVICES, Service};

/// Adds the dependencies implied by `links` and by `network_mode: service:NAME`, and the aliases of `links`.
pub(super) fn implied(
    services: &mut [Service],
    fields: &HashMap<String, Field<'_>>,
    findings: &mut Findings,
) {
    let mut names = Vec::new();
    for service in services.iter_mut() {
        let mut others = Vec::new();
        if let Some(field) = fields.get(&*service.name).and_then(|field| field.get("links")) {
            for link in field.texts(findings).into_iter().take(MAX_SERVICES) {
                let (other, alias) =
                    link.split_once(':').map_or((link.as_str(), None), |(o, a)| (o, Some(a)));
                if let Some(alias) = alias {
                    names.push((other.to_owned(), Located::new(alias.to_owned(), link.place.clone())));
                }
                others.push(Located::new(other.to_owned(), link.place.clone()));
            }
        }
        if let Some(mode) = &service.network_mode
            && let Some(other) = mode.strip_prefix("service:")
        {
            others.push(Located::new(other.to_owned(), mode.place.clone()));
        }
        for other in others {
            if !service.depends_on.iter().any(|known| known.service == other) {
                service.depends_on.push(started(other));
            }
        }
    }
    for (name, alias) in names {
        if let Some(service) = services.iter_mut().find(|service| *service.name == name) {
            service.aliases.push(alias);
        }
    }
}

/// Reports dependencies that can never be met.
pub(super) fn check(services: &[Service], findings: &mut Findings) {
    let by_name: HashMap<&str, usize> =
        services.iter().enumerate().map(|(index, service)| (service.name.as_str(), index)).collect();
    for service in services.iter().filter(|service| service.active) {
        for dependency in &service.depends_on {
            let other = &dependency.service;
            let Some(found) = by_name.get(other.as_str()).map(|index| &services[*index]) else {
                let message = format!("unknown service `{}` in a dependency", **other);
                let finding = match dependency.required {
                    true => Finding::error("unknown-service", other.place.clone(), message),
                    false => Finding::warning("unknown-service", other.place.clone(), message),
                };
                findings.push(match findings.near(other, by_name.keys().copied()) {
                    Some(near) => finding.with_help(format!("did you mean `{near}`?")),
                    None => finding.with_help(format!("services of this file: {}", listed(services))),
                });
                continue;
            };
            if dependency.required && !found.active {
                let message =
                    format!("required service `{}` is inactive: none of its profiles is enabled", **other);
                let profile = found.profiles.first().map_or("", |profile| profile.as_str());
                findings
                    .push(Finding::error("inactive-dependency", other.place.clone(), message).with_help(
                        format!("enable it with `--profile {profile}`, or set `required: false`"),
                    ));
            }
        }
    }
    dependency_cycle(services, &by_name, findings);
}

/// The names of the first services, for a help text.
fn listed(services: &[Service]) -> String {
    let names: Vec<&str> = services.iter().take(8).map(|service| service.name.as_str()).collect();
    format!("{}{}", names.join(", "), if services.len() > names.len() { ", …" } else { "" })
}

/// Reports the first dependency cycle: its services could never start.
fn dependency_cycle(services: &[Service], by_name: &HashMap<&str, usize>, findings: &mut Findings) {
    let needed = |index: usize| {
        services[index].depends_on.iter().filter_map(|on| Some((*by_name.get(on.service.as_str())?, on)))
    };
    // Remove the services that could start until only cycles and what depends on them are left.
    let mut waiting: Vec<usize> = (0..services.len()).map(|index| needed(index).count()).collect();
    let mut waited_for_by = vec![Vec::new(); services.len()];
    for index in 0..services.len() {
        needed(index).for_each(|(other, _)| waited_for_by[other].push(index));
    }
    let mut ready: Vec<usize> = (0..services.len()).filter(|index| waiting[*index] == 0).collect();
    while let Some(index) = ready.pop() {
        for other in &waited_for_by[index] {
            waiting[*other] -= 1;
            if waiting[*other] == 0 {
                ready.push(*other);
            }
        }
    }
    // From any of these, following dependencies leads into a cycle.
    let Some(mut at) = waiting.iter().position(|count| *count > 0) else { return };
    let mut trail = Vec::new();
    while !trail.contains(&at) {
        trail.push(at);
        match needed(at).find(|(other, _)| waiting[*other] > 0) {
            Some((other, _)) => at = other,
            None => return,
        }
    }
    let cycle = &trail[trail.iter().position(|index| *index == at).unwrap_or(0)..];
    let names: Vec<&str> = cycle.iter().chain([&at]).map(|index| services[*index].name.as_str()).collect();
    let last = cycle.last().copied().unwrap_or(at);
    if let Some((_, dependency)) = needed(last).find(|(other, _)| *other == at) {
        let message = format!("dependency cycle: {}", names.join(" → "));
        findings.push(
            Finding::error("dependency-cycle", dependency.service.place.clone(), message)
                .with_help("remove one of these dependencies from `depends_on`, `links` or `network_mode`; services in a cycle never start"),
        );
    }
}
