//! The life of a node: registered, opened, running, drained, gone. The loops are here, once for all nodes.

pub(crate) mod activity;
pub(crate) mod consumer;
mod incoming;
pub(crate) mod inlet;
mod membership;
mod namesakes;
mod outlet;
pub(crate) mod role;
mod session;
pub(crate) mod source;
mod unfinished;
