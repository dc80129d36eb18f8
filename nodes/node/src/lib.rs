//! The kit: what every node shares.
//!
//! A node is only its own work: it implements [`Source`], [`Processor`] or [`Sink`], and the kit does the
//! rest. Flags, logs, metrics, the registry, waiting for Redis, queues, opening a source again, draining at
//! the end: none of it is in a node.
//!
//! This is a whole program, with a message type of its own:
//!
//! ```no_run
//! use msight_node::{Context, Entry, Node, Processor, Publisher, Result};
//! use msight_proto::{ImageData, Message, Sample};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct FrameSize {
//!     bytes: usize,
//! }
//! impl Message for FrameSize {
//!     const TYPE: &'static str = "example.FrameSize";
//! }
//!
//! /// Publishes how many bytes each frame has.
//! #[derive(Clone, clap::Args)]
//! struct Flags {}
//!
//! struct Measure;
//! impl Node for Measure {
//!     const NAME: &'static str = "measure_frames";
//!     type Args = Flags;
//!     async fn open(_: Flags, _: &Context) -> Result<Self> {
//!         Ok(Self)
//!     }
//! }
//! impl Processor for Measure {
//!     type In = ImageData;
//!     type Out = FrameSize;
//!     async fn process(&mut self, frame: Sample<ImageData>, out: &Publisher<FrameSize>) -> Result<()> {
//!         let bytes = frame.body.image.as_ref().map_or(Ok(0), |image| image.bytes().map(|bytes| bytes.len()))?;
//!         out.publish(frame.map(|_| FrameSize { bytes })).await
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     msight_node::processor::<Measure>().main()
//! }
//! ```

mod accept;
pub mod allocation;
pub mod argparse;
mod context;
mod delivery;
pub mod describe;
mod dropped;
mod entry;
mod fault;
pub mod flags;
mod gap;
pub mod health;
pub mod line_queue;
mod local;
pub mod logs;
mod losses;
pub mod metrics;
mod node;
pub mod notify;
mod outbox;
mod port;
mod prepared;
mod program;
mod publisher;
pub mod queue;
mod queued;
mod readiness;
mod resources;
mod run;
pub mod sensors;
mod settings;
mod signals;
mod subscriber;
mod subscribers;
pub mod testing;

pub use anyhow::{Context as ErrorContext, Result, anyhow, bail};

pub use self::accept::{Accept, AnyType, Packed};
pub use self::context::Context;
pub use self::describe::Description;
pub use self::entry::{Entry, processor, sink, source};
pub use self::fault::{fatal, is_refused, refused};
pub use self::gap::Gap;
pub use self::local::Local;
pub use self::node::{Node, Processor, Sink, Source};
pub use self::port::{Input, Output, Port};
pub use self::prepared::{HostProcess, PreparedNode};
pub use self::program::{BAD_USAGE, device, exit_code};
pub use self::publisher::Publisher;
pub use self::resources::Resources;
pub use self::settings::Settings;
pub use self::signals::stop_on_signals;
pub use self::subscriber::Subscriber;
