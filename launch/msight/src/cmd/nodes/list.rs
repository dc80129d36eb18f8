//! The list of programs, by where they are from.

use std::path::Path;

use msight_node::describe::Description;

use msight_graph::catalog::{NotFound, Origin, Program};

/// One line for each program, below where it is from; at the end what is called like a node and is none.
pub(super) fn text(programs: &[Program], others: &[NotFound]) -> String {
    let longest = programs.iter().map(|program| program.description().program.len()).max().unwrap_or(0);
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
            text += &format!("  {:longest$}  {:9}  {}\n", about.program, about.kind, messages(about));
        }
    }
    if !others.is_empty() {
        text += "\nOf no use:\n";
    }
    others.iter().fold(text, |text, other| format!("{text}  {other}\n"))
}

/// What goes in and what comes out, by the short names of MSight's types.
fn messages(about: &Description) -> String {
    let name = |data_type: &Option<String>| data_type.as_deref().map_or("any", short).to_owned();
    match about.kind {
        msight_node::flags::Kind::Source => format!("→ {}", name(&about.publishes)),
        msight_node::flags::Kind::Processor => format!("{} → {}", name(&about.takes), name(&about.publishes)),
        msight_node::flags::Kind::Sink => format!("{} →", name(&about.takes)),
    }
}

/// MSight's types by their last word; others are not ours to shorten.
fn short(data_type: &str) -> &str {
    match data_type.strip_prefix("msight_core.data.") {
        Some(path) => path.rsplit('.').next().unwrap_or(path),
        None => data_type,
    }
}

/// Where a program is from, in words.
pub(super) fn place(program: &Program) -> String {
    let folder = |path: &Path| path.parent().unwrap_or(path).display().to_string();
    match program.origin() {
        Origin::BuiltIn => "built into msight".to_owned(),
        Origin::Installed(path) => folder(path),
        Origin::Python(Some(path)) => format!("{}, MSight in Python", folder(path)),
        Origin::Python(None) => "MSight in Python, not on this machine".to_owned(),
    }
}
