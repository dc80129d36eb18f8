//! How fast capture times advance, beside the frames' arrival. Where a source's clock stands still, all its frames seem to be
//! above the target rate.

use std::time::Instant;

/// The least duration of a measurement in seconds.
const MIN_SECONDS: f64 = 2.0;
/// The least number of frames in a measurement, beside the one that begins it.
const MIN_FRAMES: u32 = 4;
/// Seconds of capture time in a second of arrival, below which a clock is slow.
const SLOW: f64 = 0.5;
/// So many slow measurements in a row make a slow clock: one may contain a stall.
const IN_A_ROW: u32 = 2;

/// The rate of one sensor's capture times.
#[derive(Debug, Default)]
pub(crate) struct ClockRate {
    measurement: Option<Measurement>,
    /// Slow measurements in a row.
    slow: u32,
}

#[derive(Debug)]
struct Measurement {
    begun: Instant,
    captured: f64,
    frames: u32,
}

impl ClockRate {
    /// A frame captured at `captured` (seconds) arrived at `now`.
    pub(crate) fn add(&mut self, captured: f64, now: Instant) {
        let Measurement { begun, captured: first, frames } =
            self.measurement.get_or_insert(Measurement { begun: now, captured, frames: 0 });
        *frames += 1;
        let seconds = now.saturating_duration_since(*begun).as_secs_f64();
        if seconds < MIN_SECONDS || *frames <= MIN_FRAMES {
            return;
        }
        // A clock that was set is not slow.
        let is_slow = (0.0..SLOW * seconds).contains(&(captured - *first));
        self.slow = if is_slow { self.slow.saturating_add(1) } else { 0 };
        self.measurement = Some(Measurement { begun: now, captured, frames: 1 });
    }

    /// Whether capture times advance much more slowly than frames arrive.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow >= IN_A_ROW
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The tenths of a second from which the clock is slow, of frames that arrive and are captured at these tenths.
    fn slow(frames: impl IntoIterator<Item = (u64, f64)>) -> Vec<u64> {
        let (mut rate, start) = (ClockRate::default(), Instant::now());
        let mut slow = Vec::new();
        for (arrival, captured) in frames {
            rate.add(1.7e9 + captured / 10.0, start + Duration::from_millis(100 * arrival));
            if rate.is_slow() {
                slow.push(arrival);
            }
        }
        slow
    }

    #[test]
    fn only_a_clock_that_nearly_stands_is_slow() {
        assert_eq!(slow((0..100).map(|k| (k, k as f64))), [0_u64; 0]);
        assert_eq!(slow((0..100).map(|k| (k, k as f64 * 0.6))), [0_u64; 0]);
        assert_eq!(slow((0..100).map(|k| (k, k as f64 * 1e-5))), (40..100).collect::<Vec<_>>());
        let stall = |k| if (20..90).contains(&k) { 90 } else { k };
        assert_eq!(slow((0..200).map(|k| (stall(k), k as f64))), [0_u64; 0]);
        assert_eq!(slow((0..100).map(|k| (k, k as f64 - if k < 50 { 0.0 } else { 3000.0 }))), [0_u64; 0]);
    }
}
