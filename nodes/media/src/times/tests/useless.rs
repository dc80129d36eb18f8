//! Timestamps that are of no use, and those that are again.

use super::*;

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
