//! How far the demo is: one line that is redrawn on a terminal, a line per segment elsewhere.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use super::counts::Counts;
use super::say_aside;

/// Back to the begin of the line, which is cleared (ECMA-48: CR, EL 2).
const REDRAW: &str = "\r\x1b[2K";

/// Elsewhere than on a terminal: from a line to the next while no segment comes.
const QUIET: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    counts: Counts,
    buffer_size: u64,
    /// Frames from a segment's first to the next one's.
    step: u64,
    is_live: bool,
    said: Option<(Duration, u64)>,
}

impl Progress {
    pub(super) fn new(counts: Counts, buffer_size: u32, overlap_size: u32) -> Self {
        let (size, overlap) = (u64::from(buffer_size), u64::from(overlap_size));
        let step = size.saturating_sub(overlap).max(1);
        Self { counts, buffer_size: size, step, is_live: stderr().is_terminal(), said: None }
    }

    /// Segments in the bucket.
    pub(super) fn uploaded(&self) -> u64 {
        self.counts.uploaded.get()
    }

    /// Shows how far it is `age` after the start.
    pub(super) fn show(&mut self, age: Duration) {
        let line = self.line(age);
        if self.is_live {
            say_aside(format_args!("{REDRAW}{line}"));
            return;
        }
        let is_news = self.said.is_none_or(|(at, uploaded)| uploaded < self.uploaded() || age >= at + QUIET);
        if is_news {
            self.said = Some((age, self.uploaded()));
            say_aside(format_args!("{line}\n"));
        }
    }

    /// The last line.
    pub(super) fn end(&self, text: &str) {
        let redraw = if self.is_live { REDRAW } else { "" };
        say_aside(format_args!("{redraw}{text}\n"));
    }

    fn line(&self, age: Duration) -> String {
        let Counts { published, taken, segments, uploaded, bytes } = &self.counts;
        if published.get() == 0 {
            return format!("{:5.1} s  waiting for the camera's first frame", age.as_secs_f64());
        }
        format!(
            "{:5.1} s  {} frames  |  segment {} [{}]  |  {} uploaded, {:.1} MB",
            age.as_secs_f64(),
            published.get(),
            segments.get() + 1,
            gauge(self.filled(taken.get(), segments.get()), self.buffer_size),
            uploaded.get(),
            bytes.get() as f64 / 1e6,
        )
    }

    /// Frames of the segment under way.
    fn filled(&self, taken: u64, segments: u64) -> u64 {
        taken.saturating_sub(segments * self.step).min(self.buffer_size)
    }
}

/// How full something is, as `######----`.
fn gauge(filled: u64, size: u64) -> String {
    const WIDTH: usize = 20;
    let marks = (filled.min(size) as usize * WIDTH).checked_div(size as usize).unwrap_or(0);
    format!("{}{}", "#".repeat(marks), "-".repeat(WIDTH - marks))
}

#[cfg(test)]
mod tests {
    use msight_node::metrics::Metrics;

    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let metrics = Metrics::default();
        let counter = |name| metrics.counter(name, "");
        let counts = Counts {
            published: counter("a_total"),
            taken: counter("b_total"),
            segments: counter("c_total"),
            uploaded: counter("d_total"),
            bytes: counter("e_total"),
        };
        let progress = Progress::new(counts.clone(), 50, 10);
        assert!(progress.line(Duration::from_secs(2)).contains("waiting for the camera"));
        counts.published.inc_by(70);
        counts.taken.inc_by(65);
        counts.segments.inc();
        counts.uploaded.inc();
        counts.bytes.inc_by(1_250_000);
        assert_eq!(
            progress.line(Duration::from_millis(7500)),
            "  7.5 s  70 frames  |  segment 2 [##########----------]  |  1 uploaded, 1.2 MB"
        );
        assert_eq!(progress.filled(9, 3), 0);
        assert_eq!(progress.filled(500, 1), 50);
    }
}
