//! When pictures are taken: one an interval, while somebody watches.

use std::time::{Duration, Instant};

use super::feed::{AccessUnit, Feed};

/// Serves the feed with what `take` gives, until it is closed.
pub(super) fn run(feed: &Feed, interval: Duration, mut take: impl FnMut() -> Option<AccessUnit>) {
    let mut due = Instant::now();
    while feed.wait_for_viewers() && feed.wait_until(due) {
        // After a pause the rhythm starts anew: a camera does not catch up on what it has not seen.
        if due.elapsed() > interval / 2 {
            due = Instant::now();
        }
        due += interval;
        if let Some(unit) = take() {
            feed.publish(unit);
        }
    }
}
