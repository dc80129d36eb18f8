//! Draws a graph in the language of Mermaid (<https://mermaid.js.org/syntax/flowchart.html>).

use std::fmt::Write as _;

use super::picture::{DrawnBox, Picture, Role};

pub(super) fn draw(picture: &Picture) -> String {
    let mut text = "flowchart LR\n".to_owned();
    if let Some(bus) = &picture.bus {
        let _ = writeln!(text, "  subgraph bus[\"{}<br/>{}\"]", quoted(&bus.title), quoted(&bus.text));
    }
    for (at, one) in picture.inside() {
        draw_box(&mut text, at, one);
    }
    if picture.bus.is_some() {
        text.push_str("  end\n");
    }
    for (at, one) in picture.servers() {
        draw_box(&mut text, at, one);
    }
    for channel in &picture.channels {
        let label = format!("{}<br/>{}", quoted(&channel.name), quoted(&channel.text));
        for from in &channel.writers {
            for to in &channel.readers {
                let _ = writeln!(text, "  n{from} -- \"{label}\" --> n{to}");
            }
        }
    }
    for link in &picture.links {
        let line = if link.is_directed { "-->" } else { "-.-" };
        let _ = writeln!(text, "  n{} {line} n{}", link.from, link.to);
    }
    text
}

fn draw_box(text: &mut String, at: usize, one: &DrawnBox) {
    let line = if one.text.is_empty() { String::new() } else { format!("<br/>{}", quoted(&one.text)) };
    let (open, close) = match one.role {
        Role::Node(_) | Role::Unreadable => ("[", "]"),
        Role::Outside | Role::Missing => ("([", "])"),
        Role::Server(_) => ("[(", ")]"),
    };
    let _ = writeln!(text, "  n{at}{open}\"{}{line}\"{close}", quoted(&one.title));
}

fn quoted(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}
