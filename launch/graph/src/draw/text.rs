//! Draws a graph as text: each box with the topics that it writes.

use std::fmt::Write as _;

use super::picture::{Picture, Role};

pub(super) fn draw(picture: &Picture) -> String {
    let titles = picture.boxes.iter().map(|one| &one.title).chain(picture.bus.iter().map(|bus| &bus.title));
    let width = titles.map(|title| title.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (at, one) in picture.boxes.iter().enumerate() {
        let written: Vec<_> =
            picture.channels.iter().filter(|channel| channel.writers.contains(&at)).collect();
        // A reader outside the graph stands at the end of its topic only.
        if written.is_empty() && matches!(one.role, Role::Outside | Role::Missing) {
            continue;
        }
        let _ = writeln!(text, "{}", format!("{:width$}  {}", one.title, one.text).trim_end());
        for channel in written {
            for reader in &channel.readers {
                let reader = &picture.boxes[*reader].title;
                let _ = writeln!(text, "  └─ {} ({}) ─▶ {reader}", channel.name, channel.text);
            }
        }
        for link in picture.links.iter().filter(|link| link.from == at) {
            let line = if link.is_directed { "└─▶" } else { "└──" };
            let _ = writeln!(text, "  {line} {}", picture.boxes[link.to].title);
        }
    }
    if let Some(bus) = &picture.bus {
        let _ = writeln!(text, "{:width$}  {}: carries all topics", bus.title, bus.text);
    }
    text
}
