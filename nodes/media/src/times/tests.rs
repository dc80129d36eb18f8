use proptest::prelude::*;

use super::*;
use crate::clock::StampFault;
use crate::order::PresentationOrder;

const NOON: f64 = 1_800_000_000.0;

fn at(seconds: f64) -> Arrival {
    Arrival { monotonic: 1000.0 + seconds, wall: NOON + seconds }
}

/// Pseudo-random numbers from 0 to 1, the same in each run.
fn random(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed | 1;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f64 / (1u64 << 24) as f64
    }
}

/// One frame of a test: its timestamp in seconds of the camera's clock, and its arrival.
type Frame = (f64, f64);

/// Frames of a camera: `fps`, with up to `jitter` seconds of delay, in order.
fn regular(fps: f64, frames: u32, jitter: f64) -> Vec<Frame> {
    let (mut random, mut now) = (random(7), 0.0);
    (0..frames)
        .map(|i| {
            let time = f64::from(i) / fps;
            now = f64::max(now, time + random() * jitter);
            (time, now)
        })
        .collect()
}

/// The RTP timestamp at a time; it wraps after a second.
fn stamp(seconds: f64, rate: f64) -> u32 {
    (0xFFFF_0000_i64 + (seconds * rate).round() as i64) as u32
}

/// Runs frames, and checks what holds for all: different presentation times, and capture times in their order.
fn run(frames: impl IntoIterator<Item = (u32, Arrival)>, rate: u32) -> Vec<Times> {
    let mut times = StreamTimes::new(rate, Some(10.0));
    let out: Vec<_> = frames.into_iter().map(|(rtp, arrival)| times.frame(rtp, arrival)).collect();
    let mut sorted: Vec<_> = out.iter().map(|times| (times.pts, times.captured)).collect();
    sorted.sort_by_key(|(pts, _)| *pts);
    for pair in sorted.windows(2) {
        assert!(pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1, "{pair:?}");
    }
    out
}

fn video(frames: &[Frame]) -> Vec<Times> {
    run(frames.iter().map(|(time, now)| (stamp(*time, 90_000.0), at(*now))), 90_000)
}

fn events(times: &[Times]) -> Vec<ClockEvent> {
    times.iter().filter_map(|times| times.event).collect()
}

/// Largest distance of a capture time from arrival, among frames that arrive after `from`.
fn furthest(times: &[Times], frames: &[Frame], from: f64) -> f64 {
    let pairs = times.iter().zip(frames).filter(|(_, (_, now))| *now >= from);
    pairs.map(|(times, (_, now))| (times.captured - NOON - now).abs()).fold(0.0, f64::max)
}

