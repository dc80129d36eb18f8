//! The counters of a queue.

use std::ops::AddAssign;

/// A number of items and their total size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of items.
    pub items: u64,
    /// Total size in bytes.
    pub bytes: u64,
}

impl Tally {
    pub(super) fn one(bytes: usize) -> Self {
        Self { items: 1, bytes: bytes as u64 }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.items += other.items;
        self.bytes += other.bytes;
    }
}

/// The counters of a queue at one moment. They are consistent: every accepted item has been consumed, or counts as
/// evicted, abandoned, waiting or in flight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Items that entered the queue.
    pub accepted: Tally,
    /// Items that the full queue rejected.
    pub rejected: Tally,
    /// Items that were rejected because they exceed the limit of a single item.
    pub oversized: Tally,
    /// Accepted items that were dropped to make room for newer ones.
    pub evicted: Tally,
    /// Accepted items that were dropped when the queue was abandoned.
    pub abandoned: Tally,
    /// Items that wait now.
    pub waiting: Tally,
    /// The item in flight, if there is one.
    pub in_flight: Tally,
}

impl QueueStats {
    /// Items that arrived while the queue was open.
    pub fn offered(&self) -> Tally {
        sum([self.accepted, self.rejected, self.oversized])
    }

    /// Items that were dropped because of the limits.
    pub fn dropped(&self) -> Tally {
        sum([self.rejected, self.oversized, self.evicted])
    }
}

fn sum(tallies: [Tally; 3]) -> Tally {
    tallies.into_iter().fold(Tally::default(), |mut sum, tally| {
        sum += tally;
        sum
    })
}
