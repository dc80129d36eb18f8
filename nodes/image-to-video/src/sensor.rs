//! One sensor's frames become its segments: decode, convert, encode, cut.

use crate::counts::{Counts, Dropped};
use crate::ending::Ending;
use crate::input::Input;
use crate::segmenter::{EncodedFrame, EndedSegment, Segmenter};
use crate::sensor_encoder::SensorEncoder;
use crate::settings::Settings;
use crate::timeline::{Decision, LeftOut, Timeline, is_valid};
use msight_codec::EncodeError;
use msight_node::logs::Repeated;
use msight_proto::{ImageData, Sample, unix_now};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, error, trace, warn};

/// The state of one sensor. Every frame is decoded and encoded once, when it comes, and kept as an access unit.
pub(crate) struct Sensor {
    /// The name for log lines.
    label: String,
    settings: Settings,
    counts: Arc<Counts>,
    timeline: Timeline,
    segmenter: Segmenter,
    input: Input,
    encoder: SensorEncoder,
    late: Repeated,
    no_time: Repeated,
    unreadable: Repeated,
    refused: Repeated,
}

impl Sensor {
    /// A sensor without frames as yet, called `label` in log lines.
    ///
    /// # Errors
    /// The JPEG decoder cannot be set up.
    pub(crate) fn new(
        label: String,
        settings: Settings,
        counts: Arc<Counts>,
    ) -> Result<Self, msight_picture::Error> {
        Ok(Self {
            label,
            settings,
            counts,
            timeline: Timeline::new(settings.timing, settings.fps, settings.max_gap),
            segmenter: Segmenter::new(settings.rules),
            input: Input::new()?,
            encoder: SensorEncoder::new(settings.quality),
            late: Repeated::new(),
            no_time: Repeated::new(),
            unreadable: Repeated::new(),
            refused: Repeated::new(),
        })
    }

    /// Time without a frame until [`Sensor::idle`] is due.
    pub(crate) fn idle_timeout(&self) -> Duration {
        let seconds = self.settings.idle.seconds(self.timeline.intervals());
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Processes a frame. Appends the segments that end with it or before it to `ended`, in order.
    pub(crate) fn frame(&mut self, frame: Sample<ImageData>, ended: &mut Vec<EndedSegment>) {
        let captured = frame.head.capture_timestamp;
        let time = match self.timeline.decide(captured) {
            Decision::Keep if is_valid(captured) => captured,
            Decision::Keep => unix_now(),
            Decision::Restart(ending) => {
                debug!(sensor = self.label, captured, reason = ending.as_str(), "segment ended");
                ended.extend(self.segmenter.flush(ending, None));
                captured
            }
            Decision::LeaveOut(why) => return self.leave_out(captured, why),
        };
        ended.extend(self.segmenter.advance(time));

        let begun = Instant::now();
        let picture = match self.input.read(&frame.body) {
            Ok(picture) => picture,
            Err(error) => {
                self.counts.dropped(Dropped::Decode, 1);
                let sensor = self.label.clone();
                self.unreadable.count(move |times| {
                    warn!(sensor, times, "frames dropped: cannot decode: {error}");
                });
                return;
            }
        };
        if !self.encoder.continues(&picture) {
            ended.extend(self.segmenter.flush(Ending::FrameSize, Some(time)));
            self.encoder.reset();
        }
        match self.encoder.encode(picture, time, self.segmenter.next_is_start(), &self.label) {
            Ok(unit) => {
                self.counts.encoded(begun.elapsed());
                let (key, bytes) = (unit.key, unit.data.len());
                trace!(sensor = self.label, time, key, bytes, "frame encoded");
                self.segmenter.push(EncodedFrame { message: frame.map(drop), unit });
            }
            Err(error) => {
                self.encoder.reset();
                let (reason, advice) = match error {
                    EncodeError::Size { .. } => {
                        (Dropped::Size, "; scale it in the source (--resize-ratio on msight_launch_rtsp)")
                    }
                    EncodeError::Library(_) | EncodeError::Output(_) => (Dropped::Encode, ""),
                };
                self.counts.dropped(reason, 1);
                ended.extend(self.segmenter.flush(Ending::Encoder, None));
                let sensor = self.label.clone();
                self.refused.count(move |times| error!(sensor, times, "frames dropped: {error}{advice}"));
            }
        }
    }

    /// Ends the open segment.
    pub(crate) fn finish(&mut self, ending: Ending) -> Option<EndedSegment> {
        self.segmenter.flush(ending, None)
    }

    /// The sensor is idle: ends the open segment, and frees the memory of the encoder and the picture.
    pub(crate) fn idle(&mut self) -> Option<EndedSegment> {
        self.encoder.reset();
        self.input.forget();
        self.finish(Ending::Idle)
    }

    fn leave_out(&mut self, captured: f64, why: LeftOut) {
        self.counts.left_out(why);
        trace!(sensor = self.label, captured, ?why, "frame left out");
        let sensor = self.label.clone();
        match why {
            LeftOut::Rate => {}
            LeftOut::Late => self.late.count(move |times| {
                warn!(
                    sensor,
                    times,
                    captured,
                    "frames left out: capture time not after that of the frame before"
                );
            }),
            LeftOut::NoTime => self.no_time.count(move |times| {
                warn!(
                    sensor,
                    times,
                    captured,
                    "frames left out: invalid capture time; use --timing constant for a source without a clock"
                );
            }),
        }
    }
}
