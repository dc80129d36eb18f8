//! The error of a push, which returns the item.

use std::fmt;

/// Why an item did not enter a queue, with the item.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// The queue has no room for it now.
    Full(T),
    /// It exceeds the limit of a single item, so it never fits.
    Oversized(T),
    /// The queue is closed.
    Closed(T),
}

impl<T> PushError<T> {
    /// The item.
    pub fn into_item(self) -> T {
        match self {
            Self::Full(item) | Self::Oversized(item) | Self::Closed(item) => item,
        }
    }
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Oversized(_) => "Oversized(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}
