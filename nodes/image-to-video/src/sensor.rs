//! One sensor's frames become its segments: decode, convert, encode, cut.

use crate::coding::Coding;
use crate::counts::{Counts, Dropped};
use crate::encoder;
use crate::ending::Ending;
use crate::input::Input;
use crate::recording::{AccessUnit, Recording, Segment};
use crate::settings::Settings;
use crate::timeline::{LeftOut, Timeline, Verdict, is_usable};
use msight_node::logs::Repeated;
use msight_proto::{ImageData, Sample, unix_now};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, error, trace, warn};

/// The state of one sensor. Every frame is decoded and encoded once, when it comes; what is kept of it is its
/// access unit.
pub(crate) struct Sensor {
    /// The name for log lines.
    label: String,
    settings: Settings,
    counts: Arc<Counts>,
    timeline: Timeline,
    recording: Recording,
    input: Input,
    coding: Coding,
    late: Repeated,
    no_time: Repeated,
    unreadable: Repeated,
    refused: Repeated,
}

impl Sensor {
    /// A sensor that has sent nothing yet, called `label` in log lines.
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
            recording: Recording::new(settings.cut),
            input: Input::new()?,
            coding: Coding::new(settings.quality),
            late: Repeated::new(),
            no_time: Repeated::new(),
            unreadable: Repeated::new(),
            refused: Repeated::new(),
        })
    }

    /// How long the sensor may send nothing before [`Sensor::quiet`] is due.
    pub(crate) fn patience(&self) -> Duration {
        let seconds = self.settings.idle.seconds(self.timeline.rhythm());
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Takes a frame. Segments that end with it or before it are appended to `ended`, in order.
    pub(crate) fn frame(&mut self, frame: Sample<ImageData>, ended: &mut Vec<Segment>) {
        let captured = frame.head.capture_timestamp;
        let time = match self.timeline.judge(captured) {
            Verdict::Keep if is_usable(captured) => captured,
            Verdict::Keep => unix_now(),
            Verdict::Restart(ending) => {
                debug!(sensor = self.label, captured, reason = ending.as_str(), "a new segment begins");
                ended.extend(self.recording.flush(ending, None));
                captured
            }
            Verdict::LeaveOut(why) => return self.leave_out(captured, why),
        };
        ended.extend(self.recording.advance(time));

        let begun = Instant::now();
        let picture = match self.input.read(&frame.body) {
            Ok(picture) => picture,
            Err(error) => {
                self.counts.dropped(Dropped::Decode, 1);
                let sensor = self.label.clone();
                self.unreadable.count(move |times| {
                    warn!(sensor, times, "frame left out, it is no picture that can be read: {error}");
                });
                return;
            }
        };
        if !self.coding.goes_on(&picture) {
            ended.extend(self.recording.flush(Ending::FrameSize, Some(time)));
            self.coding.reset();
        }
        match self.coding.encode(picture, time, self.recording.next_is_start(), &self.label) {
            Ok((encoded, parameter_sets)) => {
                self.counts.encoded(begun.elapsed());
                trace!(
                    sensor = self.label,
                    time,
                    key = encoded.key,
                    bytes = encoded.data.len(),
                    "frame encoded"
                );
                let unit = AccessUnit { frame: frame.map(drop), time, data: encoded.data, key: encoded.key };
                self.recording.push(unit, &parameter_sets);
            }
            Err(error) => {
                self.coding.reset();
                let why = match error {
                    encoder::Error::Size { .. } => Dropped::Size,
                    encoder::Error::Codec(_) | encoder::Error::Output(_) => Dropped::Encode,
                };
                self.counts.dropped(why, 1);
                ended.extend(self.recording.flush(Ending::Encoder, None));
                let sensor = self.label.clone();
                self.refused.count(move |times| error!(sensor, times, "frame lost: {error}"));
            }
        }
    }

    /// Ends what is open.
    pub(crate) fn finish(&mut self, ending: Ending) -> Option<Segment> {
        self.recording.flush(ending, None)
    }

    /// The sensor has sent nothing for its patience: ends what is open and gives the memory of the encoder and
    /// the picture back.
    pub(crate) fn quiet(&mut self) -> Option<Segment> {
        self.coding.reset();
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
                    "frame left out, its capture time {captured} is not after that of the frame before"
                );
            }),
            LeftOut::NoTime => self.no_time.count(move |times| {
                warn!(
                    sensor,
                    times,
                    "frame left out, its capture time {captured} is none; \
                     a source without a clock needs --timing constant"
                );
            }),
        }
    }
}
