//! The limit that all buses share.

/// Maximum size of a payload on any bus: 64 MiB. [`Bus::publish`](crate::Bus::publish) rejects a larger one. A larger
/// payload from another program is dropped and counted.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;
