//! Pairs each picture that leaves a decoder with the capture time of its access unit.
//!
//! A decoder receives access units in decoding order and returns pictures in presentation order, some of them later. So
//! the next picture is the one with the earliest presentation time in the decoder.

/// Maximum number of pictures that a decoder holds back (ITU-T H.264, section A.3.1: `max_dec_frame_buffering`; ITU-T H.265,
/// section A.4.2).
pub(crate) const MAX_HELD_BACK: u8 = 16;
/// Maximum number of pictures in a decoder: those that it holds back, and the current one.
pub(crate) const MAX_PICTURES: usize = MAX_HELD_BACK as usize + 1;

/// Minimum time between two capture times, seconds.
pub(crate) const MIN_SPACING: f64 = 1e-6;
/// A capture time that goes back by this many seconds comes from a clock that was set, and is kept.
const CLOCK_STEP: f64 = 0.5;

/// When a picture is shown, and when it was captured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PictureTimes {
    /// Presentation time of the picture's access unit, in ticks.
    pub pts: i64,
    /// Capture time in seconds since 1970.
    pub captured: f64,
}

/// The times of the access units inside a decoder.
#[derive(Debug, Default)]
pub struct PresentationOrder {
    /// Presentation and capture time of each; the next one out is the last.
    inside: Vec<(i64, f64)>,
    last: Option<f64>,
}

impl PresentationOrder {
    /// An access unit with this presentation time (in ticks) and capture time (in seconds) enters the decoder.
    pub fn enter(&mut self, pts: i64, captured: f64) {
        if self.inside.len() == MAX_PICTURES {
            // The decoder has returned no picture for this unit.
            self.inside.pop();
        }
        let at = self.inside.partition_point(|&(other, _)| other > pts);
        self.inside.insert(at, (pts, captured));
    }

    /// The decoder has rejected the access unit with this presentation time: it returns no picture for it.
    pub fn withdraw(&mut self, pts: i64) {
        self.inside.retain(|&(other, _)| other != pts);
    }

    /// A picture leaves the decoder. Returns its times. Its capture time is later than that of the picture before unless a
    /// clock was set. `None` if the decoder returned more pictures than it received.
    pub fn leave(&mut self) -> Option<PictureTimes> {
        let (pts, captured) = self.inside.pop()?;
        let captured = match self.last {
            Some(last) if captured <= last && last - captured < CLOCK_STEP => last + MIN_SPACING,
            _ => captured,
        };
        self.last = Some(captured);
        Some(PictureTimes { pts, captured })
    }

    /// The decoder is empty. Removes the units that it returned no picture for, and returns their number.
    pub fn clear(&mut self) -> usize {
        let lost = self.inside.len();
        self.inside.clear();
        lost
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leave(order: &mut PresentationOrder) -> Option<f64> {
        order.leave().map(|times| times.captured)
    }

    #[test]
    fn b_frames_come_out_in_order() {
        // I0 P3 b1 b2 P6 b4 b5, of which the decoder holds one back.
        let mut order = PresentationOrder::default();
        let mut out = Vec::new();
        for (i, pts) in [0, 3, 1, 2, 6, 4, 5].into_iter().enumerate() {
            order.enter(pts, pts as f64);
            if i > 0 {
                out.extend(leave(&mut order));
            }
        }
        out.extend(leave(&mut order));
        assert_eq!(out, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(order.leave(), None);
    }

    #[test]
    fn a_rejected_unit_leaves_no_capture_time() {
        let mut order = PresentationOrder::default();
        for pts in [0, 3, 1] {
            order.enter(pts, pts as f64);
        }
        order.withdraw(1);
        assert_eq!([0, 1, 2].map(|_| leave(&mut order)), [Some(0.0), Some(3.0), None]);
    }

    #[test]
    fn equal_times_are_spaced_and_clock_steps_are_kept() {
        let mut order = PresentationOrder::default();
        let out: Vec<_> = [(1, 10.0), (2, 10.0), (3, 9.9), (4, -3590.0), (5, 7000.0)]
            .into_iter()
            .filter_map(|(pts, captured)| {
                order.enter(pts, captured);
                leave(&mut order)
            })
            .collect();
        assert_eq!(out, [10.0, 10.0 + MIN_SPACING, 10.0 + MIN_SPACING + MIN_SPACING, -3590.0, 7000.0]);
    }

    proptest! {
        /// For any reordering that a decoder with `depth` pictures of delay can undo, each picture gets its own time.
        #[test]
        fn any_reordering_is_undone(depth in 0usize..16, seeds in prop::collection::vec(any::<u8>(), 1..200)) {
            // Decoding order: each picture leaves a sliding window of depth + 1 in any order.
            let mut window = Vec::new();
            let mut decoding = Vec::new();
            let mut next = 0i64;
            for seed in &seeds {
                while window.len() <= depth {
                    window.push(next);
                    next += 1;
                }
                // The oldest must leave before it is more than `depth` late.
                let oldest = window[0];
                let late = decoding.len() as i64 - oldest >= depth as i64;
                let at = if late { 0 } else { usize::from(*seed) % window.len() };
                decoding.push(window.remove(at));
            }
            decoding.extend(window);
            let mut order = PresentationOrder::default();
            let mut out = Vec::new();
            for (i, pts) in decoding.iter().enumerate() {
                order.enter(*pts, *pts as f64);
                if i >= depth {
                    out.extend(leave(&mut order));
                }
            }
            while let Some(captured) = leave(&mut order) {
                out.push(captured);
            }
            let wanted: Vec<f64> = (0..next).map(|i| i as f64).collect();
            prop_assert_eq!(out, wanted);
        }

        #[test]
        fn memory_is_bounded(units in prop::collection::vec((any::<i64>(), any::<f64>()), 0..100)) {
            let mut order = PresentationOrder::default();
            for (pts, captured) in units {
                order.enter(pts, captured);
            }
            prop_assert!(order.clear() <= MAX_PICTURES);
        }
    }
}
