//! The loop of processors and sinks: what arrives is worked on.

use std::marker::PhantomData;

use anyhow::{Context as _, Result, anyhow};
use msight_proto::{Message, Sample};
use tokio::time::timeout;

use super::inlet::Inlet;
use super::role::Role;
use super::session::{Session, both};
use crate::flags::{CommonFlags, Kind};
use crate::resources::Resources;
use crate::{Accept, Node, Processor, Publisher, Sink};

/// The kind of node that [`Processor`] is.
pub(crate) type ProcessorRole<P> = ConsumerRole<Processing<P>>;

/// The kind of node that [`Sink`] is.
pub(crate) type SinkRole<S> = ConsumerRole<Consuming<S>>;

/// A node in the loop over incoming samples.
pub(crate) trait Work: Sized + Send + 'static {
    type Node: Node;
    type In: Accept;
    const KIND: Kind;
    const PUBLISHES: Option<&'static str>;
    /// Puts an opened node into the loop. A node that publishes is given its publisher.
    fn new(node: Self::Node, session: &Session) -> Result<Self>;
    fn begin(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
    fn work(&mut self, sample: Sample<Self::In>) -> impl Future<Output = Result<()>> + Send;
    fn finish(&mut self) -> impl Future<Output = Result<()>> + Send;
}

pub(crate) struct ConsumerRole<W>(PhantomData<fn(W)>);

impl<W: Work> Role for ConsumerRole<W> {
    type Node = W::Node;
    const KIND: Kind = W::KIND;
    const TAKES: &'static [&'static str] = W::In::TYPES;
    const PUBLISHES: Option<&'static str> = W::PUBLISHES;

    async fn run(flags: CommonFlags, args: <W::Node as Node>::Args, resources: Resources) -> Result<()> {
        let Some(session) = Session::begin::<Self>(flags, resources).await? else { return Ok(()) };
        let mut time = session.cx.grace();
        let outcome = async {
            let opened = session.unless_stopped(W::Node::open(args, &session.cx)).await?;
            let Some(node) = opened else { return Ok(()) };
            let Some(mut inlet) = session.subscribe().await? else { return Ok(()) };
            let mut work = W::new(node, &session)?;
            // If the node is stopped before, it still works on what is queued.
            session.unless_stopped(work.begin()).await?;
            let outcome = drive(&mut inlet, work).await;
            time = inlet.time_left();
            outcome
        }
        .await;
        session.end(outcome, time).await
    }
}

/// A processor at work.
pub(crate) struct Processing<P: Processor> {
    node: P,
    out: Publisher<P::Out>,
}

impl<P: Processor> Work for Processing<P> {
    type Node = P;
    type In = P::In;
    const KIND: Kind = Kind::Processor;
    const PUBLISHES: Option<&'static str> = Some(P::Out::TYPE);
    fn new(node: P, session: &Session) -> Result<Self> {
        Ok(Self { node, out: session.publisher().context("a processor publishes")? })
    }
    fn begin(&mut self) -> impl Future<Output = Result<()>> + Send {
        self.node.begin(&self.out)
    }
    fn work(&mut self, sample: Sample<P::In>) -> impl Future<Output = Result<()>> + Send {
        self.node.process(sample, &self.out)
    }
    fn finish(&mut self) -> impl Future<Output = Result<()>> + Send {
        self.node.finish(&self.out)
    }
}

/// A sink at work.
pub(crate) struct Consuming<S: Sink>(S);

impl<S: Sink> Work for Consuming<S> {
    type Node = S;
    type In = S::In;
    const KIND: Kind = Kind::Sink;
    const PUBLISHES: Option<&'static str> = None;
    fn new(node: S, _: &Session) -> Result<Self> {
        Ok(Self(node))
    }
    fn work(&mut self, sample: Sample<S::In>) -> impl Future<Output = Result<()>> + Send {
        self.0.consume(sample)
    }
    fn finish(&mut self) -> impl Future<Output = Result<()>> + Send {
        self.0.finish()
    }
}

/// Works on sample after sample until it is time to stop or an error says so, and lets the node finish.
async fn drive<W: Work>(inlet: &mut Inlet, mut node: W) -> Result<()> {
    // Declared after the node, it is dropped before it.
    let _end = inlet.until_the_end();
    let outcome = loop {
        let outcome = match inlet.next::<W::In>().await {
            Ok(Some(sample)) => inlet.watch(sample.receipt(), node.work(sample)).await,
            Ok(None) => break Ok(()),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            break outcome;
        }
    };
    inlet.abandon();
    let finished = match timeout(inlet.time_left(), node.finish()).await {
        Ok(finished) => finished.context("while finishing"),
        Err(_) => Err(anyhow!("finish did not end within --grace; unfinished work is lost")),
    };
    both(outcome, finished)
}
