//! What tells the three kinds of node apart.

use anyhow::Result;

use crate::Node;
use crate::flags::{CommonFlags, Kind};
use crate::resources::Resources;

/// A kind of node: which topics it has beside its further ones, and how it runs.
pub(crate) trait Role: 'static {
    type Node: Node;
    const KIND: Kind;
    /// The types of the messages of `-st`, the usual one first; a source has none.
    const TAKES: &'static [&'static str];
    /// The type of the messages of `-pt`.
    const PUBLISHES: Option<&'static str>;
    /// [`Source::NEEDS_PUBLISH_TOPIC`](crate::Source::NEEDS_PUBLISH_TOPIC)
    const NEEDS_PUBLISH_TOPIC: bool = true;

    /// Runs the node until it is stopped or ends by itself.
    fn run(
        flags: CommonFlags,
        args: <Self::Node as Node>::Args,
        resources: Resources,
    ) -> impl Future<Output = Result<()>> + Send;
}
