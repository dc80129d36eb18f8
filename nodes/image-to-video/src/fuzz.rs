//! The entry point for the fuzz target (`launch/fuzz`): frames as others may send them.

use std::sync::Arc;
use std::time::Duration;

use msight_codec::Quality;
use msight_node::metrics::Metrics;
use msight_proto::{Head, ImageData, Sample};

use crate::counts::Counts;
use crate::ending::Ending;
use crate::incoming::Incoming;
use crate::segmenter::SegmentRules;
use crate::sensor::Sensor;
use crate::settings::{Codec, Copying, Settings};
use crate::timeline::Timing;
use crate::windows::WindowSize;
use msight_media::intervals::PauseLimit;

const FPS: f64 = 10.0;

/// Makes segments of frames with these capture times, and checks that each one makes a file, and that each encoded frame
/// is in one of them.
pub fn frames(buffer: u8, overlap: u8, constant: bool, frames: impl Iterator<Item = (f64, ImageData)>) {
    let Ok(size) = WindowSize::new(buffer.into(), overlap.into()) else { return };
    let settings = Settings {
        codec: Codec::H264,
        copying: Copying::Auto,
        timing: if constant { Timing::Constant } else { Timing::Capture },
        fps: FPS,
        rules: SegmentRules { size, max_bytes: 1 << 20, interval: 1.0 / FPS, constant },
        quality: Quality { bitrate: None, qp: None, fps: FPS, keyframe_interval: 250 },
        max_gap: PauseLimit::AtLeast(2.0),
        idle: PauseLimit::AtLeast(5.0),
        forget: Duration::from_secs(60),
        max_sensors: 1,
        sensor_queue: 100,
    };
    let metrics = Metrics::default();
    let Ok(mut sensor) = Sensor::new("fuzz".to_owned(), settings, Arc::new(Counts::new(&metrics))) else {
        return;
    };
    let mut segments = Vec::new();
    for (time, image) in frames {
        let frame = Sample::new(Head::new(None, time), Incoming::Picture(image));
        sensor.frame(frame, &mut segments);
    }
    sensor.finish(Ending::Stop, &mut segments);
    let encoded = metrics.counter(&crate::metrics::ENCODED).get();
    let shown: usize = segments.iter().map(|segment| segment.frames.len()).sum();
    assert!(shown as u64 >= encoded, "{encoded} frames were encoded, and segments show {shown}");
    assert!(
        overlap > 0 || shown as u64 == encoded,
        "{encoded} frames were encoded, and segments show {shown}"
    );
    for segment in &segments {
        segment.to_mp4().expect("a segment is a file");
    }
}
