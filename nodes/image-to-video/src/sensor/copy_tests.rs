//! Copied segments show the frames that encoded ones would.

use super::*;
use crate::metrics;
use crate::test_stream::unit;
use clap::FromArgMatches as _;
use msight_node::Settings as _;
use msight_node::metrics::Metrics;
use msight_proto::AccessUnitData;
use proptest::prelude::*;

const START: f64 = 1.7e9;

/// One frame of a camera of 10 frames a second: `shown` is its number in presentation order.
#[derive(Clone)]
struct CameraFrame {
    shown: u64,
    unit: AccessUnitData,
}

impl CameraFrame {
    fn captured(&self) -> f64 {
        START + self.shown as f64 / 10.0
    }

    /// The frame with a picture, which is too small for a camera but not for the encoder.
    fn picture(&self) -> Sample<Incoming> {
        let image = ImageData {
            image: Some(vec![40; 16 * 16].into()),
            is_encoded: false,
            size: Some(vec![16, 16]),
            access_unit: Some(Arc::new(self.unit.clone())),
            ..ImageData::default()
        };
        Sample::new(Head::new(None, self.captured()), Incoming::Picture(image))
    }

    fn unit(&self) -> Sample<Incoming> {
        Sample::new(Head::new(None, self.captured()), Incoming::Unit(self.unit.clone()))
    }
}

/// Frames in decoding order: groups of `key_every` pictures, with `b_frames` before each picture that others refer to.
fn camera(frames: u64, key_every: u64, b_frames: u64) -> Vec<CameraFrame> {
    let mut all = Vec::new();
    let mut push = |shown: u64, key: bool| {
        let sequence = all.len() as u64;
        let (shown, delay) = (shown as i64, i64::from(b_frames > 0));
        // The decoding time of the n-th picture is the presentation time of the n-th one, earlier by the delay.
        let dts = sequence as i64 - delay;
        all.push(CameraFrame { shown: shown as u64, unit: unit(sequence, shown, dts, key) });
    };
    let mut next = 0;
    while next < frames {
        let group_end = (next + key_every).min(frames);
        push(next, true);
        next += 1;
        while next < group_end {
            let reference = (next + b_frames).min(group_end - 1);
            push(reference, false);
            (next..reference).for_each(|shown| push(shown, false));
            next = reference + 1;
        }
    }
    all
}

struct Made {
    /// The frames of each segment, and whether it is a copy.
    segments: Vec<(Vec<u64>, bool)>,
    metrics: Metrics,
    blocked_copy: Option<String>,
}

fn run(flags: &[&str], frames: impl IntoIterator<Item = Sample<Incoming>>) -> Made {
    let command = <crate::Flags as clap::Args>::augment_args(clap::Command::new("test"));
    let matches = command.args_override_self(true).get_matches_from([&["test", "--fps=10"], flags].concat());
    let settings = Settings::parse(crate::Flags::from_arg_matches(&matches).unwrap()).unwrap();
    let metrics = Metrics::default();
    let mut sensor = Sensor::new("gate".into(), settings, Arc::new(Counts::new(&metrics))).unwrap();
    let mut ended = Vec::new();
    frames.into_iter().for_each(|frame| sensor.frame(frame, &mut ended));
    sensor.finish(Ending::Stop, &mut ended);
    let shown = |segment: &EndedSegment| {
        segment.to_mp4().unwrap();
        if let Some(copy) = &segment.copy {
            copy.check(&segment.frames, &segment.durations);
        }
        let tenths = segment.frames.iter().map(|frame| ((frame.captured - START) * 10.0).round() as u64);
        (tenths.collect(), segment.copy.is_some())
    };
    let blocked_copy = sensor.blocked_copy().map(str::to_owned);
    Made { segments: ended.iter().map(shown).collect(), metrics, blocked_copy }
}

