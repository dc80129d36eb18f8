use proptest::prelude::*;

use super::*;

const RATE: u32 = 90_000;
const NOON: f64 = 1_800_000_000.0;

fn at(seconds: f64) -> Arrival {
    Arrival { monotonic: 1000.0 + seconds, wall: NOON + seconds }
}

fn ticks(seconds: f64) -> i64 {
    // Starts just below 2^32: unwrapped values continue above it.
    0xFFFF_0000 + (seconds * f64::from(RATE)).round() as i64
}

#[test]
fn by_arrival_the_first_frame_is_now_and_the_rest_follow_rtp() {
    let mut clock = CaptureClock::new(RATE, None);
    for i in 0..100 {
        let t = f64::from(i) / 25.0;
        let (captured, event) = clock.advance(ticks(t), at(t));
        assert!((captured - (NOON + t)).abs() < 1e-4, "{i}: {captured}");
        assert_eq!(event, None);
    }
}

#[test]
fn jitter_does_not_reach_capture_times() {
    let mut clock = CaptureClock::new(RATE, None);
    let mut previous = None;
    for i in 0..500 {
        let t = f64::from(i) / 25.0;
        let jitter = f64::from(i * 7919 % 97) / 97.0 * 0.08;
        let (captured, _) = clock.advance(ticks(t), at(t + jitter));
        if let Some(previous) = previous
            && i > 50
        {
            let spacing: f64 = captured - previous;
            assert!((spacing - 0.04).abs() < 0.004, "{i}: {spacing}");
            assert!((captured - (NOON + t)).abs() < 0.02, "{i}");
        }
        previous = Some(captured);
    }
}

#[test]
fn a_burst_keeps_its_spacing_and_loses_nothing() {
    let mut clock = CaptureClock::new(RATE, None);
    let burst: Vec<f64> = (0..50).map(|i| clock.advance(ticks(f64::from(i) / 10.0), at(0.0)).0).collect();
    assert!(burst.windows(2).all(|w| (w[1] - w[0] - 0.1).abs() < 1e-4), "{burst:?}");
    // Live frames follow: their times converge on the true time and never go back.
    let mut previous = burst[49];
    for i in 50..600 {
        let (captured, event) = clock.advance(ticks(f64::from(i) / 10.0), at(f64::from(i - 49) / 10.0));
        assert_eq!(event, None);
        assert!(captured > previous);
        previous = captured;
    }
    assert!((previous - (NOON + 55.0)).abs() < 0.05, "{}", previous - NOON);
}

#[test]
fn frames_held_back_by_a_stall_keep_their_times() {
    let mut clock = CaptureClock::new(RATE, None);
    for i in 0..1000 {
        let t = f64::from(i) / 10.0;
        // Nothing arrives from 20 s to 27 s, then all of it at once.
        let arrival = if (20.0..27.0).contains(&t) { 27.0 } else { t };
        let (captured, event) = clock.advance(ticks(t), at(arrival));
        assert_eq!(event, None);
        if t < 27.0 {
            assert!((captured - NOON - t).abs() < 2.0, "{t}: {}", captured - NOON);
        }
        if t > 40.0 {
            assert!((captured - NOON - t).abs() < 0.05, "{t}: {}", captured - NOON);
        }
    }
}

#[test]
fn a_wrong_declared_rate_does_not_drift() {
    for real in [12.0, 21.0, 30.0, 45.0] {
        let mut clock = CaptureClock::new(RATE, None);
        let mut late = Vec::new();
        for i in 0..(120.0 * real) as u32 {
            // The camera stamps 25 frames a second at any real rate.
            let arrival = f64::from(i) / real;
            let (captured, event) = clock.advance(ticks(f64::from(i) / 25.0), at(arrival));
            assert_eq!(event, None);
            assert!((captured - NOON - arrival).abs() < 2.5, "{real}: {} at {arrival}", captured - NOON);
            if arrival > 60.0 {
                assert!((captured - NOON - arrival).abs() < 0.05, "{real}: {} at {arrival}", captured - NOON);
                late.push(captured);
            }
        }
        let seen = (late.len() - 1) as f64 / (late[late.len() - 1] - late[0]);
        assert!((seen - real).abs() < 0.1, "{real} fps came out as {seen}");
    }
}

