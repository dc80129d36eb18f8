//! What keeps the pusher from its work: reasons from several places, which `/readyz` and the node's state show as one.

use msight_node::health::Health;
use std::sync::{Mutex, PoisonError};

/// Where an obstacle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The bucket.
    Bucket,
    /// The spool folder.
    Folder,
    /// Messages that name segments which are not in the spool folder.
    References,
}

/// The obstacles at this moment.
#[derive(Debug)]
pub(crate) struct Obstacles {
    health: Health,
    reasons: Mutex<Vec<(Place, String)>>,
}

impl Obstacles {
    pub(crate) fn new(health: Health) -> Self {
        Self { health, reasons: Mutex::default() }
    }

    /// Sets or removes the obstacle at a place. Returns whether one came or went.
    pub(crate) fn set(&self, place: Place, reason: Option<String>) -> bool {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let before = reasons.len();
        let had_one = reasons.iter().any(|(known, _)| *known == place);
        let has_one = reason.is_some();
        if before == 0 && !has_one {
            return false;
        }
        reasons.retain(|(known, _)| *known != place);
        reasons.extend(reason.map(|reason| (place, reason)));
        reasons.sort();
        let all: Vec<&str> = reasons.iter().map(|(_, reason)| reason.as_str()).collect();
        self.health.set_blocked((!all.is_empty()).then(|| all.join("; and ")));
        had_one != has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_obstacles_are_shown_until_each_is_gone() {
        let health = Health::default();
        health.set_ready(true);
        let obstacles = Obstacles::new(health.clone());
        assert!(!obstacles.set(Place::Bucket, None));
        assert!(obstacles.set(Place::Folder, Some("no folder".to_owned())));
        assert!(obstacles.set(Place::Bucket, Some("no bucket".to_owned())));
        assert!(!obstacles.set(Place::Bucket, Some("still no bucket".to_owned())));
        assert_eq!(health.unready().as_deref(), Some("still no bucket; and no folder"));
        assert!(obstacles.set(Place::Bucket, None));
        assert_eq!(health.unready().as_deref(), Some("no folder"));
        assert!(obstacles.set(Place::Folder, None));
        assert_eq!(health.unready(), None);
    }
}