fn in_presentation_order(frames: &[CameraFrame]) -> Vec<CameraFrame> {
    let mut frames = frames.to_vec();
    frames.sort_by_key(|frame| frame.shown);
    frames
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]
    /// From pictures with units, whatever the groups of pictures, the windows and the losses: the segments show the frames
    /// that encoded ones show. Without losses they also begin and end at the same frames.
    #[test]
    fn copied_segments_show_what_encoded_ones_show(
        key_every in 1u64..40,
        b_frames in 0u64..4,
        (buffer, overlap) in (1i64..30).prop_flat_map(|buffer| (Just(buffer), 0..=buffer)),
        lost in proptest::collection::vec(0u64..150, 0..4),
    ) {
        let frames = in_presentation_order(&camera(150, key_every, b_frames));
        let frames: Vec<_> = frames.into_iter().filter(|frame| !lost.contains(&frame.shown)).collect();
        let sizes = [format!("--buffer-size={buffer}"), format!("--overlap-size={overlap}")];
        let sizes = [sizes[0].as_str(), sizes[1].as_str()];
        let pictures = || frames.iter().map(CameraFrame::picture);
        let encoded = run(&[&sizes[..], &["--copy=never"]].concat(), pictures()).segments;
        let copied = run(&sizes, pictures()).segments;
        let all = |segments: &[(Vec<u64>, bool)]| {
            let mut all: Vec<u64> = segments.iter().flat_map(|(frames, _)| frames.clone()).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        prop_assert_eq!(all(&copied), all(&encoded));
        for pair in copied.windows(2) {
            let (before, next) = (&pair[0].0, &pair[1].0);
            let shared = next.iter().filter(|frame| before.contains(frame)).count();
            prop_assert!(shared as i64 <= overlap.max(0));
        }
        if lost.is_empty() {
            let frames = |segments: Vec<(Vec<u64>, bool)>| segments.into_iter().map(|(frames, _)| frames).collect::<Vec<_>>();
            prop_assert_eq!(frames(copied), frames(encoded));
        }
    }

    /// From units alone, which are never decoded where every segment can be copied.
    #[test]
    fn segments_of_units_show_the_frames_of_their_windows(
        key_every in 1u64..12,
        b_frames in 0u64..4,
        (buffer, overlap) in (24i64..40).prop_flat_map(|buffer| (Just(buffer), 0..buffer)),
        lost in proptest::collection::vec(0u64..150, 0..4),
    ) {
        let frames: Vec<_> = camera(150, key_every, b_frames);
        let frames: Vec<_> = frames.into_iter().filter(|frame| !lost.contains(&frame.shown)).collect();
        let sizes = [format!("--buffer-size={buffer}"), format!("--overlap-size={overlap}")];
        let flags = [sizes[0].as_str(), sizes[1].as_str(), "--max-gap=60"];
        let made = run(&flags, frames.iter().map(CameraFrame::unit));
        prop_assert!(made.segments.iter().all(|(_, is_copy)| *is_copy));
        // What can be decoded: up to a lost unit, and from the next key frame on.
        let mut is_whole = true;
        let mut wanted: Vec<u64> = Vec::new();
        let mut before: Option<&CameraFrame> = None;
        for frame in &frames {
            let follows = before.is_none_or(|before| before.unit.sequence + 1 == frame.unit.sequence);
            is_whole = frame.unit.key || (is_whole && follows && before.is_some());
            if is_whole {
                wanted.push(frame.shown);
            }
            before = Some(frame);
        }
        wanted.sort_unstable();
        let stride = (buffer - overlap).max(1) as usize;
        let mut windows: Vec<Vec<u64>> = Vec::new();
        let mut at = 0;
        while at < wanted.len() && (at == 0 || at + (overlap as usize) < wanted.len()) {
            windows.push(wanted[at..wanted.len().min(at + buffer as usize)].to_vec());
            at += stride;
        }
        let segments: Vec<Vec<u64>> = made.segments.into_iter().map(|(frames, _)| frames).collect();
        prop_assert_eq!(segments, windows);
    }
}

