//! One sensor's frames become its segments: decode, convert, encode, cut.

use crate::counts::{Counts, Dropped, Merged};
use crate::cuts::CutBudget;
use crate::ending::Ending;
use crate::input::Input;
use crate::losses::{LossLog, LostFrames};
use crate::origin::{Origin, OriginWatch};
use crate::segmenter::{EncodedFrame, EndedSegment, Segmenter};
use crate::sensor_encoder::SensorEncoder;
use crate::settings::Settings;
use crate::timeline::{Decision, LeftOut, Timeline, is_valid};
use msight_codec::{EncodeError, check_size};
use msight_node::logs::Repeated;
use msight_proto::{ImageData, Sample, Utc, unix_now};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, trace, warn};

/// So many late frames among 16 are no disorder on the way: two sources, whose messages do not tell them apart, have one
/// sensor name.
const MANY_LATE: u32 = 4;

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
    origins: OriginWatch,
    cuts: CutBudget,
    /// Which of the last 16 frames came late: a bit each.
    late_frames: u16,
    /// Frames lost since the last encoded one.
    lost: u64,
    late: Repeated,
    merged_sizes: Repeated,
    merged_clocks: Repeated,
    coarsened: Repeated,
    no_time: LossLog,
    second_source: LossLog,
    unreadable: LossLog,
    refused: LossLog,
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
            origins: OriginWatch::default(),
            cuts: CutBudget::new(Instant::now()),
            late_frames: 0,
            lost: 0,
            late: Repeated::new(),
            merged_sizes: Repeated::new(),
            merged_clocks: Repeated::new(),
            coarsened: Repeated::new(),
            no_time: LossLog::new(),
            second_source: LossLog::new(),
            unreadable: LossLog::new(),
            refused: LossLog::new(),
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
        let decision = self.timeline.decide(captured);
        self.late_frames = self.late_frames << 1 | u16::from(decision == Decision::LeaveOut(LeftOut::Late));
        let (time, leap) = match decision {
            Decision::Keep if is_valid(captured) => (captured, false),
            Decision::Keep => (unix_now(), false),
            Decision::Restart(ending) => (captured, !self.end_before_leap(ending, captured, begun, ended)),
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
                let (sensor, size) = (self.label.clone(), picture.size());
                let (width, height) = (size.width(), size.height());
                self.merged_sizes.count(move |frames| {
                    warn!(
                        sensor,
                        frames,
                        width,
                        height,
                        "frames scaled to the size of the open segment: the size changes too often to begin a segment \
                         each time; give each source its own --sensor-name"
                    );
                });
            }
        }
        match self.encoder.encode(picture, time, self.segmenter.next_is_start(), &self.label) {
            Ok((unit, coarsened)) => {
                self.counts.encoded(begun.elapsed());
                if let Some(qp) = coarsened {
                    self.report_coarsened(qp);
                }
                let (key, bytes) = (unit.key, unit.data.len());
                trace!(sensor = self.label, time, key, bytes, "frame encoded");
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
            debug!(sensor = self.label, captured = %Utc(captured), reason = ending.as_str(), "segment ended");
            ended.extend(self.segmenter.flush(ending, None));
        } else {
            self.counts.merged(Merged::Clock);
            let sensor = self.label.clone();
            self.merged_clocks.count(move |frames| {
                warn!(
                    sensor,
                    frames,
                    captured = %Utc(captured),
                    "frames kept in the open segment: capture times leap too often to begin a segment each time; \
                     set the clock of the source, and give each source its own --sensor-name"
                );
            });
        }
        may_end
    }

    fn report_coarsened(&self, qp: u8) {
        let sensor = self.label.clone();
        self.coarsened.count(move |times| {
            warn!(
                sensor,
                times,
                qp,
                "encoding coarser: a frame is too large for the encoder; lower --bitrate, or raise --qp"
            );
        });
    }

    /// Counts and reports a lost frame.
    fn lose(&mut self, why: Dropped, captured: f64, reason: String) {
        self.counts.dropped(why, 1);
        self.lost += 1;
        let log = match why {
            Dropped::SecondSource => &self.second_source,
            Dropped::Decode => &self.unreadable,
            _ => &self.refused,
        };
        log.add(LostFrames::from_iter([captured]), &self.label, reason);
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
        trace!(sensor = self.label, captured, ?why, "frame left out");
        match why {
            LeftOut::Rate => {}
            LeftOut::Late => {
                let sensor = self.label.clone();
                self.late.count(move |frames| {
                    warn!(
                        sensor,
                        frames,
                        captured = %Utc(captured),
                        "frames left out: captured before the frame that came before them, or at the same time"
                    );
                });
            }
            LeftOut::NoTime => {
                self.lost += 1;
                let reason = "invalid capture time; use --timing constant for a source without a clock";
                self.no_time.add(LostFrames::from_iter([captured]), &self.label, reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuts::{BURST, INTERVAL};
    use crate::metrics;
    use clap::FromArgMatches as _;
    use msight_node::Settings as _;
    use msight_node::metrics::{Metric, Metrics};
    use msight_proto::{FrameId, Head};
    use proptest::prelude::*;

    const START: f64 = 1.7e9;

    struct Bench {
        sensor: Sensor,
        metrics: Metrics,
        segments: Vec<EndedSegment>,
    }

    impl Bench {
        fn new() -> Self {
            let command = <crate::Flags as clap::Args>::augment_args(clap::Command::new("test"));
            let flags = ["test", "--buffer-size=1000", "--overlap-size=0", "--fps=10"];
            let matches = command.get_matches_from(flags);
            let flags = crate::Flags::from_arg_matches(&matches).unwrap();
            let metrics = Metrics::default();
            let counts = Arc::new(Counts::new(&metrics));
            let settings = Settings::parse(flags).unwrap();
            let sensor = Sensor::new("gate".into(), settings, counts).unwrap();
            Self { sensor, metrics, segments: vec![] }
        }

        /// Sends a raw grey frame of this many pixels squared.
        fn send(&mut self, head: Head, side: u64) {
            let grey = vec![(side * 7) as u8; (side * side) as usize];
            let image = ImageData {
                image: Some(grey.into()),
                is_encoded: false,
                detection_results: None,
                size: Some(vec![side, side]),
            };
            self.sensor.frame(Sample::new(head, image), &mut self.segments);
        }

        fn finish(&mut self) -> usize {
            self.segments.extend(self.sensor.finish(Ending::Stop));
            self.segments.iter().for_each(|segment| assert!(segment.to_mp4().is_ok()));
            self.segments.iter().map(|segment| segment.frames.len()).sum()
        }

        fn count(&self, metric: &Metric, reason: &str) -> u64 {
            self.metrics.counter_with(metric, &[reason]).get()
        }
    }

    fn head(time: f64) -> Head {
        Head::new("gate".to_owned(), time)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Whatever sizes and capture times come, segments are few, and each frame that is not late is in one of them.
        #[test]
        fn segments_are_few_whatever_comes(
            frames in proptest::collection::vec(
                (prop_oneof![Just(16_u64), Just(32), Just(48), 8_u64..64], prop_oneof![Just(0.1), -20.0..20.0, -1e6..1e6]),
                1..200,
            ),
        ) {
            let mut bench = Bench::new();
            let (mut time, begun) = (START, Instant::now());
            let sent = frames.len() as u64;
            for (side, step) in frames {
                time += step;
                bench.send(head(time), side);
            }
            let shown = bench.finish() as u64;
            let more = begun.elapsed().as_secs_f64() / INTERVAL.as_secs_f64();
            prop_assert!(bench.segments.len() as f64 <= f64::from(BURST) + 2.0 + more);
            let left_out = ["late", "rate"].map(|reason| bench.count(&metrics::LEFT_OUT, reason));
            let lost = ["size", "second_source"].map(|reason| bench.count(&metrics::DROPPED, reason));
            prop_assert_eq!(shown + left_out.iter().chain(&lost).sum::<u64>(), sent);
        }
    }

    #[test]
    fn sizes_that_alternate_share_segments_and_lose_no_frame() {
        let mut bench = Bench::new();
        for k in 0..150_u32 {
            bench.send(head(START + f64::from(k) / 10.0), [64, 32][k as usize % 2]);
        }
        assert_eq!(bench.finish(), 150);
        assert!((3..=20).contains(&bench.segments.len()), "{}", bench.segments.len());
        assert!(bench.count(&metrics::MERGED, "frame_size") > 50);
    }

    #[test]
    fn a_clock_that_leaps_to_and_fro_shares_segments_and_loses_no_frame() {
        let mut bench = Bench::new();
        for k in 0..150_u32 {
            bench.send(head(START + f64::from(k) / 10.0 + [0.0, 3600.0][k as usize % 2]), 32);
        }
        assert_eq!(bench.finish(), 150);
        assert!((3..=20).contains(&bench.segments.len()), "{}", bench.segments.len());
        let long = bench.segments.iter().find(|segment| segment.frames.len() > 50).unwrap();
        assert!((5.0..20.0).contains(&long.seconds()), "plays {} s", long.seconds());
    }

    #[test]
    fn frames_that_cannot_be_encoded_end_no_segment() {
        let mut bench = Bench::new();
        for k in 0..40_u32 {
            bench.send(head(START + f64::from(k) / 10.0), [64, 8][k as usize % 2]);
        }
        assert_eq!((bench.finish(), bench.segments.len()), (20, 1));
        assert_eq!(bench.count(&metrics::DROPPED, "size"), 20);
        assert_eq!((bench.segments[0].lost_before(), bench.segments[0].lost_within()), (0, 19));
    }

    #[test]
    fn two_sources_that_look_alike_are_told_by_their_times() {
        let mut bench = Bench::new();
        for k in 0..60_u32 {
            let mut head = head(START + f64::from(k / 2) / 10.0 - f64::from(k % 2) * 2.03);
            head.frame_id = None;
            bench.send(head, 32);
        }
        let late = bench.count(&metrics::LEFT_OUT, "late");
        assert_eq!((bench.finish(), late), (30, 3));
        assert_eq!(bench.count(&metrics::DROPPED, "second_source"), 27);
    }

    #[test]
    fn frames_of_a_second_source_are_counted_as_such() {
        let mut bench = Bench::new();
        for k in 0..60_u64 {
            let mut head = head(START + (k / 2) as f64 / 10.0 - (k % 2) as f64 * 0.03);
            let now = (head.creation_timestamp * 1e3) as u64;
            head.frame_id = Some(FrameId::from(now << 22 | (5 + k % 2) << 12 | 1));
            bench.send(head, 32);
        }
        assert_eq!(bench.count(&metrics::DROPPED, "second_source"), 29);
        assert!(bench.finish() >= 30);
    }
}
