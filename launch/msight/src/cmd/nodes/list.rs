//! Lists programs by origin.

use std::path::Path;

use msight_compose::terminal::{cell, shortened};
use msight_node::describe::Description;

use msight_graph::catalog::{NotFound, Origin, Program};

/// Most characters of the reason why a program is not usable, which has its path.
const MAX_REASON: usize = 500;

/// One line for each program, grouped by origin; then the programs that are not usable.
pub(super) fn text(programs: &[Program], others: &[NotFound]) -> String {
    let name = |program: &Program| cell(&program.description().program);
    let longest = programs.iter().map(|program| name(program).chars().count()).max().unwrap_or(0);
    let mut places: Vec<String> = Vec::new();
    for place in programs.iter().map(place) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let mut text = String::new();
    for shown in &places {
        if !text.is_empty() {
            text.push('\n');
        }
        text += &format!("{shown}:\n");
        for program in programs.iter().filter(|program| place(program) == *shown) {
            let about = program.description();
            text += &format!("  {:longest$}  {:9}  {}\n", name(program), about.kind, cell(&messages(about)));
        }
    }
    if !others.is_empty() {
        text += "\nNot usable:\n";
    }
    others.iter().fold(text, |text, other| format!("{text}  {}\n", shortened(&other.to_string(), MAX_REASON)))
}

/// The types of received and published messages, by MSight's short names.
fn messages(about: &Description) -> String {
    let name = |data_type: Option<&str>| data_type.map_or("any", short).to_owned();
    match about.kind {
        msight_node::flags::Kind::Source => format!("→ {}", name(about.publishes())),
        msight_node::flags::Kind::Processor => {
            format!("{} → {}", name(about.takes()), name(about.publishes()))
        }
        msight_node::flags::Kind::Sink => format!("{} →", name(about.takes())),
    }
}

/// The short name of one of MSight's types; other types stay as they are.
fn short(data_type: &str) -> &str {
    match data_type.strip_prefix("msight_core.data.") {
        Some(path) => path.rsplit('.').next().unwrap_or(path),
        None => data_type,
    }
}

/// The origin of a program, in words.
pub(super) fn place(program: &Program) -> String {
    let folder = |path: &Path| shortened(&path.parent().unwrap_or(path).to_string_lossy(), MAX_REASON);
    match program.origin() {
        Origin::BuiltIn => "built into msight".to_owned(),
        Origin::Installed(path) => folder(path),
        Origin::Python(Some(path)) => format!("{}, MSight in Python", folder(path)),
        Origin::Python(None) => "MSight in Python, not on this machine".to_owned(),
    }
}