#[test]
fn the_lead_decides_between_a_copy_and_encoding() {
    let frames = camera(1000, 250, 0);
    let made = run(&["--buffer-size=100", "--overlap-size=0"], frames.iter().map(CameraFrame::picture));
    // Frames since the last key frame: 0, 100, 200, 50, 150, 0 …
    let copied: Vec<bool> = made.segments.iter().map(|(_, is_copy)| *is_copy).collect();
    assert_eq!(copied, [true, false, false, true, false, true, false, false, true, false]);
    let count = |metric| made.metrics.counter(metric).get();
    assert_eq!((count(&metrics::COPIED), count(&metrics::ENCODED)), (400, 600));
}

#[test]
fn a_camera_that_is_faster_than_fps_is_encoded_from_the_first_segment_on() {
    for (fps, is_copy, shown) in [("--fps=10", true, 200), ("--fps=9", true, 200), ("--fps=5", false, 100)] {
        let frames = camera(200, 20, 0);
        let flags = ["--buffer-size=40", "--overlap-size=0", fps];
        let made = run(&flags, frames.iter().map(CameraFrame::picture));
        assert!(made.segments.iter().all(|(_, copied)| *copied == is_copy), "{fps}");
        let all: usize = made.segments.iter().map(|(frames, _)| frames.len()).sum();
        assert!(all.abs_diff(shown) <= 2, "{fps}: {all}");
    }
}

#[test]
fn a_stream_above_the_bitrate_is_encoded() {
    // 100 bytes a frame are 8000 bit/s.
    for (flag, is_copy) in [("--bitrate=9k", true), ("--bitrate=7k", false)] {
        let frames = camera(200, 20, 0);
        let made =
            run(&["--buffer-size=40", "--overlap-size=0", flag], frames.iter().map(CameraFrame::picture));
        assert!(made.segments.iter().all(|(_, copied)| *copied == is_copy), "{flag}");
    }
}

#[test]
fn always_copies_whatever_the_limits_and_loses_what_cannot_be_copied() {
    let frames = camera(300, 250, 0);
    let flags = ["--buffer-size=100", "--overlap-size=0", "--copy=always", "--bitrate=1k", "--fps=5"];
    let made = run(&flags, frames.iter().map(CameraFrame::picture));
    assert!(made.segments.iter().all(|(frames, is_copy)| frames.len() == 100 && *is_copy));
    let made = run(&flags, frames[3..].iter().map(CameraFrame::picture));
    assert_eq!(made.segments, [((250..300).collect(), true)]);
    assert_eq!(made.metrics.counter_with(&metrics::DROPPED, &["copy"]).get(), 247);
}

#[test]
fn always_is_blocked_while_frames_come_without_units() {
    let frames = camera(40, 10, 0);
    let without_unit = |frame: &CameraFrame| {
        let mut sample = frame.picture();
        if let Incoming::Picture(image) = &mut sample.body {
            image.access_unit = None;
        }
        sample
    };
    let flags = ["--buffer-size=10", "--overlap-size=0", "--copy=always"];
    let made = run(&flags, frames.iter().map(without_unit));
    let reason = made.blocked_copy.unwrap();
    assert!(made.segments.is_empty() && reason.contains("--with-access-units"), "{reason}");
    let later = frames[..20].iter().map(without_unit).chain(frames[20..].iter().map(CameraFrame::picture));
    assert_eq!(run(&flags, later).blocked_copy, None);
    // A key frame that is missing comes again by itself.
    assert_eq!(run(&flags, frames[3..7].iter().map(CameraFrame::picture)).blocked_copy, None);
    assert_eq!(run(&flags[..2], frames.iter().map(without_unit)).blocked_copy, None);
}

#[test]
fn new_parameter_sets_end_a_copy_and_begin_another() {
    let mut frames = camera(60, 10, 0);
    for frame in &mut frames[30..] {
        if let Some(sets) = &mut frame.unit.parameter_sets {
            sets[1] = bytes::Bytes::from_static(b"\x68\xce\x0f\xc9");
        }
    }
    let made = run(&["--buffer-size=50", "--overlap-size=0"], frames.iter().map(CameraFrame::picture));
    assert_eq!(made.segments, [((0..30).collect(), true), ((30..60).collect(), true)]);
}

