//! The capture times of a segment's frames, in bounded memory.

use msight_proto::FrameId;

/// Most frames that are listed. Of longer segments, every second frame is, or every fourth, and so on.
pub(crate) const MAX_FRAMES: usize = 1 << 16;

/// The frames that the message of a segment lists.
#[derive(Debug)]
pub(crate) struct FrameList {
    frames: Vec<(f64, Option<FrameId>)>,
    last: Option<f64>,
    count: u64,
    /// One of so many frames is listed.
    stride: u64,
}

impl FrameList {
    pub(crate) fn new() -> Self {
        Self { frames: Vec::new(), last: None, count: 0, stride: 1 }
    }

    /// Adds a frame.
    pub(crate) fn push(&mut self, captured: f64, id: Option<FrameId>) {
        if self.count.is_multiple_of(self.stride) {
            if self.frames.len() == MAX_FRAMES {
                let mut number = 0_u32;
                self.frames.retain(|_| {
                    number += 1;
                    number % 2 == 1
                });
                self.stride *= 2;
            }
            self.frames.push((captured, id));
        }
        self.last = Some(self.last.map_or(captured, |last| last.max(captured)));
        self.count += 1;
    }

    /// Number of frames, listed or not.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The capture times in the order of presentation, and the ids if all frames are listed.
    pub(crate) fn finish(mut self) -> (Vec<f64>, Option<Vec<Option<FrameId>>>) {
        self.frames.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let mut times: Vec<f64> = self.frames.iter().map(|(captured, _)| *captured).collect();
        if let Some(last) = self.last.filter(|last| times.last().is_none_or(|listed| listed < last)) {
            times.push(last);
        }
        let ids = (self.stride == 1).then(|| self.frames.into_iter().map(|(_, id)| id).collect());
        (times, ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_order_of_presentation() {
        let mut list = FrameList::new();
        [1.0, 1.3, 1.1, 1.2].into_iter().for_each(|captured| list.push(captured, None));
        assert_eq!(list.finish(), (vec![1.0, 1.1, 1.2, 1.3], Some(vec![None; 4])));
    }

    #[test]
    fn a_long_list_is_thinned_and_keeps_both_ends() {
        let mut list = FrameList::new();
        (0..1_000_000).for_each(|number| list.push(f64::from(number), None));
        assert_eq!(list.count(), 1_000_000);
        let (times, ids) = list.finish();
        assert!(times.len() <= MAX_FRAMES + 1 && ids.is_none(), "{}", times.len());
        assert_eq!((times[0], times[times.len() - 1]), (0.0, 999_999.0));
        assert!(times.windows(2).take(1000).all(|pair| pair[1] - pair[0] == 16.0));
    }
}
