//! Limits of a queue.

/// The limits of a [`BoundedQueue`](crate::BoundedQueue).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of items, including the one in flight. An item is always accepted when no other item waits, even
    /// if one is in flight.
    pub max_items: usize,
    /// Maximum of their total size, in bytes.
    pub max_bytes: usize,
    /// Maximum size of a single item, in bytes. An item between `max_bytes` and this is accepted when no other item
    /// waits.
    pub max_item_bytes: usize,
}

impl Limits {
    /// At most `max_items` items with a sum of at most `max_bytes` bytes; a larger item is rejected.
    pub const fn new(max_items: usize, max_bytes: usize) -> Self {
        Self { max_items, max_bytes, max_item_bytes: max_bytes }
    }

    /// The same limits, but an item larger than `max_bytes` is accepted when no other item waits.
    #[must_use]
    pub const fn admitting_any_size(self) -> Self {
        Self { max_item_bytes: usize::MAX, ..self }
    }
}