#[test]
fn sender_reports_set_the_time() {
    let mut clock = CaptureClock::new(RATE, Some(10.0));
    // Frames need 300 ms to get here, and the camera is 2 s behind.
    let truth = |t: f64| NOON - 2.0 + t;
    let (captured, _) = clock.advance(ticks(0.0), at(0.3));
    assert!((captured - (NOON + 0.3)).abs() < 1e-4);
    assert_eq!(clock.report(truth(0.05), ticks(0.05), at(0.35)), None);
    let (captured, event) = clock.advance(ticks(0.1), at(0.4));
    assert!((captured - truth(0.1)).abs() < 1e-4);
    assert!(
        matches!(event, Some(ClockEvent::CameraClock { ahead }) if (ahead + 2.3).abs() < 1e-3),
        "{event:?}"
    );
    for i in 2..300 {
        let t = f64::from(i) / 10.0;
        if i % 50 == 0 {
            assert_eq!(clock.report(truth(t), ticks(t), at(t + 0.3)), None);
        }
        let (captured, event) = clock.advance(ticks(t), at(t + 0.3));
        assert!((captured - truth(t)).abs() < 1e-3 && event.is_none(), "{t}: {event:?}");
    }
}

/// Half a second by arrival, then the first sender report of a clock that is `ahead` of arrival.
#[test]
fn the_first_report_steps_once_if_it_is_far_and_is_slewed_in_if_it_is_near() {
    for ahead in [-9.0, -2.5, -1.9, -0.6, -0.1, 0.1, 0.6, 1.9, 2.5, 9.0] {
        let mut clock = CaptureClock::new(RATE, Some(10.0));
        let mut times = Vec::new();
        let mut reported = Vec::new();
        for i in 0..1000 {
            let t = f64::from(i) / 25.0;
            // One every five seconds, as RFC 3550 recommends; the first soon after PLAY.
            if i >= 12 && (i - 12) % 125 == 0 {
                assert_eq!(clock.report(NOON + t + ahead, ticks(t), at(t)), None);
            }
            let (captured, event) = clock.advance(ticks(t), at(t));
            if let Some(event) = event {
                assert!(
                    matches!(event, ClockEvent::CameraClock { ahead: a } if (a - ahead).abs() < 1e-3),
                    "{event:?}"
                );
                reported.push(i as usize);
            }
            times.push(captured);
        }
        // Only the one reported step may move time back or leave a gap.
        assert_eq!(reported, [12], "{ahead}");
        let far = f64::abs(ahead) > 2.0;
        for (i, pair) in times.windows(2).enumerate() {
            let spacing = pair[1] - pair[0];
            if far && i + 1 == reported[0] {
                assert!((spacing - 0.04 - ahead).abs() < 1e-3, "{ahead}: {spacing}");
            } else {
                assert!((spacing / 0.04 - 1.0).abs() < 0.09, "{ahead} at {i}: {spacing}");
            }
        }
        assert!((times[999] - NOON - 999.0 / 25.0 - ahead).abs() < 1e-2, "{ahead}: {}", times[999] - NOON);
    }
}

#[test]
fn sender_reports_with_a_wrong_rate_are_followed() {
    let mut clock = CaptureClock::new(RATE, Some(10.0));
    for i in 0..2000 {
        let real = f64::from(i) / 21.0;
        let media = f64::from(i) / 25.0;
        if i % 105 == 0 {
            let _ = clock.report(NOON + real, ticks(media), at(real));
        }
        let (captured, event) = clock.advance(ticks(media), at(real));
        if i > 400 {
            assert_eq!(event, None, "{i}");
            assert!((captured - NOON - real).abs() < 0.05, "{i}: {}", captured - NOON - real);
        }
    }
}

#[test]
fn a_report_a_day_off_is_rejected_and_reported_once() {
    let mut clock = CaptureClock::new(RATE, Some(10.0));
    let mut reported = 0;
    for i in 0..200 {
        let t = f64::from(i) / 10.0;
        if i % 20 == 0
            && let Some(event) = clock.report(NOON + t + 86_400.0, ticks(t), at(t))
        {
            assert!(matches!(event, ClockEvent::CameraClockOff { ahead } if ahead > 86_000.0));
            reported += 1;
        }
        let (captured, event) = clock.advance(ticks(t), at(t));
        assert!((captured - NOON - t).abs() < 1e-3 && event.is_none());
    }
    assert_eq!(reported, 1);
}

