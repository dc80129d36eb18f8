//! What became of the items of a queue, by reason.

use std::ops::AddAssign;

/// A number of items and the sum of their sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub items: u64,
    /// Their bytes.
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

/// The counters of a queue at one moment. They agree with each other: every accepted item has been consumed, or
/// counts as evicted, abandoned, waiting or in flight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Items that entered the queue.
    pub accepted: Tally,
    /// Items that the full queue turned away.
    pub rejected: Tally,
    /// Items that were turned away because they are larger than a single item may be.
    pub oversized: Tally,
    /// Accepted items that made room for newer ones.
    pub evicted: Tally,
    /// Accepted items that the end of the queue discarded.
    pub abandoned: Tally,
    /// Items that wait now.
    pub waiting: Tally,
    /// The item in flight, if there is one.
    pub in_flight: Tally,
}

impl QueueStats {
    /// Items that arrived at an open queue, whatever became of them.
    pub fn offered(&self) -> Tally {
        sum([self.accepted, self.rejected, self.oversized])
    }

    /// Items that the limits cost.
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
