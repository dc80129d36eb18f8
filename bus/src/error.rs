//! Errors of a bus or a registry, by how the caller handles them.

/// Why an operation of a bus or a registry failed. No variant ever contains a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server does not respond, or cannot serve now. Retry with back-off.
    #[error("{place}: cannot {operation}: {reason}")]
    Unavailable {
        /// The failed operation, such as `publish to topic img`.
        operation: String,
        /// The server, as in [`Bus::describe`](crate::Bus::describe).
        place: String,
        /// The cause.
        reason: String,
    },
    /// The server refuses the operation: a wrong password, a missing right, an untrusted certificate. Only a change of
    /// settings helps, so retry slowly if at all.
    #[error("{place}: refused to {operation}: {reason}")]
    Refused {
        /// The failed operation.
        operation: String,
        /// The server.
        place: String,
        /// The cause, and the missing right if it is known.
        reason: String,
    },
    /// An invalid name, URL or environment variable. Do not retry.
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
