//! The bounded queue, for a node that hands its work to a thread or a task of its own.

pub use msight_bus::{BoundedQueue, Limits, Popped, PushError};
