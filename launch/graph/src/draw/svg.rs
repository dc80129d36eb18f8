//! Draws a graph as SVG: a column for each rank, arrows from left to right.

use std::fmt::Write as _;

use super::{Arrow, Box, Picture};

const HEIGHT: f64 = 52.0;
const ROW: f64 = HEIGHT + 44.0;
const MARGIN: f64 = 20.0;
/// The approximate width of a letter: the browser chooses the font.
const LETTER: f64 = 7.4;
const SMALL: f64 = 6.4;
/// The minimum gap between columns.
const GAP: f64 = 60.0;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}.s{font-size:11px;fill:#59636e}\
.b{fill:#ddf4ff;stroke:#0969da}.o{fill:none;stroke:#59636e;stroke-dasharray:4 3}.v{fill:#fff8c5;stroke:#9a6700}\
.a{fill:none;stroke:#59636e;stroke-width:1.4}.h{fill:#59636e}.t{paint-order:stroke;stroke:#fff;stroke-width:5px}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.s{fill:#9198a1}.b{fill:#121d2f;stroke:#4493f8}\
.v{fill:#272115;stroke:#d29922}.a{stroke:#9198a1}.h{fill:#9198a1}.t{stroke:#0d1117}}";

struct Placed {
    x: f64,
    y: f64,
    width: f64,
}

pub(super) fn draw(picture: &Picture) -> String {
    let columns = picture.boxes.iter().map(|one| one.rank + 1).max().unwrap_or(0);
    let mut placed: Vec<Placed> = Vec::new();
    let mut rows = vec![0_usize; columns];
    let widths: Vec<f64> = (0..columns).map(|rank| widest(picture, rank)).collect();
    let gaps: Vec<f64> = (0..columns).map(|rank| gap(picture, rank)).collect();
    for one in &picture.boxes {
        let x: f64 = (0..one.rank).map(|rank| widths[rank] + gaps[rank]).sum();
        let y = rows[one.rank] as f64 * ROW;
        rows[one.rank] += 1;
        placed.push(Placed { x: MARGIN + x, y: MARGIN + y, width: widths[one.rank] });
    }
    // Arrows that point back run below the boxes.
    let leads_back = |arrow: &Arrow| placed[arrow.to].x <= placed[arrow.from].x;
    let bend = if picture.arrows.iter().any(leads_back) { 0.6 * ROW } else { 0.0 };
    let below = MARGIN + rows.iter().copied().max().unwrap_or(0) as f64 * ROW + bend;
    let (mut body, mut topics) = (String::new(), String::new());
    for (at, arrow) in picture.arrows.iter().enumerate() {
        let (from, to) = (&placed[arrow.from], &placed[arrow.to]);
        let (x1, y1) = (from.x + from.width, from.y + HEIGHT / 2.0);
        let (x2, y2) = (to.x - 6.0, to.y + HEIGHT / 2.0);
        let middle = f64::midpoint(x1, x2);
        let (c1, c2, depth) =
            if leads_back(arrow) { (x1 + GAP, x2 - GAP, ROW) } else { (middle, middle, 0.0) };
        let (b1, b2) = (y1 + depth, y2 + depth);
        let _ = write!(
            body,
            r#"<path class="a" marker-end="url(#h)" d="M{x1:.0} {y1:.0}C{c1:.0} {b1:.0} {c2:.0} {b2:.0} {x2:.0} {y2:.0}"/>"#
        );
        // Several arrows of one topic share one label.
        if !picture.arrows[..at].iter().any(|other| other.topic == arrow.topic) {
            // A curve passes three quarters of the way to its control points.
            let y = f64::midpoint(y1, y2) + 0.75 * depth;
            label(&mut topics, middle, y - 8.0, " class=\"t\"", &arrow.topic);
            label(&mut topics, middle, y + 16.0, " class=\"s t\"", &arrow.data_type);
        }
    }
    // Labels are drawn over the arrows.
    body += &topics;
    for (one, place) in picture.boxes.iter().zip(&placed) {
        rectangle(&mut body, place, if one.is_outside { "o" } else { "b" }, &one.title, &one.text);
    }
    let mut x = MARGIN;
    for (name, kind) in &picture.servers {
        let place = Placed { x, y: below, width: width_of(name, kind) };
        rectangle(&mut body, &place, "v", name, kind);
        x += place.width + MARGIN;
    }
    let right = placed.iter().map(|place| place.x + place.width + MARGIN).fold(x, f64::max);
    let bottom = if picture.servers.is_empty() { below } else { below + HEIGHT + MARGIN };
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:.0} {bottom:.0}" width="{right:.0}" height="{bottom:.0}"><style>{STYLE}</style><defs><marker id="h" viewBox="0 0 8 8" refX="2" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="h" d="M0 0L8 4L0 8z"/></marker></defs>{body}</svg>
"#
    )
}

fn width_of(title: &str, text: &str) -> f64 {
    let letters = |text: &str, each: f64| text.chars().count() as f64 * each;
    letters(title, LETTER).max(letters(text, SMALL)) + 28.0
}

/// The width of a column.
fn widest(picture: &Picture, rank: usize) -> f64 {
    let boxes = picture.boxes.iter().filter(|one| one.rank == rank);
    boxes.map(|Box { title, text, .. }| width_of(title, text)).fold(60.0, f64::max)
}

/// The gap after a column, wide enough for the names of its topics.
fn gap(picture: &Picture, rank: usize) -> f64 {
    let leaving = picture.arrows.iter().filter(|arrow| picture.boxes[arrow.from].rank == rank);
    leaving.map(|arrow| width_of(&arrow.topic, &arrow.data_type) + 16.0).fold(GAP, f64::max)
}

fn rectangle(body: &mut String, place: &Placed, class: &str, title: &str, text: &str) {
    let Placed { x, y, width } = place;
    let _ = write!(
        body,
        r#"<rect class="{class}" x="{x:.0}" y="{y:.0}" width="{width:.0}" height="{HEIGHT:.0}" rx="6"/>"#
    );
    let middle = x + width / 2.0;
    if text.is_empty() {
        return label(body, middle, y + HEIGHT / 2.0 + 5.0, "", title);
    }
    label(body, middle, y + 22.0, "", title);
    label(body, middle, y + 39.0, " class=\"s\"", text);
}

fn label(body: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let _ = write!(body, r#"<text x="{x:.0}" y="{y:.0}" text-anchor="middle"{class}>{text}</text>"#);
}
