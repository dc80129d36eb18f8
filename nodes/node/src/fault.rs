//! What an error means to the runner.

use std::fmt;

/// Marks an error as an answer that will not change soon, such as a refused password. A source is opened
/// again slowly then, after 30 s to 5 min, so that a camera does not lock the account.
pub fn refused(error: impl Into<anyhow::Error>) -> anyhow::Error {
    error.into().context(Mark::Refused)
}

/// Whether an error is marked as [`refused`].
pub fn is_refused(error: &anyhow::Error) -> bool {
    Mark::of(error) == Some(Mark::Refused)
}

/// Marks an error as one that trying again cannot mend: the program ends (exit 1).
pub fn fatal(error: impl Into<anyhow::Error>) -> anyhow::Error {
    error.into().context(Mark::Fatal)
}

/// Hangs in an error's chain of contexts; the text is read in front of the error's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Refused,
    Fatal,
}

impl Mark {
    pub(crate) fn of(error: &anyhow::Error) -> Option<Self> {
        error.downcast_ref().copied()
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Fatal => "cannot go on",
        })
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn a_mark_is_found_under_further_context() {
        let error = refused(anyhow!("401 Unauthorized")).context("camera rtsp://10.0.0.1/");
        assert!(is_refused(&error) && !is_refused(&fatal(anyhow!("no disk"))));
        assert_eq!(format!("{error:#}"), "camera rtsp://10.0.0.1/: refused: 401 Unauthorized");
        let plain: anyhow::Result<()> = Err(anyhow!("no route")).context("camera");
        assert_eq!(Mark::of(&plain.unwrap_err()), None);
    }
}
