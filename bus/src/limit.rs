//! The limit that all buses share.

/// The largest payload that any bus carries: 64 MiB. [`Bus::publish`](crate::Bus::publish) rejects a larger one. A larger
/// one that arrives from elsewhere is dropped and counted.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;
