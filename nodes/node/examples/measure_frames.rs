//! A node that publishes the size of each frame.

use msight_node::{Context, Node, Processor, Publisher, Result};
use msight_proto::{ImageData, Message, Sample};

/// The message that this node publishes.
#[derive(serde::Serialize, serde::Deserialize)]
struct FrameSize {
    bytes: usize,
}
impl Message for FrameSize {
    const TYPE: &'static str = "example.FrameSize";
}

/// Publishes the size of each frame in bytes.
#[derive(Clone, clap::Args)]
struct Flags {}

struct Measure;
impl Node for Measure {
    const NAME: &'static str = "measure_frames";
    type Args = Flags;
    async fn open(_: Flags, _: &Context) -> Result<Self> {
        Ok(Self)
    }
}
impl Processor for Measure {
    type In = ImageData;
    type Out = FrameSize;
    async fn process(&mut self, frame: Sample<ImageData>, out: &Publisher<FrameSize>) -> Result<()> {
        let bytes = match &frame.body.image {
            Some(image) => image.bytes()?.len(),
            None => 0,
        };
        out.publish(frame.map(|_| FrameSize { bytes })).await
    }
}

fn main() -> std::process::ExitCode {
    msight_node::processor::<Measure>().main()
}