#[test]
fn useless_timestamps_are_replaced_by_arrival_and_reported_once() {
    // The timestamp of a frame, by its time, its number and the frame rate; the expected fault; seconds from arrival.
    type Stamp = fn(f64, u32, f64) -> f64;
    type Case = (&'static str, Stamp, fn(StampFault) -> bool, f64);
    let cases: [Case; 13] = [
        ("all equal", |_, _, _| 0.0, |fault| fault == StampFault::Standing, 0.2),
        (
            "equal by tens",
            |_, i, fps| f64::from(i / 10) * 10.0 / fps,
            |fault| fault == StampFault::Standing,
            0.5,
        ),
        ("milliseconds", |time, _, _| time / 90.0, is_rate, 1.2),
        ("microseconds", |time, _, _| time * 100.0 / 9.0, is_rate_or_erratic, 6.0),
        ("8 kHz", |time, _, _| time * 8.0 / 90.0, is_rate, 1.6),
        ("one tick a frame", |_, i, _| f64::from(i) / 90_000.0, is_rate, 1.6),
        ("ten times the rate", |time, _, _| time * 10.0, is_rate_or_erratic, 6.0),
        ("random", |_, i, _| f64::from(i * 7919 % 9973) * 4.0, is_rate_or_erratic, 0.5),
        ("backwards", |time, _, _| -time, is_rate_or_erratic, 1.2),
        (
            "each on two frames",
            |_, i, fps| f64::from(i / 2 * 2) / fps,
            |fault| fault == StampFault::Standing,
            0.5,
        ),
        ("from 0 at each tenth", |_, i, fps| f64::from(i % 10) / fps, is_rate_or_erratic, 0.5),
        ("from 0 at each fiftieth", |_, i, fps| f64::from(i % 50) / fps, is_rate_or_erratic, 0.5),
        ("two clocks", |time, i, _| time + f64::from(i % 2) * 500.0, is_rate_or_erratic, 0.5),
    ];
    for (case, wrong, is_expected, bound) in cases {
        for fps in [10.0, 25.0, 30.0] {
            for jitter in [0.0, 0.02, 0.08] {
                let mut frames = regular(fps, (60.0 * fps) as u32, jitter);
                for (i, frame) in frames.iter_mut().enumerate() {
                    frame.0 = wrong(frame.0, i as u32, fps);
                }
                let times = video(&frames);
                let mut seen = events(&times);
                // A second frame that comes with the first one cannot be told from a burst; and few jumps are jumps.
                let jumps = seen.extract_if(.., |event| matches!(event, ClockEvent::RtpJump { .. })).count();
                assert!(
                    jumps <= if jitter > 0.0 || case.contains("from 0") { 3 } else { 0 },
                    "{case}: {jumps}"
                );
                assert!(
                    matches!(seen[..], [ClockEvent::StampsUseless { fault }] if is_expected(fault)),
                    "{case} at {fps} fps, jitter {jitter}: {seen:?}"
                );
                let furthest = |from| furthest(&times, &frames, from);
                assert!(furthest(0.0) < bound, "{case} at {fps} fps, jitter {jitter}: {}", furthest(0.0));
                assert!(furthest(45.0) < 0.2, "{case} at {fps} fps, jitter {jitter}: {}", furthest(45.0));
                let smooth = times.windows(2).skip(45 * fps as usize);
                for step in smooth.map(|pair| pair[1].captured - pair[0].captured) {
                    let off = (step - 1.0 / fps).abs();
                    assert!(off < 0.01 + jitter, "{case} at {fps} fps, jitter {jitter}: {step}");
                }
            }
        }
    }
}

fn is_rate(fault: StampFault) -> bool {
    matches!(fault, StampFault::Rate { .. })
}

fn is_rate_or_erratic(fault: StampFault) -> bool {
    fault != StampFault::Standing
}

#[test]
fn rates_that_are_near_are_followed() {
    for rate in [0.5, 0.8, 1.25, 2.0] {
        for fps in [10.0, 25.0, 30.0] {
            let frames: Vec<_> =
                regular(fps, 1500, 0.02).iter().map(|&(time, now)| (time * rate, now)).collect();
            let times = video(&frames);
            assert_eq!(events(&times), [], "{rate} at {fps} fps");
            let furthest = furthest(&times, &frames, 45.0);
            assert!(furthest < 0.15, "{rate} at {fps} fps: {furthest}");
        }
    }
}

#[test]
fn one_stray_timestamp_moves_no_other_frame() {
    for fps in [10.0, 25.0, 30.0] {
        for jitter in [0.0, 0.02, 0.08] {
            for by in [-40_000.0, -500.0, -3.0, -0.5, 0.5, 3.0, 500.0, 20_000.0] {
                check_stray(&regular(fps, 300, jitter), 150, by);
            }
        }
    }
}

/// Shifts one timestamp, and compares the times of all other frames with those of a stream without the frame.
fn check_stray(frames: &[Frame], stray: usize, by: f64) {
    let without: Vec<_> = [&frames[..stray], &frames[stray + 1..]].concat();
    let mut usual = video(&without);
    usual.insert(stray, video(frames)[stray]);
    let mut frames = frames.to_vec();
    frames[stray].0 += by;
    let times = video(&frames);
    assert_eq!(events(&times), []);
    for (i, (times, usual)) in times.iter().zip(&usual).enumerate() {
        let moved = (times.captured - usual.captured).abs();
        let allowed = if i == stray { 0.3 } else { 1e-3 };
        assert!(moved < allowed, "{by} moves frame {i} by {moved}");
        assert!(i == stray || (times.pts - usual.pts).abs() < 90, "{by} moves frame {i}");
    }
}

#[test]
fn timestamps_that_stand_for_some_frames_go_on() {
    for (standing, catches_up) in [(1, true), (3, true), (6, true), (1, false), (3, false), (6, false)] {
        let mut frames = regular(25.0, 500, 0.01);
        let stood = f64::from(standing) / 25.0;
        for (i, frame) in frames.iter_mut().enumerate() {
            match i as u32 {
                250.. if i < 250 + standing as usize => frame.0 = 249.0 / 25.0,
                250.. if !catches_up => frame.0 -= stood,
                _ => {}
            }
        }
        let times = video(&frames);
        assert_eq!(events(&times), [], "{standing}");
        assert!(furthest(&times, &frames, 0.0) < 0.2, "{standing}");
    }
}

#[test]
fn a_restart_continues_from_arrival() {
    for jump in [-30_000.0, -500.0, -1.0, 1.0, 500.0, 20_000.0] {
        let mut frames = regular(10.0, 300, 0.02);
        frames[150..].iter_mut().for_each(|frame| frame.0 += jump);
        let times = video(&frames);
        assert!(matches!(events(&times)[..], [ClockEvent::RtpJump { .. }]), "{jump}: {:?}", events(&times));
        assert!(furthest(&times, &frames, 0.0) < 0.1, "{jump}");
        let steps = times.windows(2).map(|pair| pair[1].captured - pair[0].captured);
        steps.for_each(|step| assert!((0.03..0.2).contains(&step), "{jump}: {step}"));
    }
}

#[test]
fn after_a_restarted_rtp_clock_capture_times_continue_from_arrival() {
    for jump in [-500.0, 1e5] {
        let mut times = StreamTimes::new(90_000, Some(10.0));
        assert_eq!(times.report(NOON, stamp(0.0, 90_000.0), at(0.0)), None);
        let mut events = Vec::new();
        for i in 0..200 {
            let t = f64::from(i) / 10.0;
            let media = if i < 100 { t } else { t + jump };
            let Times { captured, event, .. } = times.frame(stamp(media, 90_000.0), at(t));
            assert!((captured - NOON - t).abs() < 1e-3, "{i}: {}", captured - NOON - t);
            events.extend(event);
        }
        assert!(
            matches!(events[..], [ClockEvent::CameraClock { .. }, ClockEvent::RtpJump { .. }]),
            "{events:?}"
        );
    }
}

#[test]
fn b_frames_keep_their_order() {
    const ORDER: [u32; 3] = [2, 0, 1];
    for fps in [10.0, 25.0, 30.0] {
        for stray in [None, Some(150), Some(151), Some(152)] {
            let frames: Vec<_> = regular(fps, 300, 0.01)
                .into_iter()
                .enumerate()
                .map(|(i, (_, now))| {
                    let shown = i as u32 / 3 * 3 + ORDER[i % 3];
                    let by = if stray == Some(i) { 700.0 } else { 0.0 };
                    (f64::from(shown) / fps + by, now)
                })
                .collect();
            let times = video(&frames);
            assert_eq!(events(&times), [], "{stray:?}");
            let mut order = PresentationOrder::default();
            let mut last = f64::MIN;
            for (i, (times, frame)) in times.iter().zip(&frames).enumerate() {
                order.enter(times.pts, times.captured);
                assert!(
                    stray == Some(i) || (times.captured - NOON - frame.0 + 2.0 / fps).abs() < 0.05,
                    "{stray:?} {i}"
                );
                if i < 2 {
                    continue;
                }
                let shown = order.leave().unwrap().captured;
                assert!((shown - last - 1.0 / fps).abs() < 0.07 + 1.0 / fps || last == f64::MIN, "{i}");
                assert!(shown > last);
                last = shown;
            }
        }
    }
}

#[test]
fn a_pyramid_of_b_frames_costs_no_time() {
    const ORDER: [u32; 8] = [7, 3, 1, 0, 2, 5, 4, 6];
    let frames: Vec<_> = regular(25.0, 320, 0.01)
        .iter()
        .enumerate()
        .map(|(i, (_, now))| (f64::from(i as u32 / 8 * 8 + ORDER[i % 8]) / 25.0, *now))
        .collect();
    let times = video(&frames);
    assert_eq!(events(&times), []);
    for (times, (shown, _)) in times.iter().zip(&frames).skip(1) {
        assert!(
            (times.captured - NOON - shown + 7.0 / 25.0).abs() < 0.05,
            "{shown}: {}",
            times.captured - NOON
        );
    }
}

#[test]
fn timestamps_that_jitter_or_come_in_pairs_are_no_fault() {
    type Stamp = fn(usize) -> f64;
    let cases: [Stamp; 3] = [
        |i| (i ^ 1) as f64 / 25.0,
        |i| i as f64 / 25.0 + if i % 2 == 0 { 0.02 } else { 0.0 },
        |i| (i as f64 / 25.0 * 10.0).round() / 10.0 + i as f64 * 1e-4,
    ];
    for (case, stamp) in cases.into_iter().enumerate() {
        let mut frames = regular(25.0, 500, 0.01);
        frames.iter_mut().enumerate().for_each(|(i, frame)| frame.0 = stamp(i));
        let times = video(&frames);
        assert_eq!(events(&times), [], "{case}");
        assert!(furthest(&times, &frames, 0.0) < 0.15, "{case}");
    }
}

#[test]
fn a_wrap_and_a_long_pause_are_no_fault() {
    let mut frames = regular(10.0, 200, 0.01);
    frames[100..].iter_mut().for_each(|frame| *frame = (frame.0 + 90_000.0, frame.1 + 90_000.0));
    let times = video(&frames);
    assert_eq!(events(&times), []);
    assert!(furthest(&times, &frames, 0.0) < 0.05);
}

#[test]
fn a_burst_at_the_start_keeps_its_spacing() {
    let frames: Vec<_> =
        (0..600).map(|i| (f64::from(i) / 25.0, f64::max(0.0, f64::from(i - 200) / 25.0))).collect();
    let times = video(&frames);
    assert_eq!(events(&times), []);
    assert!(times[..200].windows(2).all(|pair| (pair[1].captured - pair[0].captured - 0.04).abs() < 1e-3));
}

#[test]
fn several_units_of_sound_in_a_packet() {
    for (rate, samples, units) in
        [(48_000, 1024, 5), (8000, 160, 1), (48_000, 960, 1), (44_100, 1024, 3), (16_000, 16, 20)]
    {
        let mut random = random(3);
        let units = (0..3000).map(|i| {
            let packet = f64::from(i / units * units * samples) / f64::from(rate);
            ((0xFFFF_F000_u32).wrapping_add((i * samples) as u32), at(packet + 0.0001 * random()))
        });
        let times = run(units, rate as u32);
        assert_eq!(events(&times), [], "{rate}");
        assert!(times.windows(2).all(|pair| pair[1].pts - pair[0].pts == i64::from(samples)), "{rate}");
    }
}

#[test]
fn timestamps_in_order_are_used_again_but_rarely_switched() {
    // Ten seconds in order, then a second that stands still, and so on for an hour.
    let mut frames = regular(10.0, 36_000, 0.01);
    for i in 0..frames.len() {
        if i % 110 >= 100 {
            frames[i].0 = frames[i - 1].0;
        }
    }
    let seen = events(&video(&frames));
    assert!(seen.len() < 20, "{seen:?}");
    // One fault, then order.
    let mut frames = regular(10.0, 1000, 0.01);
    frames[100..150].iter_mut().for_each(|frame| frame.0 = 0.0);
    let times = video(&frames);
    assert!(
        matches!(events(&times)[..], [ClockEvent::StampsUseless { .. }, ClockEvent::StampsUsable]),
        "{:?}",
        events(&times)
    );
    assert!(furthest(&times, &frames, 0.0) < 0.3);
}

#[test]
fn reports_that_make_no_sense_change_nothing() {
    // Time by the camera's wall clock and by its RTP clock, of a right report and of a wrong one.
    type Report = fn(f64, f64) -> (f64, f64);
    let wrong: [(&str, Report); 4] = [
        ("RTP time 0", |wall, _| (wall, -10_000.0)),
        ("NTP time 0", |_, time| (-2_208_988_800.0, time)),
        ("before a restart", |wall, time| (wall, time + 7000.0)),
        ("wrong byte order", |wall, time| (f64::from((wall as u32).swap_bytes()), time)),
    ];
    for (case, report) in wrong {
        let mut times = StreamTimes::new(90_000, Some(10.0));
        let mut seen = Vec::new();
        for (i, (time, now)) in regular(10.0, 600, 0.01).into_iter().enumerate() {
            let truth = NOON + now - 2.0;
            if i % 50 == 0 {
                seen.extend(times.report(truth, stamp(now, 90_000.0), at(now)));
            }
            if i % 200 == 125 {
                let (wall, time) = report(truth, now);
                seen.extend(times.report(wall, stamp(time, 90_000.0), at(now)));
            }
            let Times { captured, event, .. } = times.frame(stamp(time, 90_000.0), at(now));
            seen.extend(event);
            assert!((captured - NOON - time + 2.0).abs() < 0.05, "{case}: {}", captured - NOON - time);
        }
        assert!(matches!(seen[..], [ClockEvent::CameraClock { .. }]), "{case}: {seen:?}");
    }
}

proptest! {
    /// A stray timestamp anywhere, by any amount that B-frames do not explain.
    #[test]
    fn a_stray_timestamp_moves_no_other_frame(
        fps in 5.0f64..60.0,
        jitter in 0.0f64..0.1,
        at in 20usize..180,
        by in prop_oneof![0.4f64..23_000.0, -23_000.0f64..-0.7],
    ) {
        check_stray(&regular(fps, 200, jitter), at, by);
    }

    /// Whatever timestamps and arrivals come, capture times are in order, unless an event reports a step; and near arrival
    /// while timestamps are useless.
    #[test]
    fn whatever_comes_time_goes_on(
        frames in prop::collection::vec((any::<u32>(), 0.0f64..0.3), 2..300),
        kind in 0u8..4,
    ) {
        let (mut times, mut now) = (StreamTimes::new(90_000, None), 0.0);
        let (mut high, mut useless) = ((i64::MIN, f64::MIN), None);
        for (i, (rtp, wait)) in frames.into_iter().enumerate() {
            now += wait;
            let rtp = match kind {
                0 => rtp,
                1 => rtp % 90_000,
                2 => rtp % 4 * 3600,
                _ => i as u32 * 9000 + rtp % 18_000,
            };
            let Times { pts, captured, event } = times.frame(rtp, at(now));
            let stepped = matches!(event, Some(ClockEvent::Stepped { .. }));
            if pts > high.0 {
                prop_assert!(captured > high.1 || stepped);
                high = (pts, captured);
            }
            match event {
                Some(ClockEvent::StampsUseless { .. }) => useless = Some(now),
                Some(ClockEvent::StampsUsable) => useless = None,
                _ => {}
            }
            if useless.is_some_and(|since| now > since + 1.0) {
                let off = captured - NOON - now;
                prop_assert!((-MAX_OFF..MAX_OFF).contains(&off), "{off}");
            }
        }
    }

    #[test]
    fn any_time_is_accepted(frames in prop::collection::vec((any::<u32>(), any::<f64>(), any::<f64>(), any::<bool>()), 0..100), rate in any::<u32>()) {
        let mut times = StreamTimes::new(rate, Some(10.0));
        for (rtp, monotonic, wall, report) in frames {
            let arrival = Arrival { monotonic, wall };
            if report {
                let _ = times.report(wall, rtp, arrival);
            }
            let _ = times.frame(rtp, arrival);
        }
    }
}

/// Bound in seconds of capture times from arrival while timestamps are useless: what [`arrival_line`] allows, and what the
/// clock slews slowly.
const MAX_OFF: f64 = arrival_line::MAX_LAG + 2.5;
