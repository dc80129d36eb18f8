//! The reference page of a program, in Markdown.

use msight_compose::terminal::cell;
use msight_contract::{LabelDescription, MetricDescription, Section, sections};
use msight_node::describe::{Description, Port};
use msight_node::flags::Kind;
use serde_json::json;

/// The page, made from the program's description only.
pub fn markdown(about: &Description) -> String {
    let mut page = format!("# {}\n\n{}.\n", cell(&about.program), safe(about.summary.trim_end_matches('.')));
    if !about.details.is_empty() {
        page += &format!("\n{}\n", safe(&about.details));
    }
    page += &format!("\n{}\n", sentence(about));
    page += "\n## Topics\n\n| flag | | message type |\n|---|---|---|\n";
    for (direction, port) in ports(about) {
        let types: Vec<String> = port.types().map(|name| format!("`{}`", cell(name))).collect();
        let data_type = if types.is_empty() { "any".to_owned() } else { types.join(" or ") };
        page += &format!("| `{}` | {direction} | {data_type} |\n", cell(&port.flag));
    }
    for Section { title, flags } in sections(&about.flags) {
        page += &format!("\n## {title}\n\n| | |\n|---|---|\n");
        for flag in flags {
            let value = flag.value_name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            let names: Vec<String> = flag.names.iter().map(|name| format!("`{}`", cell(name))).collect();
            let value = if value.is_empty() { value } else { format!(" `{}`", value.trim_start()) };
            let help = safe(flag.help.trim_end_matches('.')).replace("\n\n", "<br>").replace('\n', " ");
            let text = [format!("{help}."), flag.note()].join(" ");
            page += &format!("| {}{value} | {} |\n", names.join(" "), text.trim().replace('|', "\\|"));
        }
    }
    if !about.metrics.is_empty() {
        page += "\n## Metrics\n\n| metric | kind | unit | |\n|---|---|---|---|\n";
    }
    for metric in &about.metrics {
        let (kind, unit) = kind_and_unit(metric);
        let help = safe(metric.help.trim_end_matches('.')).replace('|', "\\|");
        let labels: String = metric.labels.iter().map(|label| format!(" {}.", values(label))).collect();
        page += &format!("| `{}` | {kind} | {unit} | {help}.{labels} |\n", cell(&metric.name));
    }
    page + &format!("\nThis reference is the output of `msight nodes {} --markdown`.\n", about.program)
}

/// The kind of the node, its message types and the variables it needs.
pub(super) fn sentence(about: &Description) -> String {
    let types = |ports: &[Port], flag: &str| {
        let types = ports.iter().filter(|port| port.flag == flag).flat_map(Port::types);
        let types: Vec<String> = types.map(|name| format!("`{name}`")).collect();
        if types.is_empty() { "messages of any type".to_owned() } else { types.join(" or ") }
    };
    let (takes, publishes) = (types(&about.inputs, Port::SUBSCRIBE), types(&about.outputs, Port::PUBLISH));
    let what = match about.kind {
        Kind::Source => format!("A source: it publishes {publishes}."),
        Kind::Processor => format!("A processor: it takes {takes} and publishes {publishes}."),
        Kind::Sink => format!("A sink: it takes {takes}."),
    };
    let needs: Vec<String> = about.needs.iter().map(|variable| format!("`{variable}`")).collect();
    let needs =
        if needs.is_empty() { String::new() } else { format!(" It needs {} to be set.", needs.join(", ")) };
    format!("{what} The registry calls it `{}`.{needs}", about.class)
}

/// The inputs and outputs, each with its direction.
pub(super) fn ports(about: &Description) -> impl Iterator<Item = (&'static str, &Port)> {
    let inputs = about.inputs.iter().map(|port| ("input", port));
    inputs.chain(about.outputs.iter().map(|port| ("output", port)))
}

/// The kind and the unit of a metric, in the words of `--describe`.
pub(super) fn kind_and_unit(metric: &MetricDescription) -> (String, String) {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (word(json!(metric.kind)), word(json!(metric.unit)))
}

/// A label of a metric, with its values if they are known.
pub(super) fn values(label: &LabelDescription) -> String {
    let values: Vec<String> = label.values.iter().map(|value| format!("`{value}`")).collect();
    match values.is_empty() {
        true => format!("Label `{}`", label.name),
        false => format!("Label `{}`: {}", label.name, values.join(", ")),
    }
}

/// Escapes text that Markdown would take for a tag.
fn safe(text: &str) -> String {
    text.replace('<', "&lt;")
}
