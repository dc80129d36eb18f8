//! Why an item did not enter a queue.

use std::fmt;

/// Why an item did not enter a queue. The item is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// There is no room for it now.
    Full(T),
    /// It is larger than a single item may be: it never fits.
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
