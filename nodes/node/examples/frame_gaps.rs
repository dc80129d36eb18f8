//! A node with a message type of its own: how long after the frame before it was each frame taken?
//!
//! cargo run --example frame_gaps -- -n gaps -st rtsp_topic -pt gaps_topic

use msight_node::{Context, Node, Processor, Publisher, Result};
use msight_proto::{ImageData, Message, Sample};

#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct FrameGap {
    pub(crate) seconds: f64,
}
impl Message for FrameGap {
    const TYPE: &'static str = "example.FrameGap";
}

/// Publishes the seconds between the frames of a camera.
#[derive(Clone, clap::Args)]
pub(crate) struct Flags {}

#[derive(Default)]
pub(crate) struct FrameGaps {
    before: Option<f64>,
}
impl Node for FrameGaps {
    const NAME: &'static str = "frame_gaps";
    type Args = Flags;
    async fn open(_: Flags, _: &Context) -> Result<Self> {
        Ok(Self::default())
    }
}
impl Processor for FrameGaps {
    type In = ImageData;
    type Out = FrameGap;
    async fn process(&mut self, frame: Sample<ImageData>, out: &Publisher<FrameGap>) -> Result<()> {
        let now = frame.head.capture_timestamp;
        match self.before.replace(now) {
            Some(before) => out.publish(frame.map(|_| FrameGap { seconds: now - before })).await,
            None => Ok(()),
        }
    }
}

#[allow(dead_code, reason = "the example's test takes the node without its main")]
fn main() -> std::process::ExitCode {
    msight_node::processor::<FrameGaps>().main()
}
