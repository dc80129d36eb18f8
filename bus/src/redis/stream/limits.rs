//! The bounds of a durable topic.

use std::time::Duration;

/// What a durable topic holds at most. Each publisher enforces its own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::redis) struct StreamLimits {
    /// Maximum number of stored messages.
    pub(in crate::redis) max_messages: u64,
    /// Maximum of their total size, in bytes.
    pub(in crate::redis) max_bytes: u64,
    /// Age at which a message is deleted, acknowledged or not.
    pub(in crate::redis) max_age: Duration,
    /// Deliveries without an acknowledgement after which a message is set aside.
    pub(in crate::redis) max_deliveries: u64,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            max_messages: 100_000,
            max_bytes: 512 << 20,
            max_age: Duration::from_secs(24 * 3600),
            max_deliveries: 16,
        }
    }
}
