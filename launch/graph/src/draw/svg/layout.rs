//! The places of all things of a drawing in pixels.

use super::align;
use super::columns::{Columns, Head};
use super::order;
use super::text_width::{SMALL, TEXT, width};
use crate::draw::picture::{Bus, Picture};

/// The space around the drawing, and around the things in the frame of Redis.
const MARGIN: f64 = 20.0;
/// The height of the name in the frame of Redis, and its distance from the left.
pub(super) const CAPTION_HEIGHT: f64 = 34.0;
pub(super) const CAPTION_INDENT: f64 = 14.0;
/// The minimum and the maximum space between two columns.
const GAP: f64 = 38.0;
const MAX_GAP: f64 = 130.0;
/// The space between two edges that lead back.
const LANE: f64 = 14.0;
/// The radius of their corners.
const CORNER: f64 = 10.0;
/// The length of an arrowhead beyond the end of its line.
const HEAD: f64 = 7.0;

/// The places of all things.
pub(super) struct Layout {
    /// The width and height of the drawing.
    pub(super) size: (f64, f64),
    /// The places of the boxes, and of the channels.
    pub(super) boxes: Vec<Rect>,
    pub(super) channels: Vec<Rect>,
    /// The frame of Redis.
    pub(super) frame: Option<Rect>,
    pub(super) lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// An edge.
pub(super) struct Line {
    pub(super) start: Point,
    pub(super) steps: Vec<Step>,
    /// Whether an arrowhead stands at its end.
    pub(super) has_head: bool,
}

/// A piece of an edge: straight, or a cubic Bézier curve with two control points.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Straight(Point),
    Curve(Point, Point, Point),
}

impl Step {
    fn end(&self) -> Point {
        match self {
            Self::Straight(to) | Self::Curve(_, _, to) => *to,
        }
    }
}

impl Layout {
    pub(super) fn of(picture: &Picture) -> Self {
        let mut columns = Columns::of(picture);
        let neighbours = columns.neighbours();
        order::reduce_crossings(&mut columns.columns, &neighbours);
        let centres = align::centres(&columns.columns, &columns.items, &neighbours);
        let places = Places::of(&columns, &centres, picture.bus.as_ref());
        let lines = columns.edges.iter().map(|edge| places.line(&edge.items, edge.head));
        let back_lines = columns.back_edges.iter().enumerate();
        let back_lines = back_lines.map(|(lane, (from, to))| places.line_back(*from, *to, lane));
        let lines: Vec<Line> = lines.chain(back_lines).collect();
        let (boxes, others) = places.items.split_at(picture.boxes.len());
        let channels = others[..picture.channels.len()].to_vec();
        let rects = || places.items.iter().chain(&places.frame);
        let right = rects().map(Rect::right).fold(0.0, f64::max) + places.lanes;
        let bottom = rects().map(Rect::bottom).fold(0.0, f64::max);
        let bottom = if places.frame.is_some() { bottom } else { bottom + places.lanes };
        let size = (right + MARGIN, bottom + MARGIN);
        Self { size, boxes: boxes.to_vec(), channels, frame: places.frame, lines }
    }
}

/// The places of the items, and of what is around them.
struct Places {
    /// Each is as wide as its column.
    items: Vec<Rect>,
    frame: Option<Rect>,
    /// The width of all lanes of edges that lead back, in each space between columns and below the columns.
    lanes: f64,
    /// The lower end of the nodes and topics.
    lowest: f64,
}

impl Places {
    fn of(columns: &Columns, centres: &[f64], bus: Option<&Bus>) -> Self {
        let Columns { items, inside, back_edges, .. } = columns;
        let lanes = match back_edges.len() {
            0 => 0.0,
            count => 2.0 * CORNER + count as f64 * LANE,
        };
        let mut x = MARGIN;
        let (mut left, mut right) = (MARGIN, MARGIN);
        // The name of Redis stands above everything, where no edge passes.
        let above = if bus.is_some() { CAPTION_HEIGHT + MARGIN / 2.0 } else { 0.0 };
        let top = |at: usize| centres[at] - items[at].height / 2.0;
        let shift = MARGIN + above - (0..items.len()).map(top).reduce(f64::min).unwrap_or(0.0);
        let spaces = spaces(columns, centres);
        let mut places = vec![Rect::default(); items.len()];
        for (number, column) in columns.columns.iter().enumerate() {
            if number == inside.start {
                left = x;
                x += lanes + if bus.is_some() { MARGIN } else { 0.0 };
            }
            let width = column.iter().map(|at| items[*at].width).fold(0.0, f64::max);
            for at in column {
                places[*at] = Rect { x, y: top(*at) + shift, width, height: items[*at].height };
            }
            x += width;
            if number + 1 == inside.end {
                right = x + lanes + MARGIN;
                if let Some(bus) = bus {
                    right = right.max(left + caption_width(bus));
                    x = right;
                }
            }
            x += spaces[number] + 2.0 * lanes;
        }
        let inner = (0..items.len()).filter(|at| inside.contains(&items[*at].column));
        let lowest = inner.map(|at| places[at].bottom()).fold(MARGIN + above, f64::max);
        let frame = bus.map(|_| Rect { x: left, y: MARGIN, width: right - left, height: lowest + lanes });
        Self { items: places, frame, lanes, lowest }
    }

