mod arbitrary;
mod faults;
mod useless;
mod usual;

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
