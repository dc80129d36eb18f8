//! Pairs each picture that leaves a decoder with the capture time of its access unit.
//!
//! A decoder takes access units in decoding order and gives pictures in presentation order, some of them later. So the
//! next picture out is the one with the earliest presentation time of those inside.

/// A decoder holds at most 16 pictures back (ITU-T H.264, section A.3.1: `max_dec_frame_buffering`), and the current one.
const MOST: usize = 17;

/// Capture times are at least this many seconds apart.
const APART: f64 = 1e-6;
/// A capture time that goes back by more than this many seconds comes from a clock that was set, and stays as it is.
const CLOCK_SET: f64 = 0.5;

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
        if self.inside.len() == MOST {
            // A unit that gave no picture.
            self.inside.pop();
        }
        let at = self.inside.partition_point(|&(other, _)| other > pts);
        self.inside.insert(at, (pts, captured));
    }

    /// The access unit with this presentation time gives no picture: the decoder refused it.
    pub fn withdraw(&mut self, pts: i64) {
        self.inside.retain(|&(other, _)| other != pts);
    }

    /// A picture leaves the decoder. Returns its capture time, which is later than that of the picture before unless a
    /// clock was set; `None` if the decoder gave more pictures than it was given.
    pub fn leave(&mut self) -> Option<f64> {
        let (_, captured) = self.inside.pop()?;
        let captured = match self.last {
            Some(last) if captured <= last && last - captured < CLOCK_SET => last + APART,
            _ => captured,
        };
        self.last = Some(captured);
        Some(captured)
    }

    /// The decoder is empty. Forgets the units that gave no picture, and returns how many these were.
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

    #[test]
    fn b_frames_come_out_in_order() {
        // I0 P3 b1 b2 P6 b4 b5, of which the decoder holds one back.
        let mut order = PresentationOrder::default();
        let mut out = Vec::new();
        for (i, pts) in [0, 3, 1, 2, 6, 4, 5].into_iter().enumerate() {
            order.enter(pts, pts as f64);
            if i > 0 {
                out.extend(order.leave());
            }
        }
        out.extend(order.leave());
        assert_eq!(out, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(order.leave(), None);
    }

    #[test]
    fn a_refused_unit_takes_its_time_with_it() {
        let mut order = PresentationOrder::default();
        for pts in [0, 3, 1] {
            order.enter(pts, pts as f64);
        }
        order.withdraw(1);
        assert_eq!([order.leave(), order.leave(), order.leave()], [Some(0.0), Some(3.0), None]);
    }

    #[test]
    fn equal_times_are_kept_apart_and_clock_steps_are_kept() {
        let mut order = PresentationOrder::default();
        let out: Vec<_> = [(1, 10.0), (2, 10.0), (3, 9.9), (4, -3590.0), (5, 7000.0)]
            .into_iter()
            .filter_map(|(pts, captured)| {
                order.enter(pts, captured);
                order.leave()
            })
            .collect();
        assert_eq!(out, [10.0, 10.0 + APART, 10.0 + APART + APART, -3590.0, 7000.0]);
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
                    out.extend(order.leave());
                }
            }
            while let Some(captured) = order.leave() {
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
            prop_assert!(order.clear() <= MOST);
        }
    }
}
