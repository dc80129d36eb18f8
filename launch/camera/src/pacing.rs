//! Paces the pictures: one per interval, while at least one client plays.

use std::time::{Duration, Instant};

use super::feed::{CapturedUnit, Feed};

/// Publishes the units of `take` to the feed until the feed is closed.
pub(super) fn run(feed: &Feed, interval: Duration, mut take: impl FnMut() -> Option<CapturedUnit>) {
    let mut due = Instant::now();
    while feed.wait_for_viewers() && feed.wait_until(due) {
        // After a pause the schedule restarts, because a live camera does not catch up.
        if due.elapsed() > interval / 2 {
            due = Instant::now();
        }
        due += interval;
        if let Some(unit) = take() {
            feed.publish(unit);
        }
    }
}
