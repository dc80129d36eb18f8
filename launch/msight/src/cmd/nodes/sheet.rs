//! Formats a program for a terminal: its topics, flags and metrics.

use msight_compose::terminal::cell;
use msight_contract::{Section, sections, wrapped};

use super::list::place;
use super::page::{kind_and_unit, ports, sentence, values};
use msight_graph::catalog::Program;

/// The text, `width` columns wide.
pub(super) fn text(program: &Program, width: usize) -> String {
    let about = program.description();
    let mut text = format!("{} {}: {}\n\n", cell(&about.program), cell(&about.version), place(program));
    for paragraph in [&about.summary, &about.details, &sentence(about).replace('`', "")] {
        if !paragraph.is_empty() {
            text += &wrapped(paragraph, 0, width);
            text.push('\n');
        }
    }
    text += "Topics:\n";
    for (direction, port) in ports(about) {
        let types: Vec<&str> = port.types().collect();
        let types = if types.is_empty() { "any".to_owned() } else { types.join(" or ") };
        text += &format!("  {:19} {direction:6}  {}\n", cell(&port.flag), cell(&types));
    }
    text.push('\n');
    for Section { title, flags } in sections(&about.flags) {
        text += &format!("{title}:\n");
        for flag in flags {
            text += &format!("  {}\n{}", flag.usage(), wrapped(&flag.help, 6, width));
            text += &wrapped(&flag.note().replace('`', ""), 6, width);
        }
        text.push('\n');
    }
    if !about.metrics.is_empty() {
        text += "Metrics:\n";
    }
    for metric in &about.metrics {
        let (kind, unit) = kind_and_unit(metric);
        text += &format!("  {} ({kind}, {unit})\n{}", cell(&metric.name), wrapped(&metric.help, 6, width));
        for label in &metric.labels {
            text += &wrapped(&values(label).replace('`', ""), 6, width);
        }
    }
    text.trim_end().to_owned() + "\n"
}
