//! Draws a graph as text, Mermaid, DOT or SVG.

mod svg;

use std::fmt::Write as _;

use clap::ValueEnum;

use crate::graph::{Graph, Node};
use crate::server::{Server, ServerKind};

/// The format of a drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for a terminal
    Text,
    /// Mermaid, for Markdown
    Mermaid,
    /// DOT, for Graphviz
    Dot,
    /// SVG, for browsers
    Svg,
}

/// Draws the graph, with a final line break.
pub fn draw(graph: &Graph, format: Format) -> String {
    let picture = Picture::of(graph);
    match format {
        Format::Text => picture.text(),
        Format::Mermaid => picture.mermaid(),
        Format::Dot => picture.dot(),
        Format::Svg => svg::draw(&picture),
    }
}

/// The drawing: boxes in columns, and arrows between them.
struct Picture {
    boxes: Vec<Box>,
    arrows: Vec<Arrow>,
    /// The servers, with their descriptions.
    servers: Vec<(String, String)>,
}

struct Box {
    title: String,
    text: String,
    /// The column, from 0.
    rank: usize,
    /// Stands for writers or readers outside the graph.
    is_outside: bool,
}

struct Arrow {
    from: usize,
    to: usize,
    topic: String,
    /// The message type without its module path.
    data_type: String,
}

impl Picture {
    fn of(graph: &Graph) -> Self {
        let mut nodes: Vec<(usize, &Node)> = graph.ranks().into_iter().zip(&graph.nodes).collect();
        nodes.sort_by_key(|(rank, _)| *rank);
        let mut boxes: Vec<Box> = nodes
            .iter()
            .map(|(rank, node)| Box {
                title: match node.instances {
                    1 => node.service.value.clone(),
                    count => format!("{} ×{count}", node.service.value),
                },
                text: node.program.description().program.clone(),
                rank: *rank,
                is_outside: false,
            })
            .collect();
        let index =
            |node: &Node| nodes.iter().position(|(_, one)| std::ptr::eq(*one, node)).unwrap_or_default();
        let mut arrows = Vec::new();
        for (name, topic) in graph.topics() {
            let used =
                topic.writers.iter().chain(&topic.readers).find_map(|(_, used)| used.data_type.as_deref());
            let data_type = used.map(|name| name.rsplit('.').next().unwrap_or(name)).unwrap_or("any");
            let mut outside = |text: &str, rank| {
                boxes.push(Box { title: text.to_owned(), text: String::new(), rank, is_outside: true });
                boxes.len() - 1
            };
            let writers = match topic.writers.is_empty() {
                true => vec![outside("outside", 0)],
                false => topic.writers.iter().map(|(node, _)| index(node)).collect(),
            };
            let readers = match topic.readers.is_empty() {
                true => {
                    let rank = topic.writers.iter().map(|(node, _)| nodes[index(node)].0 + 1).max();
                    let title = if graph.external.contains(name) { "outside" } else { "no reader" };
                    vec![outside(title, rank.unwrap_or(0))]
                }
                false => topic.readers.iter().map(|(node, _)| index(node)).collect(),
            };
            for &from in &writers {
                for &to in &readers {
                    arrows.push(Arrow { from, to, topic: name.to_owned(), data_type: data_type.to_owned() });
                }
            }
        }
        let servers = graph.servers.iter().map(|server| (server.service.value.clone(), described(server)));
        Self { boxes, arrows, servers: servers.collect() }
    }

    fn text(&self) -> String {
        let titles = self.boxes.iter().map(|one| &one.title).chain(self.servers.iter().map(|(name, _)| name));
        let width = titles.map(|title| title.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for (at, one) in self.boxes.iter().enumerate() {
            if one.is_outside && one.text.is_empty() && !self.arrows.iter().any(|arrow| arrow.from == at) {
                continue;
            }
            let _ = writeln!(text, "{}", format!("{:width$}  {}", one.title, one.text).trim_end());
            for arrow in self.arrows.iter().filter(|arrow| arrow.from == at) {
                let _ = writeln!(
                    text,
                    "  └─ {} ({}) ─▶ {}",
                    arrow.topic, arrow.data_type, self.boxes[arrow.to].title
                );
            }
        }
        for (name, kind) in &self.servers {
            let _ = writeln!(text, "{name:width$}  {kind}");
        }
        text
    }

    fn mermaid(&self) -> String {
        let quoted = |text: &str| {
            text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
        };
        let mut text = "flowchart LR\n".to_owned();
        for (at, one) in self.boxes.iter().enumerate() {
            let line =
                if one.text.is_empty() { String::new() } else { format!("<br/>{}", quoted(&one.text)) };
            let (open, close) = if one.is_outside { ("([", "])") } else { ("[", "]") };
            let _ = writeln!(text, "  n{at}{open}\"{}{line}\"{close}", quoted(&one.title));
        }
        for arrow in &self.arrows {
            let (topic, data_type) = (quoted(&arrow.topic), quoted(&arrow.data_type));
            let _ = writeln!(text, "  n{} -- \"{topic}<br/>{data_type}\" --> n{}", arrow.from, arrow.to);
        }
        for (at, (name, kind)) in self.servers.iter().enumerate() {
            let _ = writeln!(text, "  s{at}[(\"{}<br/>{kind}\")]", quoted(name));
        }
        text
    }

    fn dot(&self) -> String {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut text =
            "digraph {\n  rankdir = LR;\n  node [shape = box, fontname = sans];\n  edge [fontname = sans];\n"
                .to_owned();
        for (at, one) in self.boxes.iter().enumerate() {
            let shape = if one.is_outside { ", shape = plaintext" } else { "" };
            let line = if one.text.is_empty() { String::new() } else { format!("\\n{}", quoted(&one.text)) };
            let _ = writeln!(text, "  n{at} [label = \"{}{line}\"{shape}];", quoted(&one.title));
        }
        for arrow in &self.arrows {
            let label = format!("{}\\n{}", quoted(&arrow.topic), quoted(&arrow.data_type));
            let _ = writeln!(text, "  n{} -> n{} [label = \"{label}\"];", arrow.from, arrow.to);
        }
        for (at, (name, kind)) in self.servers.iter().enumerate() {
            let _ = writeln!(text, "  s{at} [label = \"{}\\n{kind}\", shape = cylinder];", quoted(name));
        }
        text + "}\n"
    }
}

fn described(server: &Server) -> String {
    match server.kind {
        ServerKind::Redis => format!("Redis, port {}", server.port),
        ServerKind::S3 => format!("S3 server, port {}", server.port),
        ServerKind::Rtsp => format!("RTSP server, port {}", server.port),
        ServerKind::Player => "sends a stream to an RTSP server".to_owned(),
        ServerKind::S3Client => "prepares an S3 server".to_owned(),
    }
}
