//! Draws a graph in the DOT language of Graphviz (<https://graphviz.org/doc/info/lang.html>).

use std::fmt::Write as _;

use super::picture::{DrawnBox, Picture, Role};

pub(super) fn draw(picture: &Picture) -> String {
    let mut text =
        "digraph {\n  rankdir = LR;\n  node [shape = box, fontname = sans];\n  edge [fontname = sans];\n"
            .to_owned();
    if let Some(bus) = &picture.bus {
        let label = format!("{}\\n{}", quoted(&bus.title), quoted(&bus.text));
        let _ = writeln!(text, "  subgraph cluster_bus {{\n  label = \"{label}\"; fontname = sans;");
    }
    for (at, one) in picture.inside() {
        draw_box(&mut text, at, one);
    }
    if picture.bus.is_some() {
        text.push_str("  }\n");
    }
    for (at, one) in picture.servers() {
        draw_box(&mut text, at, one);
    }
    for channel in &picture.channels {
        let label = format!("{}\\n{}", quoted(&channel.name), quoted(&channel.text));
        for from in &channel.writers {
            for to in &channel.readers {
                let _ = writeln!(text, "  n{from} -> n{to} [label = \"{label}\"];");
            }
        }
    }
    for link in &picture.links {
        let style = if link.is_directed { "" } else { " [dir = none, style = dotted]" };
        let _ = writeln!(text, "  n{} -> n{}{style};", link.from, link.to);
    }
    text + "}\n"
}

fn draw_box(text: &mut String, at: usize, one: &DrawnBox) {
    let shape = match one.role {
        Role::Node(_) => "",
        Role::Unreadable => ", style = dashed",
        Role::Outside | Role::Missing => ", shape = plaintext",
        Role::Server(_) => ", shape = cylinder",
    };
    let line = if one.text.is_empty() { String::new() } else { format!("\\n{}", quoted(&one.text)) };
    let _ = writeln!(text, "  n{at} [label = \"{}{line}\"{shape}];", quoted(&one.title));
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
