//! One sensor's frames become its segments: decode, convert, encode, cut.

use crate::clock_rate::ClockRate;
use crate::counts::{Counts, Dropped, Merged};
use crate::cuts::CutBudget;
use crate::ending::Ending;
use crate::input::Input;
use crate::origin::{Origin, OriginWatch};
use crate::segmenter::{EncodedFrame, EndedSegment, Segmenter};
use crate::sensor_encoder::SensorEncoder;
use crate::sensor_log::SensorLog;
use crate::settings::Settings;
use crate::timeline::{Decision, LeftOut, Timeline, is_valid};
use msight_codec::{EncodeError, check_size};
use msight_proto::{ImageData, Sample, Utc, unix_now};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, trace};

/// So many late frames among 16 are no disorder on the way: two sources, whose messages do not tell them apart, have one
/// sensor name.
const MANY_LATE: u32 = 4;

/// The state of one sensor. Every frame is decoded and encoded once, when it comes, and kept as an access unit.
pub(crate) struct Sensor {
    settings: Settings,
    counts: Arc<Counts>,
    timeline: Timeline,
    clock_rate: ClockRate,
    segmenter: Segmenter,
    input: Input,
    encoder: SensorEncoder,
    origins: OriginWatch,
    cuts: CutBudget,
    /// Which of the last 16 frames came late: a bit each.
    late_frames: u16,
    /// Frames lost since the last encoded one.
    lost: u64,
    log: SensorLog,
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
            settings,
            counts,
            timeline: Timeline::new(settings.timing, settings.fps, settings.max_gap),
            clock_rate: ClockRate::default(),
            segmenter: Segmenter::new(settings.rules),
            input: Input::new()?,
            encoder: SensorEncoder::new(settings.quality),
            origins: OriginWatch::default(),
            cuts: CutBudget::new(Instant::now()),
            late_frames: 0,
            lost: 0,
            log: SensorLog::new(label),
        })
    }

    /// Time without a frame until [`Sensor::idle`] is due.
    pub(crate) fn idle_timeout(&self) -> Duration {
        let seconds = self.settings.idle.seconds(self.timeline.intervals());
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Frames of this sensor were lost before they came here.
    pub(crate) fn lost_before(&mut self, frames: u64) {
        self.lost += frames;
    }

    /// Processes a frame. Appends the segments that end with it or before it to `ended`, in order.
    pub(crate) fn frame(&mut self, frame: Sample<ImageData>, ended: &mut Vec<EndedSegment>) {
        let (captured, begun) = (frame.head.capture_timestamp, Instant::now());
        if let Err(used) = self.check_origin(&frame, begun) {
            return self.lose(Dropped::SecondSource, captured, used);
        }
        self.clock_rate.add(captured, begun);
        let decision = self.timeline.decide(captured);
        self.late_frames = self.late_frames << 1 | u16::from(decision == Decision::LeaveOut(LeftOut::Late));
        let (time, leap) = match decision {
            Decision::Keep if is_valid(captured) => (captured, false),
            Decision::Keep => (unix_now(), false),
            Decision::Restart(ending) => (captured, !self.end_before_leap(ending, captured, begun, ended)),
            Decision::LeaveOut(LeftOut::Rate) if self.clock_rate.is_slow() => {
                return self.leave_out(captured, LeftOut::SlowClock);
            }
            Decision::LeaveOut(why) => return self.leave_out(captured, why),
        };
        ended.extend(self.segmenter.advance((!leap).then_some(time)));

        let picture = match self.input.read(&frame.body) {
            Ok(picture) => picture,
            Err(error) => return self.lose(Dropped::Decode, captured, format!("cannot decode: {error}")),
        };
        if let Err(error) = check_size(picture.size()) {
            let advice = "scale it in the source (--resize-ratio on msight_launch_rtsp)";
            return self.lose(Dropped::Size, captured, format!("{error}; {advice}"));
        }
        if !self.encoder.continues(&picture) {
            if !self.segmenter.is_open() || self.cuts.take(begun) {
                ended.extend(self.segmenter.flush(Ending::FrameSize, Some(time)));
                self.encoder.reset();
            } else {
                self.counts.merged(Merged::FrameSize);
                self.log.merged_size(picture.size());
            }
        }
        match self.encoder.encode(picture, time, self.segmenter.next_is_start(), self.log.label()) {
            Ok((unit, coarsened)) => {
                self.counts.encoded(begun.elapsed());
                if let Some(qp) = coarsened {
                    self.log.coarsened(qp);
                }
                let (key, bytes) = (unit.key, unit.data.len());
                trace!(sensor = self.log.label(), time, key, bytes, "frame encoded");
                let lost = std::mem::take(&mut self.lost);
                self.segmenter.push(EncodedFrame { message: frame.map(drop), unit, leap, lost });
            }
            Err(error) => {
                self.encoder.reset();
                let advice = match error {
                    EncodeError::Memory { .. } => "; lower --max-sensors, or scale frames in the source",
                    EncodeError::Size { .. } | EncodeError::Library(_) | EncodeError::Output(_) => "",
                };
                self.lose(Dropped::Encode, captured, format!("cannot encode: {error}{advice}"));
                ended.extend(self.segmenter.flush(Ending::Encoder, None));
            }
        }
    }

    /// Checks that a frame comes from the process that the sensor's other frames come from.
    ///
    /// # Errors
    /// It does not; the text names both processes.
    fn check_origin(&mut self, frame: &Sample<ImageData>, now: Instant) -> Result<(), String> {
        let origin = Origin::of(&frame.head);
        self.origins.check(&origin, now).map_err(|used| {
            format!(
                "a second source publishes this sensor name: {origin}, beside {used}, whose frames are used; give each \
                 source its own --sensor-name (msight status lists the sources)"
            )
        })
    }

    /// Ends the open segment before a frame whose capture time does not continue it. Returns `false` if segments have
    /// ended too often: then the frame continues the segment in spite of its time.
    fn end_before_leap(
        &mut self,
        ending: Ending,
        captured: f64,
        now: Instant,
        ended: &mut Vec<EndedSegment>,
    ) -> bool {
        let may_end = !self.segmenter.is_open() || self.cuts.take(now);
        if may_end {
            debug!(sensor = self.log.label(), captured = %Utc(captured), reason = ending.as_str(), "segment ended");
            ended.extend(self.segmenter.flush(ending, None));
        } else {
            self.counts.merged(Merged::Clock);
            self.log.merged_clock(captured);
        }
        may_end
    }

    /// Counts and reports a lost frame.
    fn lose(&mut self, why: Dropped, captured: f64, reason: String) {
        self.counts.dropped(why, 1);
        self.lost += 1;
        self.log.lost(why, captured, reason);
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
        if why == LeftOut::Late && self.late_frames.count_ones() >= MANY_LATE {
            let reason = "capture times go back again and again: two sources publish this sensor name, or the clock of \
                          the source leaps; give each source its own --sensor-name";
            return self.lose(Dropped::SecondSource, captured, reason.to_owned());
        }
        self.counts.left_out(why);
        trace!(sensor = self.log.label(), captured, ?why, "frame left out");
        if why == LeftOut::NoTime {
            self.lost += 1;
        }
        self.log.left_out(why, captured);
    }
}

#[cfg(test)]
mod tests;
