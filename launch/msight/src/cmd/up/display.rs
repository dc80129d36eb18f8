//! Shows a running graph: the log lines of its jobs, each with its name in front, and on a terminal a status line
//! below for each job, which is redrawn.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _, stdout};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::join_all;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::time::timeout;

use crate::cmd::lines::Lines;
use crate::cmd::{columns, rows};
use msight_bus::Limits;
use msight_contract::{MetricDescription, traffic};
use msight_node::line_queue::{LineSender, Received, spawn_writer};
use msight_supervise::scrape::Counters;
use msight_supervise::{Line, Phase, State, States};

/// The texts that wait to be written while the terminal takes none.
const TEXTS: Limits = Limits::new(1024, 4 << 20);

const LOST: &str = "\x1b[31m";
const END: &str = "\x1b[0m";

/// Shows a graph on standard output.
pub(super) struct Display {
    lines: Lines,
    is_terminal: bool,
    screen: LineSender<String>,
    zone: TimeZone,
    has_times: bool,
    /// The status lines, to be overwritten.
    below: String,
    /// The counters of each job at the last request.
    before: HashMap<String, (Instant, Done)>,
    /// The metrics that the program of each node declares.
    declared: HashMap<String, Vec<MetricDescription>>,
}

#[derive(Clone, Copy)]
struct Done {
    received: u64,
    published: u64,
    lost: u64,
    /// The number of messages with a known age, and the sum of their ages in seconds.
    ages: (u64, f64),
}

impl Done {
    /// The rates since the earlier counters.
    fn since(self, before: Self, seconds: f64) -> String {
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let mut text = String::new();
        if self.received > 0 {
            let _ = write!(text, "  in {:.1}/s", rate(self.received, before.received));
        }
        if self.published > 0 {
            let _ = write!(text, "  out {:.1}/s", rate(self.published, before.published));
        }
        // After a restart in between, nothing is known yet.
        if let Some(count @ 1..) = self.ages.0.checked_sub(before.ages.0) {
            let _ =
                write!(text, "  lag {:.0} ms", (self.ages.1 - before.ages.1).max(0.0) / count as f64 * 1e3);
        }
        if self.lost > 0 {
            let _ = write!(text, "  {LOST}lost {}{END}", self.lost);
        }
        text
    }
}

/// Chooses the jobs that fit into the rows, those that are not ready first; also returns how many do not fit.
fn fitting(mut states: Vec<(String, State)>, rows: usize) -> (Vec<(String, State)>, usize) {
    if states.len() <= rows {
        return (states, 0);
    }
    states.sort_by_key(|(_, state)| state.phase == Phase::Ready);
    let more = states.split_off(rows.saturating_sub(1));
    (states, more.len())
}