/// A camera whose clock drifts slowly through the limit, with jitter that is much more than the drift of a report.
#[test]
fn a_clock_near_the_limit_is_rejected_once() {
    let mut clock = CaptureClock::new(RATE, Some(10.0));
    let mut events = Vec::new();
    for i in 0..36_000 {
        let t = f64::from(i) / 10.0;
        let jitter = f64::from(i * 7919 % 97) / 97.0 * 0.1;
        if i % 50 == 3 {
            events.extend(clock.report(NOON + t + 9.9 + t * 5e-5, ticks(t), at(t + jitter)));
        }
        events.extend(clock.advance(ticks(t), at(t + jitter)).1);
    }
    assert!(
        matches!(
            events[..],
            [ClockEvent::CameraClock { .. }, ClockEvent::CameraClockOff { .. }, ClockEvent::Stepped { .. }]
                | [ClockEvent::CameraClock { .. }, ClockEvent::CameraClockOff { .. }]
        ),
        "{events:?}"
    );
}

#[test]
fn a_corrected_camera_clock_is_accepted_after_three_reports() {
    let mut clock = CaptureClock::new(RATE, Some(10.0));
    let mut events = Vec::new();
    // One good report between bad ones does not count; 9 s are too far off to be accepted again, 7 s are not.
    for (i, ahead) in [60.0, 7.0, 60.0, 9.0, 9.0, 9.0, 9.0, 7.0, 7.0, 7.0, 9.0].into_iter().enumerate() {
        for frame in 0..50 {
            let t = i as f64 * 5.0 + f64::from(frame) / 10.0;
            if frame == 0 {
                events.extend(clock.report(NOON + t + ahead, ticks(t), at(t)).map(|event| (i, event)));
            }
            let (captured, event) = clock.advance(ticks(t), at(t));
            events.extend(event.map(|event| (i, event)));
            let wanted = if i >= 9 { 7.0 } else { 0.0 };
            assert!((captured - NOON - t - wanted).abs() < 1e-3 || i == 10, "{t}: {}", captured - NOON - t);
        }
    }
    assert!(
        matches!(events[..], [(0, ClockEvent::CameraClockOff { .. }), (9, ClockEvent::CameraClock { .. })]),
        "{events:?}"
    );
}

/// 29.97 frames a second stamped as 30, and one sender report, at the start.
#[test]
fn one_report_alone_does_not_drift() {
    for ahead in [0.0, -4.0, 9.5] {
        for first in [0, 3] {
            let mut clock = CaptureClock::new(RATE, Some(10.0));
            let mut events = Vec::new();
            for i in 0..4 * 36_000 {
                let t = f64::from(i) / 10.0;
                let jitter = f64::from(i * 7919 % 97) / 97.0 * 0.02;
                if i == first {
                    events.extend(clock.report(NOON + t + ahead, ticks(t * 1.001), at(t)));
                }
                let (captured, event) = clock.advance(ticks(t * 1.001), at(t + jitter));
                if i > first {
                    let off = captured - NOON - t - ahead;
                    assert!(off.abs() < 0.1, "{t}: {off}");
                }
                events.extend(event);
            }
            assert!(matches!(events[..], [ClockEvent::CameraClock { .. }]), "{events:?}");
        }
    }
}

#[test]
fn a_right_time_with_a_wrong_rtp_timestamp_is_rejected_once() {
    let mut clock = CaptureClock::new(RATE, Some(10.0));
    let mut events = Vec::new();
    for i in 0..600 {
        let t = f64::from(i) / 10.0;
        if i % 50 == 0 {
            events.extend(clock.report(NOON + t, ticks(t - 1000.0), at(t)));
        }
        let (captured, event) = clock.advance(ticks(t), at(t));
        assert!((captured - NOON - t).abs() < 1e-3, "{t}: {}", captured - NOON - t);
        events.extend(event);
    }
    assert!(matches!(events[..], [ClockEvent::CameraClockOff { ahead }] if ahead > 999.0), "{events:?}");
}

