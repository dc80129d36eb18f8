//! Shows the progress of the demo: one redrawn line on a terminal, else a line per segment.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use msight_node::logs::Level;
use msight_supervise::Line;

use super::nodes::{AGGREGATOR, Counts, PUSHER, SOURCE};
use super::print_err;
use crate::cmd::lines::Lines;

/// Return to the start of the line and clear it (ECMA-48: CR, EL 2).
const REDRAW: &str = "\r\x1b[2K";

/// Without a terminal: the interval of lines while no segment is completed.
const QUIET: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    least: Level,
    lines: Lines,
    buffer_size: u64,
    /// The number of frames between the starts of consecutive segments.
    step: u64,
    is_live: bool,
    said: Option<(Duration, u64)>,
}

impl Progress {
    /// The minimum level of log lines to show.
    pub(super) fn new(least: Level, buffer_size: u32, overlap_size: u32) -> Self {
        let (size, overlap) = (u64::from(buffer_size), u64::from(overlap_size));
        let step = size.saturating_sub(overlap).max(1);
        let is_live = stderr().is_terminal();
        let lines = Lines::new([SOURCE, AGGREGATOR, PUSHER].into_iter(), is_live);
        Self { least, lines, buffer_size: size, step, is_live, said: None }
    }

    /// Shows a log line of a node.
    pub(super) fn line(&mut self, line: &Line) {
        let level = line.level.as_deref();
        let is_shown =
            level.and_then(|level| Level::parse(level).ok()).is_none_or(|level| level >= self.least);
        if is_shown {
            let redraw = if self.is_live { REDRAW } else { "" };
            print_err(format_args!("{redraw}{}", self.lines.line(&line.job, level, &line.text)));
        }
    }

    /// Shows the progress at `age` after the start.
    pub(super) fn show(&mut self, counts: &Counts, age: Duration) {
        let line = self.text(counts, age);
        if self.is_live {
            print_err(format_args!("{REDRAW}{line}"));
            return;
        }
        let is_news = self.said.is_none_or(|(at, uploaded)| uploaded < counts.uploaded || age >= at + QUIET);
        if is_news {
            self.said = Some((age, counts.uploaded));
            print_err(format_args!("{line}\n"));
        }
    }

    /// The last line.
    pub(super) fn end(&self, text: &str) {
        let redraw = if self.is_live { REDRAW } else { "" };
        print_err(format_args!("{redraw}{text}\n"));
    }

    fn text(&self, counts: &Counts, age: Duration) -> String {
        let &Counts { published, taken, segments, uploaded, bytes, .. } = counts;
        if published == 0 {
            return format!("{:5.1} s  waiting for the camera's first frame", age.as_secs_f64());
        }
        // Lines that stay are written when a segment has ended, and the bar would be empty in all of them.
        let bar = match self.is_live {
            true => format!(" [{}]", gauge(self.filled(taken, segments), self.buffer_size)),
            false => String::new(),
        };
        format!(
            "{:5.1} s  {published} frames  |  segment {}{bar}  |  {uploaded} uploaded, {:.1} MB",
            age.as_secs_f64(),
            segments + 1,
            bytes as f64 / 1e6,
        )
    }

    /// The number of frames in the current segment.
    fn filled(&self, taken: u64, segments: u64) -> u64 {
        taken.saturating_sub(segments * self.step).min(self.buffer_size)
    }
}

/// A progress bar such as `######----`.
fn gauge(filled: u64, size: u64) -> String {
    const WIDTH: usize = 20;
    let marks = (filled.min(size) as usize * WIDTH).checked_div(size as usize).unwrap_or(0);
    format!("{}{}", "#".repeat(marks), "-".repeat(WIDTH - marks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let mut progress = Progress::new(Level::Warning, 50, 10);
        progress.is_live = true;
        let text = progress.text(&Counts::default(), Duration::from_secs(2));
        assert!(text.contains("waiting for the camera"), "{text}");
        let counts =
            Counts { published: 70, taken: 65, segments: 1, uploaded: 1, bytes: 1_250_000, is_held: false };
        assert_eq!(
            progress.text(&counts, Duration::from_millis(7500)),
            "  7.5 s  70 frames  |  segment 2 [##########----------]  |  1 uploaded, 1.2 MB"
        );
        progress.is_live = false;
        assert_eq!(
            progress.text(&counts, Duration::from_millis(7500)),
            "  7.5 s  70 frames  |  segment 2  |  1 uploaded, 1.2 MB"
        );
        assert_eq!(progress.filled(9, 3), 0);
        assert_eq!(progress.filled(500, 1), 50);
    }
}
