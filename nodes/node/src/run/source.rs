//! The loop of a source: what it gives is published, and an error opens it again.

use std::marker::PhantomData;
use std::time::Duration;

use anyhow::Result;
use msight_bus::Backoff;
use msight_proto::Message;
use tokio::time::{Instant, timeout};
use tracing::{error, info, warn};

use super::role::Role;
use super::session::Session;
use crate::Source;
use crate::fault::Mark;
use crate::flags::{CommonFlags, Kind};
use crate::resources::Resources;

/// How long a source may take to let go of what it holds.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The kind of node that [`Source`] is.
pub(crate) struct SourceRole<S>(PhantomData<fn(S)>);

impl<S: Source> Role for SourceRole<S> {
    type Node = S;
    const KIND: Kind = Kind::Source;
    const TAKES: Option<&'static str> = None;
    const PUBLISHES: Option<&'static str> = Some(S::Out::TYPE);

    async fn run(flags: CommonFlags, args: S::Args, resources: Resources) -> Result<()> {
        let Some(session) = Session::begin::<Self>(flags, resources).await? else { return Ok(()) };
        let outcome = match session.unless_stopped(S::open(args.clone(), &session.cx)).await {
            Ok(Some(source)) => feed(source, args, &session).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        let time = session.cx.grace();
        session.end(outcome, time).await
    }
}

async fn feed<S: Source>(mut source: S, args: S::Args, session: &Session) -> Result<()> {
    let Some(out) = session.publisher() else { return Ok(()) };
    let reopened = session.resources.metrics.counter(&msight_contract::traffic::SOURCE_REOPENED);
    let mut gap = session.cx.remaining_gap();
    let mut delays = ReopenDelays::default();
    loop {
        let opened = Instant::now();
        let mut error = loop {
            let Some(next) = session.unless_stopped(source.next()).await.transpose() else {
                close(source).await;
                return Ok(());
            };
            match next {
                Ok(Some(sample)) => {
                    session.activity().work_seen();
                    if opened.elapsed() > ReopenDelays::PROVEN {
                        delays.reset();
                    }
                    if gap.passes()
                        && let Err(error) = out.publish(sample).await
                    {
                        error!("message lost: {error:#}");
                    }
                }
                Ok(None) => {
                    info!("the source has ended");
                    return Ok(());
                }
                Err(error) => break error,
            }
        };
        // The old instance lets go of its connection before there is a new one.
        close(source).await;
        source = loop {
            if Mark::of(&error) == Some(Mark::Fatal) {
                return Err(error);
            }
            let delay = delays.after(&error);
            session.activity().fail(&error);
            warn!("{error:#}; trying again in {:.1} s", delay.as_secs_f64());
            let pause = async {
                tokio::time::sleep(delay).await;
                Ok(())
            };
            if session.unless_stopped(pause).await?.is_none() {
                return Ok(());
            }
            reopened.inc();
            match session.unless_stopped(S::open(args.clone(), &session.cx)).await {
                Ok(Some(source)) => break source,
                Ok(None) => return Ok(()),
                Err(again) => error = again,
            }
        };
    }
}

/// Gives the source a moment to let go of what it holds.
async fn close<S: Source>(source: S) {
    let _ = timeout(CLOSE_TIMEOUT, source.close()).await;
}

/// How long to wait before a source is opened again.
struct ReopenDelays {
    broken: Backoff,
    refused: Backoff,
}

impl Default for ReopenDelays {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            broken: Backoff::new(Duration::from_millis(500), seconds(30)),
            // Jitter halves a delay at most: these are 30 s to 5 min.
            refused: Backoff::new(seconds(60), seconds(300)),
        }
    }
}

impl ReopenDelays {
    /// A source that has given samples for so long works; one that breaks sooner is opened less and less often.
    const PROVEN: Duration = Duration::from_secs(10);

    fn after(&mut self, error: &anyhow::Error) -> Duration {
        match Mark::of(error) {
            Some(Mark::Refused) => self.refused.delay(),
            _ => self.broken.delay(),
        }
    }

    fn reset(&mut self) {
        self.broken.reset();
        self.refused.reset();
    }
}