/// A stall that is longer than the allowed skew does not reject the camera's clock.
#[test]
fn a_stall_keeps_the_cameras_clock() {
    let mut clock = CaptureClock::new(RATE, Some(10.0));
    let mut events = Vec::new();
    for i in 0..1000 {
        let t = f64::from(i) / 10.0;
        let arrival = if (20.0..45.0).contains(&t) { 45.0 } else { t };
        if i % 50 == 0 {
            events.extend(clock.report(NOON + t, ticks(t), at(arrival)));
        }
        let (captured, event) = clock.advance(ticks(t), at(arrival));
        assert!((captured - NOON - t).abs() < 1e-3, "{t}: {}", captured - NOON - t);
        events.extend(event);
    }
    assert!(matches!(events[..], [ClockEvent::CameraClock { .. }]), "{events:?}");
}

/// Setting this machine's clock long after the last report leaves the camera's time as it is.
#[test]
fn setting_our_clock_after_the_last_report_keeps_the_cameras_time() {
    let mut clock = CaptureClock::new(RATE, Some(10.0));
    clock.report(NOON, ticks(0.0), at(0.0));
    for i in 0..2000 {
        let t = f64::from(i) / 10.0;
        let set = if i >= 300 { 5.0 } else { 0.0 };
        let (captured, _) = clock.advance(ticks(t), Arrival { wall: at(t).wall + set, ..at(t) });
        assert!((captured - NOON - t).abs() < 1e-3, "{t}: {}", captured - NOON - t);
    }
}

#[test]
fn the_wall_clock_set_in_mid_stream_is_a_step_either_way() {
    for step in [3600.0, -3600.0, 5.0] {
        for reports in [false, true] {
            let mut clock = CaptureClock::new(RATE, reports.then_some(10.0));
            if reports {
                clock.report(NOON, ticks(0.0), at(0.0));
            }
            let mut events = 0;
            for i in 0..200 {
                let t = f64::from(i) / 10.0;
                let set = if i >= 100 { step } else { 0.0 };
                let arrival = Arrival { wall: at(t).wall + set, ..at(t) };
                let (captured, event) = clock.advance(ticks(t), arrival);
                // After a small step, capture times still follow the camera's clock, which was not set.
                let wanted = if reports && set.abs() <= 10.0 { NOON + t } else { NOON + t + set };
                assert!((captured - wanted).abs() < 1e-3, "{step} {reports} {i}: {}", captured - wanted);
                events += usize::from(event.is_some() && i > 0);
            }
            let kept = reports && step <= 10.0 && step > 0.0;
            assert_eq!(events, usize::from(!kept), "{step} {reports}");
        }
    }
}

proptest! {
    /// For any network delay, frames in order keep their order unless an event reports a step.
    #[test]
    fn never_back_without_an_event(
        frames in prop::collection::vec((1i64..40_000, 0.0f64..0.4, 0u8..20), 2..300),
        reports in any::<bool>(),
    ) {
        let mut clock = CaptureClock::new(RATE, reports.then_some(10.0));
        let (mut rtp, mut now, mut previous) = (0, 0.0, f64::MIN);
        for (step, wait, report) in frames {
            rtp += step;
            now += wait;
            if report == 0 {
                let _ = clock.report(at(now).wall - 1.0, rtp, at(now));
            }
            let (captured, event) = clock.advance(rtp, at(now));
            prop_assert!(captured.is_finite());
            prop_assert!(captured > previous || event.is_some());
            previous = captured;
        }
    }

    #[test]
    fn any_time_is_accepted(frames in prop::collection::vec((any::<i64>(), any::<f64>(), any::<f64>(), any::<bool>()), 0..50)) {
        let mut clock = CaptureClock::new(RATE, Some(10.0));
        for (ticks, monotonic, wall, report) in frames {
            let arrival = Arrival { monotonic, wall };
            if report {
                let _ = clock.report(wall, ticks, arrival);
            }
            let _ = clock.advance(ticks, arrival);
        }
    }
}
