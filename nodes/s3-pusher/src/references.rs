//! Whether the segments that messages name are found. A pusher that looks into another folder than the recorder writes would
//! seem to do its work.

use crate::obstacles::{Obstacles, Place};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many segments in a row that are missing are no accident, although others were found before.
const MISSING: u32 = 3;

/// What became of the latest references.
#[derive(Debug)]
pub(crate) struct References {
    obstacles: Arc<Obstacles>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A segment was found.
    has_found: bool,
    /// Segments in a row that were not.
    missing: u32,
}

impl References {
    pub(crate) fn new(obstacles: Arc<Obstacles>) -> Self {
        Self { obstacles, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A segment has come that can be uploaded.
    pub(crate) fn found(&self) {
        let mut state = self.state();
        *state = State { has_found: true, missing: 0 };
        drop(state);
        self.obstacles.set(Place::References, None);
    }

    /// A message names a segment that is not in the folder.
    pub(crate) fn missing(&self, path: &str, folder: &Path) {
        let mut state = self.state();
        state.missing = state.missing.saturating_add(1);
        if state.has_found && state.missing < MISSING {
            return;
        }
        drop(state);
        self.obstacles.set(
            Place::References,
            Some(format!(
                "messages name segments that are not in the spool folder {:?}, such as {path:?}; give the recorder and this \
                 pusher the same --spool, and in containers the same volume",
                folder.display().to_string()
            )),
        );
    }

    /// A message names a segment, and there is no spool folder.
    pub(crate) fn without_folder(&self, path: &str) {
        self.obstacles.set(
            Place::References,
            Some(format!(
                "messages name files, such as {path:?}, instead of carrying videos; start the pusher with --spool DIR, the folder \
                 of the recorder"
            )),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use msight_node::health::Health;

    #[test]
    fn a_wrong_folder_is_told_from_a_segment_that_vanished() {
        let health = Health::default();
        health.set_ready(true);
        let references = References::new(Arc::new(Obstacles::new(health.clone())));
        let folder = Path::new("/spool");
        references.missing("s/2026-11-28/1.mp4", folder);
        let reason = health.unready().expect("none was ever found");
        assert!(reason.contains("/spool") && reason.contains("--spool"), "{reason}");
        references.found();
        assert_eq!(health.unready(), None);
        for _ in 1..MISSING {
            references.missing("s/2026-11-28/2.mp4", folder);
            assert_eq!(health.unready(), None);
        }
        references.missing("s/2026-11-28/2.mp4", folder);
        assert!(health.unready().is_some());
    }
}
