//! Delay and rate of a camera's RTP clock, measured by the arrival of its frames.
//!
//! The network's delay varies, so only the least delayed frames are used (the minimum filter of NTP's clock selection,
//! RFC 5905, section 10). A camera that stamps 25 frames a second and sends 21 has an RTP clock that runs too slow: its
//! least delay grows by the same share every second.

use std::collections::VecDeque;

/// Number of buckets from which the least delay is computed.
const BUCKETS: usize = 8;
/// Seconds of arrival in a bucket. A pause without arrivals adds no bucket.
const BUCKET_SECONDS: f64 = 0.25;

/// Minimum duration of a rate measurement, in seconds of arrival.
const BLOCK_SECONDS: f64 = 1.0;
/// Minimum number of frames in a rate measurement.
const BLOCK_FRAMES: u32 = 8;
/// Two measurements in a row that differ by at most this agree. A single one may come from a network that changed its
/// delay.
const AGREEMENT: f64 = 0.02;
/// A smaller drift counts as zero: it comes from the crystal and from jitter, and the least delay corrects it.
const SMALLEST_DRIFT: f64 = 0.02;
/// RTP clocks that run more than five times too fast or too slow are ignored.
const DRIFTS: std::ops::RangeInclusive<f64> = -0.8..=4.0;

/// Delays and clock rate of one stream, in fixed memory.
///
/// Only time with arrivals counts, so the delays from before a stall remain valid after it.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    buckets: VecDeque<LeastDelay>,
    /// The block of frames that is being measured, with its number of frames.
    block: Option<(LeastDelay, u32)>,
    /// The previous block.
    before: Option<LeastDelay>,
    measured: Option<f64>,
    drift: f64,
}

/// The least delay of some frames.
#[derive(Clone, Copy, Debug)]
struct LeastDelay {
    /// Arrival of the first of these frames.
    start: f64,
    /// RTP time. In a bucket it is that of the least delayed frame; in a block that of the first frame, so that all
    /// blocks are equally long.
    media: f64,
    /// Arrival minus RTP time.
    delay: f64,
}

impl Arrivals {
    /// A frame with the RTP time `media` arrived at `now`, both in seconds from any zero.
    pub(crate) fn add(&mut self, now: f64, media: f64) {
        let least = LeastDelay { start: now, media, delay: now - media };
        self.measure(least);
        match self.buckets.back_mut() {
            Some(bucket) if now < bucket.start + BUCKET_SECONDS => {
                if bucket.delay > least.delay {
                    *bucket = LeastDelay { start: bucket.start, ..least };
                }
            }
            _ => {
                if self.buckets.len() == BUCKETS {
                    self.buckets.pop_front();
                }
                self.buckets.push_back(least);
            }
        }
    }

    /// The least delay of the last two seconds, projected to the RTP time `media`.
    pub(crate) fn least_delay(&self, media: f64) -> Option<f64> {
        self.buckets.iter().map(|least| least.delay + (media - least.media) * self.drift).reduce(f64::min)
    }

    /// Seconds by which the delay grows per second of RTP time: 0 unless the camera sends at another rate than its
    /// timestamps state.
    pub(crate) fn drift(&self) -> f64 {
        self.drift
    }

    fn measure(&mut self, frame: LeastDelay) {
        match &mut self.block {
            Some((block, frames)) if frame.start < block.start + BLOCK_SECONDS || *frames < BLOCK_FRAMES => {
                block.delay = block.delay.min(frame.delay);
                *frames += 1;
            }
            block => {
                let Some((whole, _)) = block.replace((frame, 1)) else { return };
                let Some(before) = self.before.replace(whole) else { return };
                let drift = (whole.delay - before.delay) / (whole.media - before.media);
                let agreed =
                    self.measured.replace(drift).is_some_and(|last| (drift - last).abs() <= AGREEMENT);
                if agreed && DRIFTS.contains(&drift) {
                    self.drift = if drift.abs() < SMALLEST_DRIFT { 0.0 } else { drift };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn drift_follows_the_real_frame_rate() {
        let mut arrivals = Arrivals::default();
        let (mut now, mut media) = (0.0, 0.0);
        for (real, declared) in [(21.0, 25.0), (25.0, 25.0), (30.0, 25.0), (2.0, 2.0)] {
            for _ in 0..200 {
                now += f64::recip(real);
                media += f64::recip(declared);
                arrivals.add(now, media);
            }
            let wanted = declared / real - 1.0;
            assert!((arrivals.drift() - wanted).abs() < 1e-9, "{real}: {}", arrivals.drift());
            assert!((arrivals.least_delay(media).unwrap() - (now - media)).abs() < 1e-6, "{real}");
        }
    }

    #[test]
    fn bursts_stalls_and_new_delays_cause_no_drift() {
        let mut arrivals = Arrivals::default();
        for i in 0..1000 {
            let media = f64::from(i) / 10.0;
            let arrival = match media {
                20.0..27.0 => 27.0,
                // Another route through the network.
                50.0..80.0 => media + 0.4,
                // Sent ahead of time, all at once.
                80.0..85.0 => 80.4,
                85.0.. => media - 4.6,
                _ => media,
            };
            arrivals.add(arrival, media);
            assert!(arrivals.drift() == 0.0, "{media}: {}", arrivals.drift());
        }
    }

    proptest! {
        #[test]
        fn jitter_causes_little_drift(seed in any::<u64>(), fps in 5.0f64..60.0) {
            let mut arrivals = Arrivals::default();
            let mut random = seed | 1;
            for i in 0..2000 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let jitter = (random >> 40) as f64 / (1u64 << 24) as f64 * 0.05;
                let media = f64::from(i) / fps;
                arrivals.add(media + jitter, media);
                prop_assert!(arrivals.drift().abs() < 0.05, "{}", arrivals.drift());
            }
        }

        #[test]
        fn any_time_is_accepted(frames in prop::collection::vec((any::<f64>(), any::<f64>()), 0..100)) {
            let mut arrivals = Arrivals::default();
            for (now, media) in frames {
                arrivals.add(now, media);
                let _ = arrivals.least_delay(media);
                prop_assert!(DRIFTS.contains(&arrivals.drift()) && arrivals.buckets.len() <= BUCKETS);
            }
        }
    }
}
