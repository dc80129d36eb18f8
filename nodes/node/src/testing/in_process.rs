//! Nodes in tests, as beside other nodes of one process: samples come and go as they are.

use msight_bus::Topic;
use msight_proto::{Message, Sample};

use super::{Bench, IN, OUT, everything};
use crate::local::{Local, SharedSample};
use crate::{Processor, Result, Source, anyhow, processor, source};

/// As [`run_source`](super::run_source).
///
/// # Errors
/// Those of the node, or that it ended before.
pub async fn run_source<S: Source>(flags: &[&str], count: usize) -> Result<Vec<Sample<S::Out>>> {
    let local = Local::new();
    let mut published = local.topics().subscribe(&Topic::new(OUT)?, everything());
    let mut bench = Bench::new(Some(local));
    bench.start(&source::<S>(), &[&["-n", "test", "-pt", OUT, "-sn", "sensor"], flags].concat());
    let mut samples = Vec::new();
    while samples.len() < count {
        tokio::select! {
            biased;
            Some(delivery) = published.recv() => samples.push(delivery.payload.open()?),
            outcome = bench.ended() => {
                outcome?;
                return Err(anyhow!("the source has ended after {} of {count} samples", samples.len()));
            }
        }
    }
    bench.stop().await?;
    Ok(samples)
}

/// As [`run_processor`](super::run_processor).
///
/// # Errors
/// Those of the node.
pub async fn run_processor<P: Processor>(
    flags: &[&str],
    samples: impl IntoIterator<Item = Sample<impl Message>>,
) -> Result<Vec<Sample<P::Out>>> {
    let local = Local::new();
    let mut published = local.topics().subscribe(&Topic::new(OUT)?, everything());
    let mut bench = Bench::new(Some(local.clone()));
    bench.start(&processor::<P>(), &[&["-n", "test", "-st", IN, "-pt", OUT], flags].concat());
    bench.until_ready().await;
    let topic = Topic::new(IN)?;
    for sample in samples {
        if local.topics().publish(&topic, SharedSample::new(sample)).is_err() {
            return bench.ended_early().await;
        }
        tokio::task::yield_now().await;
    }
    bench.stop().await?;
    let mut made = Vec::new();
    while let Some(delivery) = published.try_recv() {
        made.push(delivery.payload.open()?);
    }
    Ok(made)
}
