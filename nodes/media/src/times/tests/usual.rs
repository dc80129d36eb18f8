//! What is not a fault.

use super::*;

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
fn b_frames_begin_wherever_the_encoder_likes() {
    let rates = [10.0, 15.0, 25.0, 30.0, 60.0];
    for (fps, (most, in_order)) in
        rates.into_iter().flat_map(|fps| [(3, 1), (3, 12), (7, 12)].map(|run| (fps, run)))
    {
        let mut random = random(5);
        let mut order: Vec<u32> = (0..in_order).collect();
        while order.len() < 600 {
            // As x264 chooses them: a reference, and the B-frames that are shown before it.
            let (next, b_frames) = (order.len() as u32, (random() * f64::from(most + 1)) as u32);
            order.push(next + b_frames);
            order.extend(next..next + b_frames);
        }
        let arrivals = regular(fps, order.len() as u32, 0.2 / fps);
        let frames: Vec<_> =
            arrivals.into_iter().zip(order).map(|((_, now), shown)| (f64::from(shown) / fps, now)).collect();
        let mut times = StreamTimes::new(90_000, Some(10.0));
        times.set_reordered(true);
        let out: Vec<_> =
            frames.iter().map(|(time, now)| times.frame(stamp(*time, 90_000.0), at(*now))).collect();
        assert_eq!(events(&out), [], "{fps} {most}");
        for (i, (times, (shown, _))) in out.iter().zip(&frames).enumerate() {
            let wanted = out[0].pts + (shown * 90_000.0).round() as i64;
            assert!((times.pts - wanted).abs() <= 1, "{fps} {most} {i}: {} {wanted}", times.pts);
        }
        let mut captured: Vec<_> = out.iter().map(|times| (times.pts, times.captured)).collect();
        captured.sort_by_key(|(pts, _)| *pts);
        // Slewing applies to a whole group at once. Up to three B-frames never put two frames together by it.
        let least = if most == 3 { 0.3 / fps } else { 0.0 };
        for pair in captured.windows(2) {
            assert!((least..2.5 / fps).contains(&(pair[1].1 - pair[0].1)), "{fps} {most} {pair:?}");
        }
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
