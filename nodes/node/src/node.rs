//! What a node is: one of three traits, and nothing about Redis, signals or retries.

use std::future::Future;

use anyhow::Result;
use msight_contract::Metric;
use msight_proto::{Message, Sample};

use crate::{Accept, Context, Port, Publisher, Settings};

/// What every node has: a name, flags, and a way to open it.
pub trait Node: Sized + Send + 'static {
    /// The program's name, such as `msight_launch_rtsp`.
    const NAME: &'static str;

    /// What the registry calls this kind of node, such as `RTSPSourceNode`.
    const CLASS: &'static str = Self::NAME;

    /// The metrics that the node makes in [`open`](Self::open), beside those of [`msight_contract::traffic`], which
    /// every node has.
    const METRICS: &'static [Metric] = &[];

    /// The node's own flags, a type that derives [`clap::Args`], or what the node parses them into: see [`Settings`].
    /// What all nodes share (`-n`, `-pt`, `-st`, `-sn`, `--gap` …) comes from the kit.
    type Args: Settings;

    /// The outputs and inputs that the node has beside `-pt` and `-st`: see [`Output`](crate::Output) and
    /// [`Input`](crate::Input).
    const PORTS: &'static [Port] = &[];

    /// Makes the node of its parsed flags. The first error ends the program (exit code 1); a source that is opened
    /// again after an error of [`Source::next`] waits and tries once more.
    fn open(args: Self::Args, cx: &Context) -> impl Future<Output = Result<Self>> + Send;
}

/// A node that publishes what it gets from outside.
pub trait Source: Node {
    /// The type of the messages it publishes.
    type Out: Message;

    /// Whether the command line must have `-pt`. A source with further outputs can be of use without it: with `false`, the
    /// topic of one of these is enough. Without `-pt`, the kit drops the samples that [`next`](Self::next) returns, so such
    /// a source should not make them; `next` is still polled, for errors and for the end.
    const NEEDS_PUBLISH_TOPIC: bool = true;

    /// The next sample, or `None` when there will be no more, which ends the program (exit 0).
    ///
    /// After an error the node is dropped and opened again: soon, and then less and less often; slowly from
    /// the start after one marked [`refused`](crate::refused); never after one marked
    /// [`fatal`](crate::fatal). The future is dropped when the program is to stop.
    fn next(&mut self) -> impl Future<Output = Result<Option<Sample<Self::Out>>>> + Send;

    /// Lets go of what the source holds, such as a camera's session: when the program is to stop, and before the
    /// source is opened again. It has a second for that, and is dropped then.
    fn close(self) -> impl Future<Output = ()> + Send {
        async { drop(self) }
    }
}

/// A node that makes messages of messages.
pub trait Processor: Node {
    /// The type of the messages it takes, or an enum of several types; others on the topic are counted and skipped.
    type In: Accept;
    /// The type of the messages it publishes.
    type Out: Message;

    /// Publishes what is there before the first sample, such as what an earlier run of the program has left. The node
    /// subscribes first, so nothing is missed meanwhile. An error ends the program.
    fn begin(&mut self, out: &Publisher<Self::Out>) -> impl Future<Output = Result<()>> + Send {
        let _ = out;
        async { Ok(()) }
    }

    /// Works on one sample and publishes what comes of it, which may be nothing, or later: `out` can be
    /// cloned and kept. An error is counted and said, and the sample skipped, unless it is marked
    /// [`fatal`](crate::fatal).
    fn process(
        &mut self,
        sample: Sample<Self::In>,
        out: &Publisher<Self::Out>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Publishes what is left when no more samples come. It has the time of `--grace`.
    fn finish(&mut self, out: &Publisher<Self::Out>) -> impl Future<Output = Result<()>> + Send {
        let _ = out;
        async { Ok(()) }
    }
}

/// A node that takes messages out of the graph.
pub trait Sink: Node {
    /// The type of the messages it takes, or an enum of several types; others on the topic are counted and skipped.
    type In: Accept;

    /// Works on one sample. An error is counted and said, and the sample skipped, unless it is marked
    /// [`fatal`](crate::fatal).
    fn consume(&mut self, sample: Sample<Self::In>) -> impl Future<Output = Result<()>> + Send;

    /// Ends what is under way when no more samples come. It has the time of `--grace`.
    fn finish(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}
