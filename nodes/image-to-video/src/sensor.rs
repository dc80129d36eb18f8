//! One sensor's frames become its segments: copied from the camera's stream, or decoded, converted and encoded; and cut.

use crate::camera_stream::{CameraStream, Lead, Unit};
use crate::clock_rate::ClockRate;
use crate::copying::{CopyPolicy, Refusal};
use crate::counts::{Counts, Dropped, Merged};
use crate::cuts::CutBudget;
use crate::ending::Ending;
use crate::incoming::Incoming;
use crate::input::Input;
use crate::origin::{Origin, OriginWatch};
use crate::segment::{EndedSegment, SegmentFrame};
use crate::segmenter::{Making, Segmenter};
use crate::sensor_encoder::SensorEncoder;
use crate::sensor_log::SensorLog;
use crate::settings::Settings;
use crate::stream_rate::StreamRate;
use crate::timeline::{Decision, LeftOut, Timeline, is_valid};
use arrivals::Arrivals;
use msight_codec::{EncodeError, check_size};
use msight_media::AccessUnit;
use msight_picture::Picture;
use msight_proto::{Head, ImageData, Sample, Utc, unix_now};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, trace};

/// So many late frames among 16 are no disorder on the way: two sources, whose messages do not tell them apart, have one
/// sensor name.
const MANY_LATE: u32 = 4;

/// The state of one sensor. Every frame is decoded and encoded at most once, when it comes, and kept as an access unit.
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
    /// Frames lost since the last one of a segment.
    lost: u64,
    log: SensorLog,
    policy: CopyPolicy,
    /// What the camera has encoded.
    stream: CameraStream,
    stream_rate: StreamRate,
    /// A frame is missing in the open segments, whose unit others refer to.
    is_copy_broken: bool,
    /// Why nothing can be copied although everything has to be.
    blocked_copy: Option<String>,
    arrivals: Arrivals,
}

/// A frame whose turn it is in presentation order.
struct Frame {
    message: Sample<()>,
    picture: FramePicture,
    /// What the camera has encoded; only if it may be copied.
    unit: Option<Arc<Unit>>,
    /// Whether the message has a unit, even if it is of no use before the next key frame.
    carries_unit: bool,
    /// The decision on it, if it waits for its picture since.
    decided: Option<Decided>,
}

/// The picture of a frame.
enum FramePicture {
    /// As it came.
    Message(ImageData),
    /// From this sensor's decoder.
    Decoded(Picture),
    /// Not decoded as yet.
    Undecoded,
}

