//! When the frames of a segment are shown, and for how long.

use crate::segment::SegmentFrame;
use msight_media::TIMESCALE;
use std::sync::Arc;

/// When each frame is shown, in seconds after the first one: at its capture time, and after a leap of the capture time one
/// interval later than the frame before.
pub(crate) fn shown_times(frames: &[Arc<SegmentFrame>], interval: f64) -> Vec<f64> {
    let steps = frames.windows(2).map(|pair| match pair[1].leap {
        true => interval,
        false => pair[1].captured - pair[0].captured,
    });
    let shown = std::iter::once(0.0).chain(steps).scan(0.0, |time, step| {
        *time += step;
        Some(*time)
    });
    shown.take(frames.len()).collect()
}

/// The durations of frames shown at increasing `times`, in ticks. Each time is rounded on its own, so that errors do not
/// add up.
pub(crate) fn durations(times: &[f64], until: Option<f64>, interval: f64) -> Vec<u32> {
    let Some(&start) = times.first() else { return vec![] };
    let scale = f64::from(TIMESCALE.get());
    let tick = |time: f64| ((time - start) * scale).round() as u64;
    let between = |from: u64, to: u64| u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX).max(1);
    let mut durations: Vec<u32> = times.windows(2).map(|w| between(tick(w[0]), tick(w[1]))).collect();
    let last = match until {
        Some(until) => between(tick(times[times.len() - 1]), tick(until)),
        None => durations.last().copied().unwrap_or_else(|| between(0, tick(start + interval))),
    };
    durations.push(last);
    durations
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: f64 = 1.7e9;

    #[test]
    fn durations_do_not_drift() {
        let times: Vec<f64> = (0..=3000).map(|k| START + f64::from(k) / 29.97).collect();
        let ticks = durations(&times[..3000], Some(times[3000]), 0.1);
        assert_eq!(ticks.len(), 3000);
        assert_eq!(
            ticks.iter().map(|&d| u64::from(d)).sum::<u64>(),
            (90_000.0f64 * 3000.0 / 29.97).round() as u64
        );
        assert!(ticks.iter().all(|d| (3002..=3004).contains(d)));
    }

    #[test]
    fn the_last_duration_without_a_successor() {
        assert_eq!(durations(&[START], None, 0.1), [9000]);
        assert_eq!(durations(&[START, START + 0.5], None, 0.1), [45_000, 45_000]);
        assert_eq!(durations(&[START, START], Some(START), 0.1), [1, 1]);
        assert_eq!(durations(&[START], Some(START + 1e9), 0.1), [u32::MAX]);
    }
}
