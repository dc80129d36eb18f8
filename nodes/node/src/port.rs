//! Outputs and inputs that a node has beside `-pt` and `-st`, each with a flag that names its topic.

use std::fmt;
use std::marker::PhantomData;

use msight_proto::Message;

use crate::Accept;
use crate::outbox::FullPolicy;

/// A further output of a node: samples of type `M`, published to the topic that its flag names.
///
/// ```
/// use msight_node::{Context, Node, Output, Port, Publisher, Result};
/// use msight_proto::BytesData;
///
/// const EVENTS: Output<BytesData> = Output::new("--event-topic", "Publish an event to this topic when …");
///
/// #[derive(Clone, clap::Args)]
/// struct Flags {}
///
/// struct Watch {
///     /// `None` without `--event-topic`.
///     events: Option<Publisher<BytesData>>,
/// }
/// impl Node for Watch {
///     const NAME: &'static str = "watch";
///     const PORTS: &'static [Port] = &[EVENTS.port()];
///     type Args = Flags;
///     async fn open(_: Flags, cx: &Context) -> Result<Self> {
///         Ok(Self { events: cx.publisher(&EVENTS) })
///     }
/// }
/// ```
pub struct Output<M> {
    port: Port,
    message: PhantomData<fn(M)>,
}

/// A further input of a node: samples of type `M`, or with [`AnyType`](crate::AnyType) the heads of all messages, taken
/// from the topic that its flag names. List its
/// [`port`](Self::port) in [`Node::PORTS`](crate::Node::PORTS), and get its samples by
/// [`Context::subscriber`](crate::Context::subscriber).
pub struct Input<M> {
    port: Port,
    message: PhantomData<fn() -> M>,
}

/// An output or an input whatever its message type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Port {
    pub(crate) flag: &'static str,
    pub(crate) help: &'static str,
    /// `None` stands for any type.
    pub(crate) data_type: Option<&'static str>,
    pub(crate) direction: Direction,
    /// What a source does with a message for which the queue of the output has no room.
    pub(crate) full_policy: FullPolicy,
}

/// Which way messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Into the node.
    In,
    /// Out of the node.
    Out,
}

impl<M: Message> Output<M> {
    /// An output whose topic is named by `flag`, such as `--packet-topic`. Without the flag the node does not publish
    /// it.
    pub const fn new(flag: &'static str, help: &'static str) -> Self {
        let (direction, full_policy) = (Direction::Out, FullPolicy::DropOldest);
        let data_type = Some(M::TYPE);
        Self { port: Port { flag, help, data_type, direction, full_policy }, message: PhantomData }
    }

    /// The same output, on which a source waits while the queue of the topic is full. By default, a source never waits and
    /// loses its oldest message.
    ///
    /// This is for messages that are of no use one by one, such as access units: the source keeps them in a bounded queue
    /// of its own, and drops there what belongs together. It publishes in a task of its own, so that it goes on reading
    /// meanwhile. A processor waits on every output. If nodes of one process read the topic, a reader elsewhere makes no
    /// source wait, and may lose single messages.
    #[must_use]
    pub const fn waiting(mut self) -> Self {
        self.port.full_policy = FullPolicy::Wait;
        self
    }

    /// For [`Node::PORTS`](crate::Node::PORTS).
    pub const fn port(&self) -> Port {
        self.port
    }
}

impl<M: Accept> Input<M> {
    /// An input whose topic is named by `flag`, such as `--detection-topic`. Without the flag the node does not
    /// subscribe to it.
    pub const fn new(flag: &'static str, help: &'static str) -> Self {
        let (direction, full_policy) = (Direction::In, FullPolicy::Wait);
        let data_type = match M::TYPES {
            [data_type, ..] => Some(*data_type),
            [] => None,
        };
        Self { port: Port { flag, help, data_type, direction, full_policy }, message: PhantomData }
    }

    /// For [`Node::PORTS`](crate::Node::PORTS).
    pub const fn port(&self) -> Port {
        self.port
    }
}

impl Port {
    /// The flag without its dashes.
    pub(crate) fn name(&self) -> &'static str {
        self.flag.trim_start_matches('-')
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}, {})", self.flag, self.direction, self.data_type.unwrap_or("any type"))
    }
}
