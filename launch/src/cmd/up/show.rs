//! What a running graph says: the lines of its jobs, each with its name in front, and on a terminal a line below for
//! each job that is drawn anew.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _, stdout};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::cmd::columns;
use crate::cmd::lines::Lines;
use crate::scrape::Counters;
use crate::supervise::{Line, Phase, State, States};

/// Texts that may wait to be written.
const MOST_TEXTS: usize = 1024;

const LOST: &str = "\x1b[31m";
const END: &str = "\x1b[0m";

/// Shows a graph on standard output.
pub(super) struct Show {
    lines: Lines,
    is_terminal: bool,
    screen: Screen,
    /// Lines of the last drawing, to be drawn over.
    drawn: usize,
    /// What each job had done when it was asked last.
    before: HashMap<String, (Instant, Done)>,
}

#[derive(Clone, Copy)]
struct Done {
    received: u64,
    published: u64,
    dropped: u64,
}

impl Show {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let is_terminal = stdout().is_terminal();
        Self {
            lines: Lines::new(names, is_terminal),
            is_terminal,
            screen: Screen::new(),
            drawn: 0,
            before: HashMap::new(),
        }
    }

    /// A job has said something.
    pub(super) fn line(&mut self, line: &Line) {
        let text = self.lines.line(&line.job, line.level.as_deref(), &line.text);
        self.write(&text);
    }

    /// A word of the launcher itself.
    pub(super) fn note(&mut self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Draws how the jobs stand, on a terminal.
    pub(super) async fn states(&mut self, states: &States) {
        if !self.is_terminal {
            return;
        }
        let states: Vec<(String, State)> =
            states.iter().map(|(name, state)| (name.to_owned(), state)).collect();
        let done = join_all(states.iter().map(|(name, state)| done(name, state))).await;
        let mut text = String::new();
        for ((name, state), done) in states.iter().zip(done) {
            let rates = done.map(|done| self.rates(name, done)).unwrap_or_default();
            let restarts = match state.starts {
                0 | 1 => String::new(),
                starts => format!("  started {starts} times"),
            };
            // A line that wraps would be two to draw over.
            let taken = self.lines.width + 3 + plain(&rates) + restarts.len();
            let room = columns().unwrap_or(80).saturating_sub(taken + 1);
            let phase: String = state.phase.to_string().chars().take(room).collect();
            let colour = match state.phase {
                Phase::Ready => 32,
                Phase::Failed(_) | Phase::LeftOut(_) => 31,
                _ => 33,
            };
            let _ = writeln!(
                text,
                "{name:width$}   \x1b[{colour}m{phase}\x1b[0m{rates}{restarts}",
                width = self.lines.width
            );
        }
        self.write("");
        self.drawn = states.len();
        self.screen.put(text);
    }

    /// What a node has done since it was asked last.
    fn rates(&mut self, name: &str, done: Done) -> String {
        let now = Instant::now();
        let before = self.before.insert(name.to_owned(), (now, done));
        let Some((at, before)) = before else { return String::new() };
        let seconds = (now - at).as_secs_f64().max(0.001);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let mut text = String::new();
        if done.received > 0 {
            let _ = write!(text, "  in {:.1}/s", rate(done.received, before.received));
        }
        if done.published > 0 {
            let _ = write!(text, "  out {:.1}/s", rate(done.published, before.published));
        }
        if done.dropped > 0 {
            let _ = write!(text, "  {LOST}lost {}{END}", done.dropped);
        }
        text
    }

    /// Removes the lines about the jobs.
    pub(super) fn end(&mut self) {
        self.write("");
        self.screen.end();
    }

    /// Writes over the lines about the jobs.
    fn write(&mut self, text: &str) {
        let mut over = String::new();
        if self.drawn > 0 {
            // Up to the first of them, and clear from there (CPL, ED).
            let _ = write!(over, "\x1b[{}F\x1b[J", self.drawn);
            self.drawn = 0;
        }
        let text = over + text;
        if !text.is_empty() {
            self.screen.put(text);
        }
    }
}

/// The columns that a text of rates takes, without its colours.
fn plain(rates: &str) -> usize {
    rates.replace(LOST, "").replace(END, "").chars().count()
}

/// What a node has done so far, if it says so at once.
async fn done(name: &str, state: &State) -> Option<Done> {
    const PATIENCE: Duration = Duration::from_millis(300);
    let counters = timeout(PATIENCE, Counters::of(state.metrics?)).await.ok()?.ok()?;
    Some(Done {
        received: counters.total("msight_received_total"),
        published: counters.total("msight_published_total"),
        dropped: counters.lost(name).iter().map(|lost| lost.count).sum(),
    })
}

/// Standard output, written by a thread of its own: a pager that stands still must not hold up the graph, nor does one
/// that is gone end it.
struct Screen {
    texts: Option<SyncSender<String>>,
    ended: Receiver<()>,
    /// Texts for which there was no room.
    left_out: usize,
}

impl Screen {
    fn new() -> Self {
        let (texts, waiting) = sync_channel::<String>(MOST_TEXTS);
        let (end, ended) = sync_channel(1);
        std::thread::spawn(move || {
            for text in waiting {
                let mut out = stdout().lock();
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            }
            let _ = end.send(());
        });
        Self { texts: Some(texts), ended, left_out: 0 }
    }

    fn put(&mut self, text: String) {
        let Some(texts) = &self.texts else { return };
        let said = match self.left_out {
            0 => text,
            count => format!("{count} lines are left out here: they came faster than they are shown\n{text}"),
        };
        match texts.try_send(said) {
            Ok(()) => self.left_out = 0,
            Err(_) => self.left_out += 1,
        }
    }

    /// Waits a moment for what is still to be written.
    fn end(&mut self) {
        drop(self.texts.take());
        let _ = self.ended.recv_timeout(Duration::from_secs(1));
    }
}
