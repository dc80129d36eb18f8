//! A finding: an error, a warning or a note about a file, at its place.

use std::fmt;

use super::{Place, excerpt};
use msight_contract::suggest::closest;

/// Findings beyond this number are counted, not kept: a hostile file could have millions.
const MAX_FINDINGS: usize = 200;

/// The code of an error about a required variable that is not set: `${NAME}` stands for its value.
pub const VARIABLE_REQUIRED: &str = "variable-required";

/// How severe a finding is. Errors are greater than warnings, warnings greater than notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For information; nothing is wrong.
    Note,
    /// Probably a mistake. The graph runs.
    Warning,
    /// The graph cannot run, or not as written.
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

/// A problem or remark about a graph.
///
/// [`fmt::Display`] writes it without colour; [`Finding::render`] has the choice.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What kind of finding it is, in stable words for programs and tests, as `unknown-key`.
    pub code: &'static str,
    /// Where it is; `None` if it is not about a place in a file.
    pub place: Option<Place>,
    /// How severe it is.
    pub severity: Severity,
    /// What is wrong: one sentence without a full stop.
    pub message: String,
    /// What to do, if there is something to suggest.
    pub help: Option<Box<str>>,
}

impl Finding {
    /// An error at `place`.
    pub fn error(code: &'static str, place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self { code, place: place.into(), severity: Severity::Error, message: message.into(), help: None }
    }

    /// A warning at `place`.
    pub fn warning(code: &'static str, place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// A note at `place`.
    pub fn note(code: &'static str, place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(code, place, message) }
    }

    /// The finding with a help text.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into().into_boxed_str());
        self
    }

    /// The finding as text: `file:line:column: error: …`, the line of the file with a caret under the place, the path,
    /// and the help. Passwords are masked and control characters replaced.
    pub fn render(&self, colour: bool) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| excerpt::write(f, self, colour))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.render(false).fmt(f)
    }
}

/// Collects findings while files are read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    /// How many findings were not kept, and whether an error was among them.
    beyond: usize,
    error_beyond: bool,
    errors: usize,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        self.errors += usize::from(finding.severity == Severity::Error);
        if self.found.len() < MAX_FINDINGS {
            self.found.push(finding);
        } else {
            self.beyond += 1;
            self.error_beyond |= finding.severity == Severity::Error;
        }
    }

    pub(super) fn error(
        &mut self,
        code: &'static str,
        place: impl Into<Option<Place>>,
        message: impl Into<String>,
    ) {
        self.push(Finding::error(code, place, message));
    }

    /// The known name closest to the written one. Skipped once findings are no longer kept, because it is slow.
    pub(super) fn near<'a>(
        &self,
        written: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        if self.found.len() < MAX_FINDINGS { closest(written, known) } else { None }
    }

    /// The number of errors so far.
    pub(super) fn error_count(&self) -> usize {
        self.errors
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The findings in the order of files and lines, without duplicates: a YAML anchor is read once for each use.
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
                Finding::error("too-many-findings", None, message)
            } else {
                Finding::warning("too-many-findings", None, message)
            });
        }
        found
    }
}