/// How a frame is shown.
#[derive(Clone, Copy)]
struct Decided {
    /// When it was captured.
    time: f64,
    /// See [`SegmentFrame::leap`].
    leap: bool,
    /// How the segment that begins with it is made, if one begins.
    making: Option<Making>,
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
            policy: CopyPolicy::new(&settings),
            stream: CameraStream::new(settings.rules.max_bytes.saturating_mul(3) / 2),
            stream_rate: StreamRate::default(),
            is_copy_broken: false,
            blocked_copy: None,
            arrivals: Arrivals::default(),
        })
    }

    /// Time without a frame until [`Sensor::idle`] is due.
    pub(crate) fn idle_timeout(&self) -> Duration {
        let seconds = self.settings.idle.seconds(self.timeline.intervals());
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Why nothing can be copied although `--copy always` is set, until something is.
    pub(crate) fn blocked_copy(&self) -> Option<&str> {
        self.blocked_copy.as_deref()
    }

    /// Frames of this sensor were lost before they came here.
    pub(crate) fn lost_before(&mut self, frames: u64) {
        self.lost += frames;
    }

    /// Processes a frame. Appends the segments that end with it or before it to `ended`, in order.
    pub(crate) fn frame(&mut self, frame: Sample<Incoming>, ended: &mut Vec<EndedSegment>) {
        if let Err(used) = self.check_origin(&frame.head, Instant::now()) {
            return self.lose(Dropped::SecondSource, frame.head.capture_timestamp, used);
        }
        self.arrive(frame, ended);
    }

    /// Shows a frame whose turn it is. Returns it if it waits for its picture.
    fn show(&mut self, mut frame: Frame, ended: &mut Vec<EndedSegment>) -> Option<Frame> {
        let (captured, begun) = (frame.message.head.capture_timestamp, Instant::now());
        let decided = frame.decided.or_else(|| self.decide(&frame, begun, ended))?;
        let is_encoded = decided.making == Some(Making::Encode) || self.segmenter.encodes();
        if is_encoded && matches!(frame.picture, FramePicture::Undecoded) {
            frame.decided = Some(decided);
            return Some(frame);
        }
        let encoded = if is_encoded {
            let Some(encoded) = self.encode(&frame.picture, captured, decided.time, begun, ended) else {
                self.is_copy_broken = self.segmenter.copies();
                return None;
            };
            Some(encoded)
        } else {
            self.counts.copied();
            None
        };
        let (lost, unit) = (std::mem::take(&mut self.lost), frame.unit);
        let Decided { time, leap, making } = decided;
        let shown = unit.clone();
        let message = frame.message;
        let frame = SegmentFrame { message, captured: time, leap, lost, encoded, unit };
        // Only a frame that is encoded can begin a segment without a decision: its picture has ended the one before.
        self.segmenter.push(frame, making.unwrap_or(Making::Encode));
        if let Some(shown) = shown {
            self.stream.trim(self.segmenter.needed(), &shown);
        }
        None
    }

    /// Decides how a frame is shown, and ends segments that end before it. `None` if no segment shows it.
    fn decide(&mut self, frame: &Frame, now: Instant, ended: &mut Vec<EndedSegment>) -> Option<Decided> {
        let captured = frame.message.head.capture_timestamp;
        self.clock_rate.add(captured, now);
        let is_copied = self.segmenter.copies()
            || self.policy.always()
            || (self.segmenter.next_is_start() && self.lead(frame, now).is_ok());
        let decision = self.timeline.decide(captured, !is_copied);
        self.late_frames = self.late_frames << 1 | u16::from(decision == Decision::LeaveOut(LeftOut::Late));
        let (time, leap) = match decision {
            Decision::Keep if is_valid(captured) => (captured, false),
            Decision::Keep => (unix_now(), false),
            Decision::Restart(ending) => (captured, !self.end_before_leap(ending, captured, now, ended)),
            Decision::LeaveOut(why) => {
                let is_slow = why == LeftOut::Rate && self.clock_rate.is_slow();
                self.leave_out(captured, if is_slow { LeftOut::SlowClock } else { why });
                self.skip_unit(frame, ended);
                return None;
            }
        };
        ended.extend(self.segmenter.advance((!leap).then_some(time), &self.stream));
        if self.segmenter.copies() && !self.continues_copy(frame) && !self.segmenter.encode_instead() {
            self.cuts.take(now);
            let until = (!leap).then_some(time);
            ended.extend(self.segmenter.flush(Ending::Stream, until, &self.stream));
        }
        self.is_copy_broken &= self.segmenter.copies();
        if !self.segmenter.next_is_start() {
            return Some(Decided { time, leap, making: None });
        }
        let making = match self.lead(frame, now) {
            Ok(lead) => {
                self.blocked_copy = None;
                Making::Copy(lead)
            }
            Err(why) if self.policy.always() => {
                let stream = self.stream.size().err().filter(|_| why == Refusal::Format);
                let stream = stream.map(|stream| format!(": it is {stream}")).unwrap_or_default();
                let reason = format!("{why}{stream}");
                if why.is_lasting() {
                    self.blocked_copy = Some(reason.clone());
                }
                self.lose(Dropped::Copy, captured, format!("cannot copy: {reason}"));
                return None;
            }
            Err(why) => {
                if frame.unit.is_some() {
                    self.log.not_copied(why);
                }
                Making::Encode
            }
        };
        Some(Decided { time, leap, making: Some(making) })
    }

    /// No segment shows the frame, but later units refer to its unit.
    fn skip_unit(&mut self, frame: &Frame, ended: &mut Vec<EndedSegment>) {
        let Some(unit) = &frame.unit else { return };
        self.is_copy_broken |= self.segmenter.copies();
        if self.is_copy_broken && self.stream.is_full() {
            ended.extend(self.segmenter.flush(Ending::Stream, None, &self.stream));
        }
        self.stream.trim(self.segmenter.needed(), unit);
    }

    /// What a copied segment that begins with the frame has before it.
    ///
    /// # Errors
    /// The segment is not copied.
    fn lead(&mut self, frame: &Frame, now: Instant) -> Result<Lead, Refusal> {
        let (unit, interval) = (frame.unit.as_deref(), self.interval());
        let lead = self.policy.decide(unit, &self.stream, &self.stream_rate, interval);
        let incomplete =
            |why| if why == Refusal::NoUnit && frame.carries_unit { Refusal::Incomplete } else { why };
        let lead = lead.map_err(incomplete)?;
        // A copy that cannot go on ends early, so it needs what such an end costs.
        if self.policy.always() || self.cuts.has_token(now) { Ok(lead) } else { Err(Refusal::Unsteady) }
    }

    /// Whether the segments that are copied can show this frame next.
    fn continues_copy(&self, frame: &Frame) -> bool {
        let units = self.segmenter.last_unit().zip(frame.unit.as_ref());
        !self.is_copy_broken && units.is_some_and(|(last, unit)| self.stream.continues(last, unit))
    }

    /// Decodes, converts and encodes a picture. Ends the open segment if the picture does not fit into it. `None` if the
    /// frame is lost.
    fn encode(
        &mut self,
        picture: &FramePicture,
        captured: f64,
        time: f64,
        begun: Instant,
        ended: &mut Vec<EndedSegment>,
    ) -> Option<AccessUnit> {
        let picture = match picture {
            FramePicture::Decoded(picture) => picture.planes(),
            FramePicture::Undecoded => return None,
            FramePicture::Message(image) => match self.input.read(image) {
                Ok(picture) => picture,
                Err(error) => {
                    self.lose(Dropped::Decode, captured, format!("cannot decode: {error}"));
                    return None;
                }
            },
        };
        if let Err(error) = check_size(picture.size()) {
            let advice = "scale it in the source (--resize-ratio on msight_launch_rtsp)";
            self.lose(Dropped::Size, captured, format!("{error}; {advice}"));
            return None;
        }
        if !self.encoder.continues(&picture) {
            if !self.segmenter.is_open() || self.cuts.take(begun) {
                ended.extend(self.segmenter.flush(Ending::FrameSize, Some(time), &self.stream));
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
                Some(unit)
            }
            Err(error) => {
                self.encoder.reset();
                let advice = match error {
                    EncodeError::Memory { .. } => "; lower --max-sensors, or scale frames in the source",
                    EncodeError::Size { .. } | EncodeError::Library(_) | EncodeError::Output(_) => "",
                };
                self.lose(Dropped::Encode, captured, format!("cannot encode: {error}{advice}"));
                ended.extend(self.segmenter.flush(Ending::Encoder, None, &self.stream));
                None
            }
        }
    }

    /// Checks that a frame comes from the process that the sensor's other frames come from.
    ///
    /// # Errors
    /// It does not; the text names both processes.
    fn check_origin(&mut self, head: &Head, now: Instant) -> Result<(), String> {
        let origin = Origin::of(head);
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
            ended.extend(self.segmenter.flush(ending, None, &self.stream));
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
    pub(crate) fn finish(&mut self, ending: Ending, ended: &mut Vec<EndedSegment>) {
        self.release_all(ended);
        ended.extend(self.segmenter.flush(ending, None, &self.stream));
    }

    /// The sensor is idle: ends the open segment, and frees the memory of the encoder and the picture.
    pub(crate) fn idle(&mut self, ended: &mut Vec<EndedSegment>) {
        self.finish(Ending::Idle, ended);
        self.encoder.reset();
        self.input.forget();
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

mod arrivals;
#[cfg(test)]
mod copy_tests;
#[cfg(test)]
mod tests;
