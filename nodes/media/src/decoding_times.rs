//! Decoding times of a stream that states only presentation times, as RTP does.

use std::num::NonZeroU32;

use crate::order::{MAX_HELD_BACK, MAX_PICTURES};

/// Seconds by which presentation times go back where a stream begins anew.
const RESTART: i64 = 10;

/// Gives each unit of a stream its decoding time, from presentation times in decoding order.
///
/// Decoding times never decrease, and increase where the presentation times differ. None is after the presentation time of
/// its unit, as long as the stream begins with its earliest picture and keeps to the reordering that its parameter sets
/// state. Without reordering, both times are the same. Looks at no later unit.
#[derive(Debug)]
pub struct DecodingTimes {
    depth: usize,
    /// Ticks of a second.
    rate: i64,
    /// Ticks of a picture.
    step: i64,
    /// The latest presentation times, ascending: `depth` and one more.
    latest: Vec<i64>,
    last: Option<i64>,
}

impl DecodingTimes {
    /// For a stream with `rate` ticks a second. `depth`: how many pictures may precede a picture in decoding order and follow
    /// it in output order, as in [`Sps::reorder_depth`](crate::Sps::reorder_depth). `fps`: frames a second, if known.
    #[must_use]
    pub fn new(depth: u8, rate: NonZeroU32, fps: Option<f64>) -> Self {
        let rate = f64::from(rate.get());
        let step = fps.filter(|fps| *fps > 0.0).map_or(1.0, |fps| (rate / fps).clamp(1.0, rate));
        Self {
            depth: depth.min(MAX_HELD_BACK).into(),
            rate: rate as i64,
            step: step as i64,
            latest: Vec::with_capacity(MAX_PICTURES + 1),
            last: None,
        }
    }

    /// The stream's parameter sets have changed, and state this reordering.
    pub fn set_depth(&mut self, depth: u8) {
        self.depth = depth.min(MAX_HELD_BACK).into();
        if let Some(&earliest) = self.latest.first() {
            self.fill(earliest);
        }
    }

    /// The decoding time of the next unit, which has this presentation time.
    pub fn next(&mut self, pts: i64) -> i64 {
        if self.last.is_some_and(|last| pts < last.saturating_sub(RESTART * self.rate)) {
            self.last = None;
            self.latest.clear();
        }
        if self.latest.is_empty() {
            self.fill(pts);
        }
        // At most `depth` of the earlier pictures are shown after this one. So it is one of the latest, and the earliest of
        // those is not after it; and each new picture takes the place of an earlier one.
        let at = self.latest.partition_point(|&other| other <= pts);
        self.latest.insert(at, pts);
        let surplus = self.latest.len().saturating_sub(self.depth + 1);
        self.latest.drain(..surplus);
        let earliest = self.latest[0].min(pts);
        let dts = self.last.map_or(earliest, |last| last.max(earliest));
        self.last = Some(dts);
        dts
    }

    /// Adds pictures before `earliest` up to the depth: the stream's first decoding times are before its first picture.
    fn fill(&mut self, earliest: i64) {
        let missing = self.depth.saturating_sub(self.latest.len());
        let before = (1..=missing).rev().map(|n| earliest.saturating_sub(n as i64 * self.step));
        self.latest.splice(..0, before);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: NonZeroU32 = NonZeroU32::new(90_000).unwrap();

    fn decoding(depth: u8, fps: Option<f64>, all: &[i64]) -> Vec<i64> {
        let mut times = DecodingTimes::new(depth, RATE, fps);
        all.iter().map(|&pts| times.next(pts)).collect()
    }

    #[test]
    fn b_frames_are_decoded_after_what_they_refer_to() {
        // I0 P3 b1 b2 P6 b4 b5, of which the decoder holds one back.
        let all = [0, 9000, 3000, 6000, 18_000, 12_000, 15_000];
        assert_eq!(decoding(1, Some(30.0), &all), [-3000, 0, 3000, 6000, 9000, 12_000, 15_000]);
        assert_eq!(decoding(1, None, &all)[..3], [-1, 0, 3000]);
        assert_eq!(decoding(0, None, &[5, 6, 6, 9]), [5, 6, 6, 9]);
    }

    #[test]
    fn what_the_stream_does_wrong_passes() {
        // Reorders more than it states; jumps, and comes back; begins anew.
        assert_eq!(decoding(0, None, &[0, 9, 3, 6, 12]), [0, 9, 9, 9, 12]);
        assert_eq!(decoding(0, None, &[0, 1_000_000, 3, 4]), [0, 1_000_000, 3, 4]);
        assert_eq!(decoding(2, None, &[i64::MIN, i64::MAX, 0, 3]).len(), 4);
        let mut times = DecodingTimes::new(0, RATE, Some(30.0));
        assert_eq!(times.next(0), 0);
        times.set_depth(1);
        assert_eq!([9000, 3000, 6000].map(|pts| times.next(pts)), [0, 3000, 6000]);
        times.set_depth(0);
        assert_eq!([12_000, 15_000].map(|pts| times.next(pts)), [12_000, 15_000]);
    }

    proptest! {
        /// For any reordering of this depth.
        #[test]
        fn times_increase_and_are_not_after_presentation(
            depth in 0u8..=16,
            fps in prop::option::of(1.0..100.0),
            seeds in prop::collection::vec((any::<u8>(), 1..10_000i64), 1..200),
        ) {
            // Each picture leaves a window of depth + 1 in any order; the first one of the stream is the first shown.
            let shown: Vec<i64> = seeds.iter().scan(0, |at, (_, step)| { *at += step; Some(*at) }).collect();
            let (first, rest) = shown.split_first().unwrap();
            let mut rest = rest.iter().enumerate().peekable();
            let (mut window, mut pictures) = (Vec::new(), vec![*first]);
            for (seed, _) in &seeds {
                while window.len() <= usize::from(depth) && let Some((i, pts)) = rest.next() {
                    window.push((i, *pts));
                }
                let Some(&(oldest, _)) = window.first() else { break };
                // The oldest leaves before more than `depth` later ones have.
                let is_due = (pictures.len() - 1).saturating_sub(oldest) >= usize::from(depth);
                let at = if is_due { 0 } else { usize::from(*seed) % window.len() };
                pictures.push(window.remove(at).1);
            }
            let times = decoding(depth, fps, &pictures);
            for (n, (dts, pts)) in times.iter().zip(&pictures).enumerate() {
                prop_assert!(dts <= pts);
                prop_assert!(n == 0 || times[n - 1] < *dts);
            }
        }

        #[test]
        fn times_of_arbitrary_streams_do_not_decrease(depth: u8, all in prop::collection::vec(0..900_000i64, 0..100)) {
            prop_assert!(decoding(depth, None, &all).is_sorted());
        }
    }
}
