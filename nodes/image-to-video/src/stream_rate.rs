//! How many bits a camera sends: over whole groups of pictures, because a key frame has a multiple of the others' bits.

use std::collections::VecDeque;

/// Seconds that the measurement covers, if the groups are shorter.
const SECONDS: f64 = 10.0;
/// Most groups that are remembered.
const GROUPS: usize = 64;
/// Frames of a group of pictures, after which the frames beside its key frame tell something.
const FIRST_FRAMES: u32 = 4;

/// A group of pictures: a key frame and those up to the next one.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    bytes: usize,
    frames: u32,
    seconds: f64,
}

/// The bits of one camera's stream.
#[derive(Debug, Default)]
pub(crate) struct StreamRate {
    groups: VecDeque<Group>,
    open: Option<OpenGroup>,
}

#[derive(Debug)]
struct OpenGroup {
    /// When its key frame was captured.
    start: f64,
    key_bytes: usize,
    rest: Group,
}

impl StreamRate {
    /// The next unit in decoding order, captured at `captured` (seconds).
    pub(crate) fn add(&mut self, bytes: usize, key: bool, captured: f64) {
        if let Some(open) = &mut self.open {
            open.rest.seconds = open.rest.seconds.max(captured - open.start);
            if !key {
                open.rest.bytes += bytes;
                open.rest.frames += 1;
                return;
            }
            let OpenGroup { key_bytes, rest, .. } = *open;
            if rest.seconds > 0.0 {
                self.groups.push_back(Group {
                    bytes: rest.bytes + key_bytes,
                    frames: rest.frames + 1,
                    ..rest
                });
            }
        }
        if key {
            self.open = Some(OpenGroup { start: captured, key_bytes: bytes, rest: Group::default() });
        }
        let mut covered: f64 = self.groups.iter().map(|group| group.seconds).sum();
        while self.groups.len() > GROUPS
            || self.groups.front().is_some_and(|first| covered - first.seconds >= SECONDS)
        {
            covered -= self.groups.pop_front().map_or(0.0, |first| first.seconds);
        }
    }

    /// Units are missing, so the open group tells nothing.
    pub(crate) fn interrupt(&mut self) {
        self.open = None;
    }

    /// Bits a second and bits a frame. Before the second key frame, the first one does not count: the length of its group is
    /// unknown. `None` before the first few frames.
    pub(crate) fn bits(&self) -> Option<(f64, f64)> {
        let mut sum = Group::default();
        for group in &self.groups {
            sum.bytes += group.bytes;
            sum.frames += group.frames;
            sum.seconds += group.seconds;
        }
        if self.groups.is_empty() {
            sum = self.open.as_ref().map(|open| open.rest).filter(|rest| rest.frames >= FIRST_FRAMES)?;
        }
        let bits = sum.bytes as f64 * 8.0;
        (sum.seconds > 0.0).then(|| (bits / sum.seconds, bits / f64::from(sum.frames)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_whole_groups() {
        let mut rate = StreamRate::default();
        let mut send = |frames: std::ops::Range<u32>, key_every: u32, bytes: usize| {
            for k in frames {
                let key = k % key_every == 0;
                rate.add(if key { 5 * bytes } else { bytes }, key, 1.7e9 + f64::from(k) / 10.0);
            }
            rate.bits().map(|(second, frame)| (second.round() as u64, frame.round() as u64))
        };
        assert_eq!(send(0..4, 24, 1000), None);
        assert_eq!(send(4..20, 24, 1000), Some((80_000, 8000)), "without the key frame");
        assert_eq!(send(20..30, 24, 1000), Some((93_333, 9333)), "28 units of 1000 bytes in 24 frames");
        let louder = send(30..400, 24, 2000).unwrap();
        assert_eq!(louder, (186_667, 18_667), "what is long ago is forgotten");
    }

    #[test]
    fn an_interrupted_group_does_not_count() {
        let mut rate = StreamRate::default();
        (0..10).for_each(|k| rate.add(1000, k == 0, f64::from(k)));
        rate.interrupt();
        rate.add(1000, false, 10.0);
        assert_eq!(rate.bits(), None);
    }
}