impl Display {
    /// A display for jobs of these names, with the metrics that the programs of nodes declare.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn new<'a>(
        names: impl Iterator<Item = &'a str>,
        declared: HashMap<String, Vec<MetricDescription>>,
    ) -> Result<Self> {
        let is_terminal = stdout().is_terminal();
        Ok(Self {
            lines: Lines::new(names, is_terminal),
            is_terminal,
            screen: screen().context("cannot start the thread that writes to the terminal")?,
            zone: TimeZone::system(),
            has_times: std::env::var_os("JOURNAL_STREAM").is_none(),
            below: String::new(),
            before: HashMap::new(),
            declared,
        })
    }

    /// Shows a line of a job.
    pub(super) fn line(&mut self, line: &Line) {
        let text = self.lines.line(&line.job, line.level.as_deref(), &line.text);
        self.write(&(self.time() + &text), self.below.clone());
    }

    /// Shows a line of the launcher.
    pub(super) fn note(&mut self, text: &str) {
        self.write(&format!("{}{text}\n", self.time()), self.below.clone());
    }

    /// The local time, for the beginning of a line. The journal of systemd has times of its own.
    fn time(&self) -> String {
        match self.has_times {
            true => Timestamp::now().to_zoned(self.zone.clone()).strftime("%H:%M:%S ").to_string(),
            false => String::new(),
        }
    }

    /// Redraws the status lines, on a terminal.
    pub(super) async fn states(&mut self, states: &States) {
        if !self.is_terminal {
            return;
        }
        let states = states.iter().map(|(name, state)| (name.to_owned(), state)).collect();
        // The last row holds the cursor.
        let (states, more) = fitting(states, rows().unwrap_or(usize::MAX).saturating_sub(1));
        let done = join_all(states.iter().map(|(name, state)| done(state, self.declared(name)))).await;
        let mut text = String::new();
        for ((name, state), done) in states.iter().zip(done) {
            let rates = done.map(|done| self.rates(name, done)).unwrap_or_default();
            let restarts = match state.starts {
                0 | 1 => String::new(),
                starts => format!("  started {starts} times"),
            };
            // A wrapped line would break the redrawing. The state matters more than the rates.
            const LEAST: usize = 12;
            let room = columns().unwrap_or(80).saturating_sub(self.lines.width + 4);
            let restarts = if restarts.len() + LEAST > room { String::new() } else { restarts };
            let room = room.saturating_sub(restarts.len());
            let rates = if plain(&rates) + LEAST > room { String::new() } else { rates };
            let room = room.saturating_sub(plain(&rates));
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
        if more > 0 {
            let _ = writeln!(text, "… and {more} more");
        }
        self.write("", text);
    }

    /// The rates of a node since the last request.
    fn rates(&mut self, name: &str, done: Done) -> String {
        let now = Instant::now();
        let before = self.before.insert(name.to_owned(), (now, done));
        let Some((at, before)) = before else { return String::new() };
        done.since(before, (now - at).as_secs_f64().max(0.001))
    }

    fn declared(&self, job: &str) -> &[MetricDescription] {
        self.declared.get(job).map_or(&[], Vec::as_slice)
    }

    /// Removes the status lines.
    pub(super) fn end(&mut self) {
        self.write("", String::new());
        // Give the writer time for the rest.
        self.screen.flush(Duration::from_secs(1));
    }

    /// Overwrites the status lines with a text, and writes new ones below.
    fn write(&mut self, text: &str, below: String) {
        let over = match self.below.lines().count() {
            0 => String::new(),
            // Move up to the first of them and clear from there (CPL, ED).
            lines => format!("\x1b[{lines}F\x1b[J"),
        };
        let all = over + text + &below;
        self.below = below;
        if !all.is_empty() {
            let bytes = all.len();
            self.screen.push(all, bytes);
        }
    }
}

/// The width of a text of rates, without its colour codes.
fn plain(rates: &str) -> usize {
    rates.replace(LOST, "").replace(END, "").chars().count()
}

/// The counters of a node, if it answers quickly.
async fn done(state: &State, declared: &[MetricDescription]) -> Option<Done> {
    const PATIENCE: Duration = Duration::from_millis(300);
    let counters = timeout(PATIENCE, Counters::of(state.metrics?)).await.ok()?.ok()?;
    Some(Done {
        received: counters.total(&traffic::RECEIVED),
        published: counters.total(&traffic::PUBLISHED),
        lost: counters.losses(declared),
        ages: counters.seconds(&traffic::RECEIVED_AGE).unwrap_or_default(),
    })
}

/// Standard output, written by a separate thread: a pager that does not read must not block the graph, and one that
/// has exited must not end it.
fn screen() -> io::Result<LineSender<String>> {
    spawn_writer("terminal", TEXTS, |received| {
        let text = match received {
            Received::Line(text) => text,
            Received::LeftOut(count) => format!("{count} lines dropped here: the terminal is too slow\n"),
        };
        let mut out = stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_done_since_the_last_one() {
        let before = Done { received: 100, published: 0, lost: 0, ages: (100, 2.0) };
        let now = Done { received: 130, published: 2, lost: 5, ages: (120, 3.0) };
        let said = now.since(before, 2.0);
        assert_eq!(said, format!("  in 15.0/s  out 1.0/s  lag 50 ms  {LOST}lost 5{END}"));
        assert_eq!(plain(&said), "  in 15.0/s  out 1.0/s  lag 50 ms  lost 5".len());
        // No new messages, and then a restart.
        assert_eq!(before.since(before, 1.0), "  in 0.0/s");
        let anew = Done { received: 1, ages: (1, 0.1), ..before };
        assert_eq!(anew.since(before, 1.0), "  in 0.0/s");
    }

    #[test]
    fn a_small_terminal_has_those_that_do_not_work() {
        let states = || -> Vec<(String, State)> {
            let ready = |name: usize| {
                let mut state = State::new();
                state.phase = if name == 3 { Phase::Failed("no".to_owned()) } else { Phase::Ready };
                (name.to_string(), state)
            };
            (0..5).map(ready).collect()
        };
        assert_eq!(fitting(states(), 5).1, 0);
        let (shown, more) = fitting(states(), 3);
        assert_eq!((shown[0].0.as_str(), shown[1].0.as_str(), shown.len(), more), ("3", "0", 2, 3));
        assert_eq!(fitting(states(), 0).1, 5);
    }
}
