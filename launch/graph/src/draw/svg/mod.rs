//! Draws a graph as SVG: nodes, topics and servers in columns, with arrows from left to right.
//!
//! A topic is a box of its own between its writers and its readers, as in the layered drawings of Sugiyama, Tagawa and
//! Toda (1981): each thing has a place in a column, and an edge crosses a column only at a place of its own. So no label
//! lies on another one or on an edge.

mod align;
mod columns;
mod layout;
mod order;
mod text_width;

use std::fmt::Write as _;

use self::layout::{Layout, Line, Rect, Step};
use self::text_width::{SMALL, TEXT, shortened};
use super::picture::{Bus, ChannelKind, Picture, Role};

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}.s{font-size:11px;fill:#59636e}\
.n{fill:#ddf4ff;stroke:#0969da}.t{fill:#fff;stroke:#59636e}.v{fill:#fff8c5;stroke:#9a6700}\
.o{fill:none;stroke:#59636e;stroke-dasharray:4 3}.m{fill:none;stroke:#d1242f;stroke-dasharray:4 3}\
.r{fill:#f6f8fa;stroke:#d1d9e0}.a{fill:none;stroke:#59636e;stroke-width:1.4}.u{stroke-dasharray:1 4}.h{fill:#59636e}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.s{fill:#9198a1}.n{fill:#121d2f;stroke:#4493f8}\
.t{fill:#0d1117;stroke:#9198a1}.v{fill:#272115;stroke:#d29922}.r{fill:#151b23;stroke:#3d444d}\
.o{stroke:#9198a1}.m{stroke:#f85149}.a{stroke:#9198a1}.h{fill:#9198a1}}";

pub(super) fn draw(picture: &Picture) -> String {
    let layout = Layout::of(picture);
    let mut body = String::new();
    if let (Some(bus), Some(frame)) = (&picture.bus, &layout.frame) {
        rectangle(&mut body, frame, "r", 10.0);
        caption(&mut body, bus, frame);
    }
    for line in &layout.lines {
        draw_line(&mut body, line);
    }
    for (one, place) in picture.boxes.iter().zip(&layout.boxes) {
        let class = match one.role {
            Role::Node(_) => "n",
            Role::Unreadable | Role::Missing => "m",
            Role::Outside => "o",
            Role::Server(_) => "v",
        };
        rectangle(&mut body, place, class, 6.0);
        texts(&mut body, place, &one.title, one.short_text());
    }
    for (channel, place) in picture.channels.iter().zip(&layout.channels) {
        let class = match channel.kind {
            ChannelKind::Topic => "t",
            ChannelKind::Bucket => "v",
        };
        rectangle(&mut body, place, class, place.height / 2.0);
        texts(&mut body, place, &channel.name, &channel.text);
    }
    let (width, height) = layout.size;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}"><style>{STYLE}</style><defs><marker id="h" viewBox="0 0 8 8" refX="2" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="h" d="M0 0L8 4L0 8z"/></marker></defs>{body}</svg>
"#
    )
}

fn rectangle(body: &mut String, place: &Rect, class: &str, radius: f64) {
    let Rect { x, y, width, height } = place;
    let _ = write!(
        body,
        r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="{radius:.0}"/>"#
    );
}

/// Draws one or two lines of text in the middle of a place.
fn texts(body: &mut String, place: &Rect, title: &str, text: &str) {
    let (x, y) = (place.x + place.width / 2.0, place.y + place.height / 2.0);
    if text.is_empty() {
        return label(body, x, y + TEXT / 3.0, "", title);
    }
    label(body, x, y - 4.0, "", title);
    label(body, x, y + SMALL + 2.0, " class=\"s\"", text);
}

fn label(body: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let _ = write!(body, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle"{class}>"#);
    let shown = shortened(text);
    if shown != text {
        let _ = write!(body, "<title>{}</title>", escaped(text));
    }
    let _ = write!(body, "{}</text>", escaped(&shown));
}

/// Draws the name of Redis at the top of its frame.
fn caption(body: &mut String, bus: &Bus, frame: &Rect) {
    let (x, y) = (frame.x + layout::CAPTION_INDENT, frame.y + layout::CAPTION_HEIGHT / 2.0 + TEXT / 3.0);
    let (title, text) = (escaped(&shortened(&bus.title)), escaped(&shortened(&bus.text)));
    let _ =
        write!(body, r#"<text x="{x:.1}" y="{y:.1}">{title} <tspan class="s" dx="4">{text}</tspan></text>"#);
}

fn draw_line(body: &mut String, line: &Line) {
    let (class, head) = if line.has_head { ("a", r#" marker-end="url(#h)""#) } else { ("a u", "") };
    let _ = write!(body, r#"<path class="{class}"{head} d="M{:.1} {:.1}"#, line.start.x, line.start.y);
    for step in &line.steps {
        let _ = match step {
            Step::Straight(to) => write!(body, "L{:.1} {:.1}", to.x, to.y),
            Step::Curve(one, two, to) => {
                write!(body, "C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}", one.x, one.y, two.x, two.y, to.x, to.y)
            }
        };
    }
    body.push_str(r#""/>"#);
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests;
