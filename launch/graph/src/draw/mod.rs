//! Draws a graph as text, Mermaid, DOT or SVG.

mod dot;
mod mermaid;
mod picture;
mod svg;
mod text;

use clap::ValueEnum;

use self::picture::Picture;
use crate::graph::Graph;

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
        Format::Text => text::draw(&picture),
        Format::Mermaid => mermaid::draw(&picture),
        Format::Dot => dot::draw(&picture),
        Format::Svg => svg::draw(&picture),
    }
}
