//! Formats a program for a terminal: its topics, flags and metrics.

use msight_node::describe::Flag;

use super::list::place;
use super::page::{kind_and_unit, note, ports, sections, sentence, values};
use msight_graph::catalog::Program;

/// The text, `width` columns wide.
pub(super) fn text(program: &Program, width: usize) -> String {
    let about = program.description();
    let mut text = format!("{} {}: {}\n\n", about.program, about.version, place(program));
    for paragraph in [&about.summary, &about.details, &sentence(about).replace('`', "")] {
        if !paragraph.is_empty() {
            text += &wrapped(paragraph, 0, width);
            text.push('\n');
        }
    }
    text += "Topics:\n";
    for (direction, port) in ports(about) {
        let data_type = port.data_type.as_deref().unwrap_or("any");
        text += &format!("  {:19} {direction:6}  {data_type}\n", port.flag);
    }
    text.push('\n');
    for (heading, flags) in sections(about) {
        text += &format!("{heading}:\n");
        for flag in flags {
            text += &format!("  {}\n{}", usage(flag), wrapped(&flag.help, 6, width));
            text += &wrapped(&note(flag).replace('`', ""), 6, width);
        }
        text.push('\n');
    }
    if !about.metrics.is_empty() {
        text += "Metrics:\n";
    }
    for metric in &about.metrics {
        let (kind, unit) = kind_and_unit(metric);
        text += &format!("  {} ({kind}, {unit})\n{}", metric.name, wrapped(&metric.help, 6, width));
        for label in &metric.labels {
            text += &wrapped(&values(label).replace('`', ""), 6, width);
        }
    }
    text.trim_end().to_owned() + "\n"
}

fn usage(flag: &Flag) -> String {
    let value = flag.value_name.as_ref().map(|name| format!(" <{name}>")).unwrap_or_default();
    flag.names.join(", ") + &value + if flag.several { "..." } else { "" }
}

/// Wraps a text at `width` columns between words, with an indent.
fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let mut lines = String::new();
    for paragraph in text.split('\n').filter(|paragraph| !paragraph.trim().is_empty()) {
        let mut length = width;
        for word in paragraph.split_whitespace() {
            let letters = word.chars().count();
            if length + 1 + letters > width {
                if !lines.is_empty() {
                    lines.push('\n');
                }
                lines += &" ".repeat(indent);
                length = indent + letters;
            } else {
                lines.push(' ');
                length += 1 + letters;
            }
            lines += word;
        }
    }
    if !lines.is_empty() {
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_end_between_words() {
        assert_eq!(wrapped("one two three\n\nfour", 2, 9), "  one two\n  three\n  four\n");
        assert_eq!(wrapped("incomprehensible", 2, 9), "  incomprehensible\n");
        assert_eq!(wrapped("", 2, 9), "");
    }
}
