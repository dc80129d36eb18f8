//! What is said of a file: an error, a warning or a note, at its place.

use std::fmt;

use super::{Place, excerpt};
use crate::near::nearest;

/// More findings than this are counted, not kept: nobody reads them, and a hostile file could have millions.
const MOST_FINDINGS: usize = 200;

/// How bad it is. An error is greater than a warning, a warning greater than a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know; nothing is wrong.
    Note,
    /// Probably not what was meant. It runs.
    Warning,
    /// It cannot run, or not as it is written.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing that is to be said of a graph.
///
/// [`fmt::Display`] writes it without colour; [`Finding::render`] lets choose.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Where; nothing if no file says it.
    pub place: Option<Place>,
    /// How bad it is.
    pub severity: Severity,
    /// What is the matter: one sentence, without a full stop.
    pub message: String,
    /// The way out, where there is one.
    pub help: Option<String>,
}

impl Finding {
    /// An error at `place`.
    pub fn error(place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self { place: place.into(), severity: Severity::Error, message: message.into(), help: None }
    }

    /// A warning at `place`.
    pub fn warning(place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// A note at `place`.
    pub fn note(place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(place, message) }
    }

    /// With the way out.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The finding for people: `file:line:column: error: …`, the line of the file with a caret under the place, the
    /// path, and the help. Passwords in the line are masked, control characters replaced.
    pub fn render(&self, colour: bool) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| excerpt::write(f, self, colour))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.render(false).fmt(f)
    }
}

/// All that has been found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    /// Findings beyond those that are kept, and whether an error is among them.
    beyond: usize,
    error_beyond: bool,
    errors: usize,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        self.errors += usize::from(finding.severity == Severity::Error);
        if self.found.len() < MOST_FINDINGS {
            self.found.push(finding);
        } else {
            self.beyond += 1;
            self.error_beyond |= finding.severity == Severity::Error;
        }
    }

    pub(super) fn error(&mut self, place: impl Into<Option<Place>>, message: impl Into<String>) {
        self.push(Finding::error(place, message));
    }

    /// The name that was probably meant, as long as what is found is kept: comparing takes its time.
    pub(super) fn near<'a>(
        &self,
        written: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        if self.found.len() < MOST_FINDINGS { nearest(written, known) } else { None }
    }

    /// How many errors there are so far.
    pub(super) fn error_count(&self) -> usize {
        self.errors
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The findings in the order of the file that they are first said of, each line's once: what an anchor holds is
    /// read as often as it is used.
    pub(super) fn into_sorted(self) -> Vec<Finding> {
        let (beyond, error_beyond) = (self.beyond, self.error_beyond);
        let mut files: Vec<&str> = Vec::new();
        for place in self.found.iter().filter_map(|finding| finding.place.as_ref()) {
            if !files.contains(&place.file.name()) {
                files.push(place.file.name());
            }
        }
        let order = |finding: &Finding| {
            let place = finding.place.as_ref()?;
            let file = files.iter().position(|name| *name == place.file.name());
            Some((file, place.line, place.column))
        };
        let mut keyed: Vec<_> = self.found.iter().map(|finding| (order(finding), finding)).collect();
        keyed.sort_by_key(|(order, _)| *order);
        keyed.dedup_by(|a, b| a.0 == b.0 && a.1.message == b.1.message);
        let mut found: Vec<Finding> = keyed.into_iter().map(|(_, finding)| finding.clone()).collect();
        if beyond > 0 {
            let message = format!("{beyond} more findings are not shown");
            found.push(if error_beyond {
                Finding::error(None, message)
            } else {
                Finding::warning(None, message)
            });
        }
        found
    }
}
