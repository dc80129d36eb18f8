//! A node with two outputs: the time between frames, and an alarm when a frame is late.
//!
//! cargo run --example late_frames -- -n late -st rtsp_topic -pt gaps_topic --alarm-topic alarm_topic

use msight_node::{Context, Node, Output, Port, Processor, Publisher, Result};
use msight_proto::{ImageData, Message, Sample};

/// The message of the first output, `-pt`.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct FrameGap {
    pub(crate) seconds: f64,
}
impl Message for FrameGap {
    const TYPE: &'static str = "example.FrameGap";
}

/// The message of the second output, `--alarm-topic`.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct LateFrame {
    pub(crate) seconds: f64,
    pub(crate) limit: f64,
}
impl Message for LateFrame {
    const TYPE: &'static str = "example.LateFrame";
}

pub(crate) const ALARMS: Output<LateFrame> =
    Output::new("--alarm-topic", "Publish an alarm to this topic when a frame is late");

/// Publishes the time between the frames of a camera, and an alarm when a frame is late.
#[derive(Clone, clap::Args)]
pub(crate) struct Flags {
    /// Seconds between two frames above which the second frame is late
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, help_heading = "Alarm")]
    limit: f64,
}

pub(crate) struct LateFrames {
    limit: f64,
    last: Option<f64>,
    /// `None` without `--alarm-topic`.
    alarms: Option<Publisher<LateFrame>>,
}
impl Node for LateFrames {
    const NAME: &'static str = "late_frames";
    const PORTS: &'static [Port] = &[ALARMS.port()];
    type Args = Flags;
    async fn open(flags: Flags, cx: &Context) -> Result<Self> {
        Ok(Self { limit: flags.limit, last: None, alarms: cx.publisher(&ALARMS) })
    }
}
impl Processor for LateFrames {
    type In = ImageData;
    type Out = FrameGap;
    async fn process(&mut self, frame: Sample<ImageData>, out: &Publisher<FrameGap>) -> Result<()> {
        let now = frame.head.capture_timestamp;
        let Some(last) = self.last.replace(now) else { return Ok(()) };
        let (seconds, limit) = (now - last, self.limit);
        if let Some(alarms) = self.alarms.as_ref().filter(|_| seconds > limit) {
            alarms.publish(Sample::new(frame.head.clone(), LateFrame { seconds, limit })).await?;
        }
        out.publish(frame.map(|_| FrameGap { seconds })).await
    }
}

#[allow(dead_code, reason = "the example's test takes the node without its main")]
fn main() -> std::process::ExitCode {
    msight_node::processor::<LateFrames>().main()
}
