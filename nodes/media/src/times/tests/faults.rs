//! Single faults of timestamps and of sender reports.

use proptest::prelude::*;

use super::*;

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
}

#[test]
fn where_pictures_may_be_reordered_a_stray_timestamp_moves_no_other_frame() {
    let mut frames = regular(10.0, 100, 0.01);
    frames[50].0 += 0.45;
    let mut times = StreamTimes::new(90_000, Some(10.0));
    times.set_reordered(true);
    let out: Vec<_> =
        frames.iter().map(|(time, now)| times.frame(stamp(*time, 90_000.0), at(*now))).collect();
    assert_eq!(events(&out), []);
    for (i, times) in out.iter().enumerate().filter(|(i, _)| *i != 50) {
        assert_eq!(times.pts - out[0].pts, i as i64 * 9000, "{i}");
        // As a frame that arrived early, it moves the capture clock for two seconds.
        assert!((times.captured - NOON - frames[i].0).abs() < 0.2, "{i}");
    }
}
