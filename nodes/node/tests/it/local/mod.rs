//! Nodes of one process: samples go from one to the other as they are, and all else is as on a bus.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use msight_bus::{Connection, Table, Topic};
use msight_node::health::Health;
use msight_node::{
    Context, Entry, Local, Node, Processor, Publisher, Resources, Result, Sink, Source, anyhow, processor,
    sink, source,
};
use msight_proto::{
    BytesData, DecodedImage, EncodeError, Head, Image, ImageData, Message, Receipt, Sample, decode,
};
use msight_test_support::redis::RedisServer;
use msight_test_support::until;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::running::{NoFlags, Running, resources};

/// Nodes that share a process, each with a stop of its own.
struct Process {
    resources: Resources,
}

impl Process {
    fn new() -> Self {
        Self::on(Connection::memory())
    }

    fn on(connection: Connection) -> Self {
        let resources = Resources { local: Some(Local::new()), ..resources(connection) };
        Self { resources }
    }

    fn local(&self) -> &Local {
        self.resources.local.as_ref().unwrap()
    }

    fn start(&self, entry: Entry, args: &str) -> Running {
        let resources =
            Resources { health: Health::default(), stop: CancellationToken::new(), ..self.resources.clone() };
        Running::start_with(resources, entry, args)
    }

    /// Starts a node that others depend on.
    async fn ready(&self, entry: Entry, args: &str) -> Running {
        let node = self.start(entry, args);
        node.until("the node is ready", |resources| resources.health.unready().is_none()).await;
        node
    }

    /// The sum of the metrics of that name and node.
    fn count(&self, node: &str, name: &str) -> u64 {
        let label = format!("node=\"{node}\"");
        let text = self.resources.metrics.render();
        let of_node =
            text.lines().filter(|line| line.split('{').next() == Some(name) && line.contains(&label));
        of_node.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }
}

/// Samples that a test may have under way at an end.
const MOST_SAMPLES: usize = 1024;

/// Defines a source that gives what a channel of the test does, and a sink that hands to one. Each test has its own,
/// because a node is made of its type alone.
macro_rules! ends {
    ($module:ident, $message:ty) => {
        #[allow(dead_code, reason = "a test has the ends that it needs")]
        mod $module {
            use super::*;

            type Channel = (mpsc::Sender<Sample<$message>>, Mutex<Option<mpsc::Receiver<Sample<$message>>>>);
            static IN: std::sync::LazyLock<Channel> = std::sync::LazyLock::new(|| {
                let (sender, receiver) = mpsc::channel(MOST_SAMPLES);
                (sender, Mutex::new(Some(receiver)))
            });
            static OUT: std::sync::LazyLock<Channel> = std::sync::LazyLock::new(|| {
                let (sender, receiver) = mpsc::channel(MOST_SAMPLES);
                (sender, Mutex::new(Some(receiver)))
            });

            pub(super) fn give(sample: Sample<$message>) {
                IN.0.try_send(sample).unwrap();
            }

            pub(super) fn taken() -> mpsc::Receiver<Sample<$message>> {
                OUT.1.lock().unwrap().take().expect("asked for once")
            }

            pub(super) struct Give(mpsc::Receiver<Sample<$message>>);
            impl Node for Give {
                const NAME: &'static str = "give";
                type Args = NoFlags;
                async fn open(_: NoFlags, _: &Context) -> Result<Self> {
                    Ok(Self(IN.1.lock().unwrap().take().expect("opened once")))
                }
            }
            impl Source for Give {
                type Out = $message;
                async fn next(&mut self) -> Result<Option<Sample<$message>>> {
                    Ok(self.0.recv().await)
                }
            }

            pub(super) struct Take;
            impl Node for Take {
                const NAME: &'static str = "take";
                type Args = NoFlags;
                async fn open(_: NoFlags, _: &Context) -> Result<Self> {
                    Ok(Self)
                }
            }
            impl Sink for Take {
                type In = $message;
                async fn consume(&mut self, sample: Sample<$message>) -> Result<()> {
                    OUT.0.try_send(sample).map_err(|_| anyhow!("the test is over"))
                }
            }
        }
    };
}

mod bus_topics;
mod isolation;
mod samples;

/// A picture that knows whether it was encoded.
struct Planes(Arc<AtomicBool>);

impl DecodedImage for Planes {
    fn encode(&self) -> Result<Bytes, EncodeError> {
        self.0.store(true, SeqCst);
        Ok(Bytes::from_static(b"a file"))
    }
    fn memory(&self) -> usize {
        1 << 20
    }
}

fn picture(encoded: &Arc<AtomicBool>) -> Sample<ImageData> {
    let image = Some(Image::from_decoded(Planes(encoded.clone())));
    let body = ImageData {
        image,
        is_encoded: true,
        detection_results: None,
        size: Some(vec![2, 2, 3]),
        access_unit: None,
    };
    Sample::new(Head::new("north".to_owned(), 1.0), body)
}

fn planes(sample: &Sample<ImageData>) -> &Planes {
    sample.body.image.as_ref().unwrap().decoded().expect("the picture itself")
}

fn text(text: &str) -> Sample<BytesData> {
    Sample::new(Head::new(None, 1.0), BytesData { data: Some(text.to_owned().into()) })
}