    /// An edge between two columns, through the bends between them.
    fn line(&self, items: &[usize], head: Head) -> Line {
        let place = |at: usize| self.items[at];
        let start = Point { x: place(items[0]).right(), y: place(items[0]).middle() };
        let mut line = Line { start, steps: Vec::new(), has_head: head != Head::Nowhere };
        let last = items.len() - 1;
        for (number, at) in items.iter().enumerate().skip(1) {
            let to = Point { x: place(*at).x, y: place(*at).middle() };
            line.curve_to(to);
            if number < last {
                line.steps.push(Step::Straight(Point { x: place(*at).right(), y: to.y }));
            }
        }
        let line = if head == Head::Left { line.reversed() } else { line };
        if line.has_head { line.with_room_for_head() } else { line }
    }

    /// An edge to an earlier column: down, back below all columns, and up again.
    fn line_back(&self, from: usize, to: usize, lane: usize) -> Line {
        let (from, to) = (self.items[from], self.items[to]);
        let offset = 2.0 * CORNER + lane as f64 * LANE;
        let (right, left) = (from.right() + offset, to.x - offset);
        let below = self.lowest + offset;
        let start = Point { x: from.right(), y: from.middle() };
        let mut line = Line { start, steps: Vec::new(), has_head: true };
        let end = Point { x: to.x, y: to.middle() };
        let corners = [(right, start.y), (right, below), (left, below), (left, end.y)];
        let corners = corners.map(|(x, y)| Point { x, y });
        let targets = [corners[1], corners[2], corners[3], end];
        for (corner, next) in corners.into_iter().zip(targets) {
            line.corner(corner, next);
        }
        line.steps.push(Step::Straight(end));
        line.with_room_for_head()
    }
}

fn caption_width(bus: &Bus) -> f64 {
    width(&bus.title, TEXT) + width(&bus.text, SMALL) + 2.0 * CAPTION_INDENT + TEXT
}

/// The space between each column and the next one: wider for steep edges.
fn spaces(columns: &Columns, centres: &[f64]) -> Vec<f64> {
    let mut climbs = vec![0.0_f64; columns.columns.len()];
    for pair in columns.edges.iter().flat_map(|edge| edge.items.windows(2)) {
        let climb = &mut climbs[columns.items[pair[0]].column];
        *climb = climb.max((centres[pair[0]] - centres[pair[1]]).abs());
    }
    climbs.into_iter().map(|climb| (0.3 * climb).clamp(GAP, MAX_GAP)).collect()
}

impl Rect {
    pub(super) fn right(&self) -> f64 {
        self.x + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + self.height
    }

    fn middle(&self) -> f64 {
        self.y + self.height / 2.0
    }
}

impl Line {
    fn end(&self) -> Point {
        self.steps.last().map_or(self.start, Step::end)
    }

    /// Leads to a point on the right. It leaves and arrives horizontally.
    fn curve_to(&mut self, to: Point) {
        let from = self.end();
        let x = f64::midpoint(from.x, to.x);
        self.steps.push(Step::Curve(Point { x, y: from.y }, Point { x, y: to.y }, to));
    }

    /// Leads around a corner, towards the next one.
    fn corner(&mut self, corner: Point, next: Point) {
        let near = |other: Point| {
            let (dx, dy) = (other.x - corner.x, other.y - corner.y);
            // Not `hypot`, for which packages would need glibc 2.35.
            let length = (dx * dx + dy * dy).sqrt().max(1.0);
            let part = CORNER.min(length / 2.0) / length;
            Point { x: corner.x + dx * part, y: corner.y + dy * part }
        };
        let from = self.end();
        self.steps.push(Step::Straight(near(from)));
        self.steps.push(Step::Curve(corner, corner, near(next)));
    }

    fn reversed(self) -> Self {
        let start = self.end();
        let mut from = self.start;
        let mut steps = Vec::new();
        for step in self.steps {
            let (reversed, to) = match step {
                Step::Straight(to) => (Step::Straight(from), to),
                Step::Curve(one, two, to) => (Step::Curve(two, one, from), to),
            };
            steps.insert(0, reversed);
            from = to;
        }
        Self { start, steps, has_head: self.has_head }
    }

    /// Ends the line where its arrowhead begins.
    fn with_room_for_head(mut self) -> Self {
        let before = self.steps.iter().rev().nth(1).map_or(self.start, Step::end);
        if let Some(Step::Straight(end) | Step::Curve(_, _, end)) = self.steps.last_mut() {
            end.x -= HEAD * (end.x - before.x).signum();
        }
        self
    }
}
