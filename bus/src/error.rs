//! What can go wrong on a bus or a registry, by what the caller does about it.

/// Why an operation of a bus or a registry failed. No variant ever contains a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The far end does not answer, or cannot serve now. Retry with back-off.
    #[error("{place}: cannot {operation}: {reason}")]
    Unavailable {
        /// What was tried: `publish to topic img`.
        operation: String,
        /// Where, as [`Bus::describe`](crate::Bus::describe) has it.
        place: String,
        /// What happened.
        reason: String,
    },
    /// The far end answers and refuses: wrong password, a missing right, an untrusted
    /// certificate. Only a change of settings helps, so retry slowly if at all.
    #[error("{place}: refused to {operation}: {reason}")]
    Refused {
        /// What was tried.
        operation: String,
        /// Where.
        place: String,
        /// Why, and which right is missing where that can be told.
        reason: String,
    },
    /// An invalid name, URL or environment variable. Retrying is pointless.
    #[error("{0}")]
    Invalid(String),
    /// A payload above the limit. Drop it.
    #[error(
        "cannot publish to topic {topic}: the message has {bytes} bytes, above the limit of {limit} bytes"
    )]
    TooLarge {
        /// The topic it was meant for.
        topic: String,
        /// Its size.
        bytes: usize,
        /// The largest possible size, [`MAX_MESSAGE_BYTES`](crate::MAX_MESSAGE_BYTES).
        limit: usize,
    },
}

impl Error {
    /// Whether the same call may succeed soon by itself.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
