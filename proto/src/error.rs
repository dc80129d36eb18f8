//! Why a message cannot be encoded or decoded.

/// A message cannot be encoded: a number is outside MessagePack's range, or the body is not a struct.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot encode the message: {0}")]
pub struct EncodeError(String);

impl EncodeError {
    /// An error with this reason.
    pub fn new(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

/// A payload cannot be decoded as the expected message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Above one of the [`Limits`](crate::Limits).
    #[error("the payload has {is} {what}; the limit is {limit}")]
    TooLarge {
        /// Which limit: bytes, depth, items or keys.
        what: &'static str,
        /// How much the payload has, at least.
        is: usize,
        /// The limit.
        limit: usize,
    },
    /// Invalid or truncated MessagePack, or bytes after its end.
    #[error("not an MSight message: invalid MessagePack at byte {at}: {why}")]
    Malformed {
        /// The offset in the payload.
        at: usize,
        /// What is wrong there.
        why: String,
    },
    /// MessagePack, but not a map with a text `data_type`.
    #[error("not an MSight message: {0}")]
    NotAMessage(&'static str),
    /// A message of another type than the expected one.
    #[error("the message has data_type {found:?}; expected {expected}")]
    WrongType {
        /// The expected type.
        expected: &'static str,
        /// The type in the message, cut to 128 characters.
        found: String,
    },
    /// A field is missing or has the wrong type.
    #[error("invalid field in the message: {0}")]
    Field(String),
}

impl From<rmp_serde::decode::Error> for DecodeError {
    fn from(error: rmp_serde::decode::Error) -> Self {
        Self::Field(error.to_string())
    }
}
