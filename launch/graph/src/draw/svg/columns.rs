//! The columns of a drawing, and the edges between them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::text_width::{SMALL, TEXT, width};
use crate::draw::picture::{ChannelKind, Picture, Role};
use crate::server::ServerKind;

/// The height of a box with one line of text, and with two.
const LOW: f64 = 32.0;
const HIGH: f64 = 50.0;
/// The height of a topic.
const CHANNEL: f64 = 40.0;
/// The height that an edge needs to pass through a column.
const BEND: f64 = 12.0;
/// The space beside a text, to both sides together.
const PADDING: f64 = 24.0;

/// A drawing in columns.
pub(super) struct Columns {
    /// The boxes, then the channels, then the bends of edges.
    pub(super) items: Vec<Item>,
    /// The indices of the items of each column, from top to bottom.
    pub(super) columns: Vec<Vec<usize>>,
    /// The columns of nodes and topics; those of servers are before and behind them.
    pub(super) inside: Range<usize>,
    /// The edges that lead from left to right, or along which nothing leads back.
    pub(super) edges: Vec<Edge>,
    /// The edges that close a cycle: from an item to one further left.
    pub(super) back_edges: Vec<(usize, usize)>,
}

/// A thing in a column.
pub(super) struct Item {
    pub(super) column: usize,
    pub(super) width: f64,
    pub(super) height: f64,
    /// Whether it is only the place of an edge that passes through.
    pub(super) is_bend: bool,
}

/// An edge between two columns.
pub(super) struct Edge {
    /// Its ends, and the bends in all columns between them, from left to right.
    pub(super) items: Vec<usize>,
    pub(super) head: Head,
}

/// Where an edge has its arrowhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Right,
    Left,
    Nowhere,
}

impl Columns {
    pub(super) fn of(picture: &Picture) -> Self {
        let numbers = Numbers::of(picture);
        let used: BTreeSet<i64> = numbers.boxes.iter().chain(&numbers.channels).copied().collect();
        let index: BTreeMap<i64, usize> = used.iter().enumerate().map(|(at, number)| (*number, at)).collect();
        let inside = used.range(..numbers.first).count()..used.range(..=numbers.last).count();
        let mut items = Vec::new();
        for (one, number) in picture.boxes.iter().zip(&numbers.boxes) {
            let height = if one.text.is_empty() { LOW } else { HIGH };
            items.push(Item::of(index[number], &one.title, one.short_text(), height));
        }
        for (channel, number) in picture.channels.iter().zip(&numbers.channels) {
            items.push(Item::of(index[number], &channel.name, &channel.text, CHANNEL));
        }
        let mut columns = vec![Vec::new(); used.len()];
        for (at, item) in items.iter().enumerate() {
            columns[item.column].push(at);
        }
        let mut all = Self { items, columns, inside, edges: Vec::new(), back_edges: Vec::new() };
        for (at, channel) in picture.channels.iter().enumerate() {
            let at = picture.boxes.len() + at;
            channel.writers.iter().for_each(|writer| all.connect(*writer, at, true));
            for reader in &channel.readers {
                match all.items[*reader].column > all.items[at].column {
                    true => all.connect(at, *reader, true),
                    false => all.back_edges.push((at, *reader)),
                }
            }
        }
        for link in &picture.links {
            all.connect(link.from, link.to, link.is_directed);
        }
        all
    }

    /// Connects two items of different columns, with a bend in each column between them.
    fn connect(&mut self, from: usize, to: usize, is_directed: bool) {
        let leads_right = self.items[from].column < self.items[to].column;
        let (left, right) = if leads_right { (from, to) } else { (to, from) };
        let mut items = vec![left];
        for column in self.items[left].column + 1..self.items[right].column {
            self.items.push(Item { column, width: 0.0, height: BEND, is_bend: true });
            items.push(self.items.len() - 1);
            self.columns[column].push(self.items.len() - 1);
        }
        items.push(right);
        let head = match (is_directed, leads_right) {
            (false, _) => Head::Nowhere,
            (true, true) => Head::Right,
            (true, false) => Head::Left,
        };
        self.edges.push(Edge { items, head });
    }

    /// For each item the items that its edges lead to in the column before it and in the column behind it.
    pub(super) fn neighbours(&self) -> Neighbours {
        let mut neighbours = Neighbours {
            left: vec![Vec::new(); self.items.len()],
            right: vec![Vec::new(); self.items.len()],
        };
        for pair in self.edges.iter().flat_map(|edge| edge.items.windows(2)) {
            neighbours.right[pair[0]].push(pair[1]);
            neighbours.left[pair[1]].push(pair[0]);
        }
        neighbours
    }
}

/// The items that edges connect with each item.
pub(super) struct Neighbours {
    pub(super) left: Vec<Vec<usize>>,
    pub(super) right: Vec<Vec<usize>>,
}

impl Item {
    fn of(column: usize, title: &str, text: &str, height: f64) -> Self {
        let width = width(title, TEXT).max(width(text, SMALL)) + PADDING;
        Self { column, width, height, is_bend: false }
    }
}

/// The numbers of the columns, of which some may be empty: even ones have nodes, odd ones have topics.
struct Numbers {
    boxes: Vec<i64>,
    channels: Vec<i64>,
    /// The first and the last column of nodes and topics.
    first: i64,
    last: i64,
}

impl Numbers {
    fn of(picture: &Picture) -> Self {
        let node = |at: &usize| match picture.boxes[*at].role {
            Role::Node(rank) => Some(2 * i64::try_from(rank).unwrap_or(i64::MAX / 4)),
            _ => None,
        };
        let mut boxes: Vec<i64> = (0..picture.boxes.len()).map(|at| node(&at).unwrap_or(0)).collect();
        let mut channels = Vec::new();
        for channel in &picture.channels {
            let behind = channel.writers.iter().filter_map(node).max().map(|number| number + 1);
            let before = || channel.readers.iter().filter_map(node).min().map(|number| number - 1);
            let number = behind.or_else(before).unwrap_or(0);
            let is_end = |at: &&usize| matches!(picture.boxes[**at].role, Role::Outside | Role::Missing);
            channel.writers.iter().filter(is_end).for_each(|at| boxes[*at] = number - 1);
            channel.readers.iter().filter(is_end).for_each(|at| boxes[*at] = number + 1);
            channels.push(number);
        }
        let is_topic = |at: &usize| picture.channels[*at].kind == ChannelKind::Topic;
        let topics = (0..channels.len()).filter(is_topic).map(|at| channels[at]);
        let inside: Vec<i64> = picture.inside().map(|(at, _)| boxes[at]).chain(topics).collect();
        let first = inside.iter().copied().min().unwrap_or(0);
        let last = inside.iter().copied().max().unwrap_or(0);
        for (at, one) in picture.servers() {
            boxes[at] = match one.role {
                Role::Server(ServerKind::Player) => first - 2,
                Role::Server(ServerKind::S3) => last + 2,
                Role::Server(ServerKind::S3Client) => last + 3,
                _ => first - 1,
            };
        }
        for at in (0..channels.len()).filter(|at| picture.channels[*at].kind == ChannelKind::Bucket) {
            channels[at] = last + 1;
        }
        Self { boxes, channels, first, last }
    }
}
