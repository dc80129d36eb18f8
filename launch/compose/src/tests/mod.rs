//! Whole files: the project that is read, and the findings.

mod files;
mod findings;
mod projects;

use super::*;

fn source(name: &str, text: &str) -> Source {
    Source::Text { name: name.into(), text: text.into() }
}

fn options(variables: &[(&str, &str)]) -> Options {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Options { variables: variables.collect(), folder: "/srv/graph".into(), ..Options::default() }
}

/// Reads a project that has no findings.
fn clean(text: &str) -> Project {
    let reading = read(&[source("compose.yaml", text)], &options(&[]));
    assert!(reading.findings.is_empty(), "{}", rendered(&reading));
    reading.project
}

fn rendered(reading: &Reading) -> String {
    reading.findings.iter().map(|finding| format!("{finding}\n")).collect()
}

/// Place, severity and code of each finding, as `c:4:5 error unknown-key`.
fn codes(text: &str) -> Vec<String> {
    let reading = read(&[source("c", text)], &options(&[]));
    reading.findings.iter().map(code).collect()
}

fn code(finding: &Finding) -> String {
    let place = finding.place.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{place} {} {}", finding.severity, finding.code)
}

fn words(words: impl IntoIterator<Item = impl std::ops::Deref<Target = Located<String>>>) -> Vec<String> {
    words.into_iter().map(|word| word.value.clone()).collect()
}