#[test]
fn units_of_a_codec_that_cannot_be_decoded_are_lost_with_their_reason() {
    let mut frames = camera(20, 10, 0);
    frames.iter_mut().for_each(|frame| frame.unit.codec = "h265".to_owned());
    let made = run(&["--buffer-size=10", "--overlap-size=0"], frames.iter().map(CameraFrame::unit));
    assert_eq!(made.segments, []);
    assert_eq!(made.metrics.counter_with(&metrics::DROPPED, &["decode"]).get(), 20);
}

/// A unit as a publisher with faults may send it.
fn any_unit() -> impl Strategy<Value = (AccessUnitData, f64, bool)> {
    let time = || prop_oneof![6 => -3i64..200, 1 => any::<i64>()];
    let sequence =
        prop_oneof![12 => Just(None), 1 => (0u64..60).prop_map(Some), 1 => any::<u64>().prop_map(Some)];
    let step = prop_oneof![10 => Just(0.1), 2 => 0.0..0.3, 1 => -10.0..10.0, 1 => any::<f64>()];
    let flags =
        (prop::bool::weighted(0.3), prop::bool::weighted(0.05), prop::bool::weighted(0.8), any::<bool>());
    (sequence, time(), time(), step, flags, 0u8..30, prop_oneof![9 => Just(10), 1 => any::<u32>()]).prop_map(
        |(sequence, pts, back, step, (key, after_loss, has_times_in_order, is_unit), session, rate)| {
            let mut made = unit(sequence.unwrap_or(u64::MAX), pts, pts.saturating_sub(back), key);
            if has_times_in_order {
                (made.pts, made.dts) = (i64::MAX, i64::MAX);
            }
            (made.after_loss, made.rate) = (after_loss, rate);
            made.session = if session == 0 { "other".to_owned() } else { "s".to_owned() };
            (made, step, is_unit)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    /// Whatever units come: each segment is a file that shows its frames, and every frame is accounted for.
    #[test]
    fn segments_are_files_whatever_units_come(
        units in proptest::collection::vec(any_unit(), 1..150),
        (buffer, overlap) in (1i64..20).prop_flat_map(|buffer| (Just(buffer), 0..=buffer)),
        copy in prop_oneof![Just("--copy=auto"), Just("--copy=always")],
        timing in prop_oneof![Just("--timing=capture"), Just("--timing=constant")],
        only in prop_oneof![Just(None), Just(Some(true)), Just(Some(false))],
    ) {
        let (sizes, mut captured) = ([format!("--buffer-size={buffer}"), format!("--overlap-size={overlap}")], START);
        let frames = units.into_iter().enumerate().map(|(at, (mut unit, step, is_unit))| {
            captured += step;
            if unit.sequence == u64::MAX {
                unit.sequence = at as u64;
            }
            if unit.pts == i64::MAX {
                (unit.pts, unit.dts) = (at as i64, at as i64);
            }
            let frame = CameraFrame { shown: at as u64, unit };
            let mut sample = if only.unwrap_or(is_unit) { frame.unit() } else { frame.picture() };
            sample.head.capture_timestamp = captured;
            sample
        });
        let sent: Vec<_> = frames.collect();
        let (count, flags) = (sent.len() as u64, [sizes[0].as_str(), sizes[1].as_str(), copy, timing]);
        let made = run(&flags, sent);
        let reasons = |metric: &msight_node::metrics::Metric| -> u64 {
            let values = metric.labels[0].values;
            values.iter().map(|reason| made.metrics.counter_with(metric, &[reason]).get()).sum()
        };
        let shown = made.metrics.counter(&metrics::COPIED).get() + made.metrics.counter(&metrics::ENCODED).get();
        prop_assert_eq!(shown + reasons(&metrics::LEFT_OUT) + reasons(&metrics::DROPPED), count);
    }
}
