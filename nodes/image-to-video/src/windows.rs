//! Which frames make up which segment: MSight's buffer and overlap, as pure counting.
//!
//! MSight keeps the frames of a sensor in a list. It appends each frame; when the list has `buffer_size` frames or more,
//! the whole list becomes a segment, and only its last `overlap_size` frames stay (its `data_process_aggregator.py`). Here
//! only the length of the list is kept. It tells before a frame is encoded whether a segment begins with it, so that every
//! segment starts with a key frame.

/// `--overlap-size` is above `--buffer-size`.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error(
    "--overlap-size {overlap} is greater than --buffer-size {buffer}; a segment cannot repeat more frames than it has"
)]
pub(crate) struct OverlapTooLarge {
    overlap: i64,
    buffer: i64,
}

/// The sizes that `--buffer-size` and `--overlap-size` give, in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowSize {
    buffer: usize,
    overlap: usize,
}

impl WindowSize {
    /// Interprets the two flags as MSight does: a buffer below 1 counts as 1, a negative overlap as 0.
    ///
    /// # Errors
    /// The overlap is greater than the buffer.
    pub(crate) fn new(buffer: i64, overlap: i64) -> Result<Self, OverlapTooLarge> {
        if overlap > buffer {
            return Err(OverlapTooLarge { overlap, buffer });
        }
        let frames = |n: i64, least: i64| usize::try_from(n.max(least)).unwrap_or(usize::MAX);
        Ok(Self { buffer: frames(buffer, 1), overlap: frames(overlap, 0) })
    }

    /// Frames of a segment.
    pub(crate) fn buffer(self) -> usize {
        self.buffer
    }

    /// Frames from one segment's start to the next. An overlap as large as the buffer makes every frame a start.
    fn stride(self) -> usize {
        self.buffer.saturating_sub(self.overlap).max(1)
    }
}

/// The state of one sensor's list.
#[derive(Debug)]
pub(crate) struct Windows {
    size: WindowSize,
    /// Frames in the list.
    held: usize,
    /// How many of them are in an earlier segment.
    shown: usize,
    /// Frames since the last start, counted modulo the stride.
    since_start: usize,
}

impl Windows {
    /// An empty list.
    pub(crate) fn new(size: WindowSize) -> Self {
        Self { size, held: 0, shown: 0, since_start: 0 }
    }

    /// Whether a segment begins with the next frame, which therefore has to be a key frame.
    pub(crate) fn next_is_start(&self) -> bool {
        self.since_start == 0
    }

    /// Frames in the list: the next segment begins with them.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Appends a frame. If a segment ends with it, returns the number of its frames; once that segment is out,
    /// [`Windows::shorten`] shortens the list.
    pub(crate) fn push(&mut self) -> Option<usize> {
        self.held += 1;
        self.since_start = (self.since_start + 1) % self.size.stride();
        (self.held >= self.size.buffer).then_some(self.held)
    }

    /// Keeps the overlap of the segment that has ended.
    pub(crate) fn shorten(&mut self) {
        self.held = self.held.min(self.size.overlap);
        self.shown = self.held;
    }

    /// Clears the list. Returns the number of frames of the last, incomplete segment, if it has a frame that is in no
    /// earlier segment.
    pub(crate) fn flush(&mut self) -> Option<usize> {
        let rest = (self.held > self.shown).then_some(self.held);
        *self = Self::new(self.size);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;
    use std::collections::BTreeMap;

    /// Runs frames through the windows: the frame numbers of each segment, and the frames announced as starts.
    struct Run {
        windows: Windows,
        list: Vec<i64>,
        segments: Vec<Vec<i64>>,
        starts: Vec<i64>,
    }

    impl Run {
        fn new(size: WindowSize) -> Self {
            Self { windows: Windows::new(size), list: vec![], segments: vec![], starts: vec![] }
        }

        fn frame(&mut self, id: i64) {
            if self.windows.next_is_start() {
                self.starts.push(id);
            }
            self.list.push(id);
            if let Some(frames) = self.windows.push() {
                self.segments.push(self.list[self.list.len() - frames..].to_vec());
                self.windows.shorten();
                self.list.drain(..self.list.len() - self.windows.held());
            }
        }
    }

    #[test]
    fn golden_cases_of_msight() {
        let cases: Vec<Value> =
            serde_json::from_str(include_str!("../tests/data/aggregator_overlap.json")).unwrap();
        assert_eq!(cases.len(), 10);
        for case in cases {
            let number = |key: &str| case[key].as_i64().unwrap();
            let size = WindowSize::new(number("buffer_size"), number("overlap_size"));
            if case.get("error").is_some() {
                assert!(size.is_err(), "{case}");
                continue;
            }
            let sensors: Vec<&str> =
                case["sensors"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
            let mut runs: BTreeMap<&str, Run> = BTreeMap::new();
            let mut clips = vec![];
            for id in 1..=number("messages") {
                let sensor = sensors[usize::try_from(id - 1).unwrap() % sensors.len()];
                let run = runs.entry(sensor).or_insert_with(|| Run::new(size.unwrap()));
                run.frame(id);
                for frame_ids in run.segments.drain(..) {
                    clips.push(serde_json::json!({"sensor_name": sensor, "frame_ids": frame_ids}));
                }
            }
            assert_eq!(Value::from(clips), case["clips"], "{case}");
            for (sensor, run) in runs {
                assert_eq!(serde_json::json!(run.list), case["left_in_buffer"][sensor], "{case}");
            }
        }
    }

    /// MSight's list, literally.
    fn naive(buffer: i64, overlap: i64, frames: i64) -> Vec<Vec<i64>> {
        let mut list = vec![];
        let mut segments = vec![];
        for id in 1..=frames {
            list.push(id);
            if list.len() as i64 >= buffer {
                segments.push(list.clone());
                let keep = list.len().min(overlap.max(0) as usize);
                list.drain(..list.len() - keep);
            }
        }
        segments
    }

    proptest! {
        #[test]
        fn same_as_the_naive_list(buffer in -3i64..12, overlap in -3i64..14, frames in 0i64..60) {
            prop_assume!(overlap <= buffer);
            let mut run = Run::new(WindowSize::new(buffer, overlap).unwrap());
            (1..=frames).for_each(|id| run.frame(id));
            let expected = naive(buffer, overlap, frames);
            for segment in &expected {
                prop_assert!(run.starts.contains(&segment[0]), "{:?} starts {:?}", segment, run.starts);
            }
            prop_assert_eq!(&run.segments, &expected);
            // Key frames cost bytes: none is asked for where no segment could ever start.
            let stride = (buffer.max(1) - overlap.max(0)).max(1);
            prop_assert_eq!(run.starts.len() as i64, (frames + stride - 1) / stride);
        }

        #[test]
        fn every_frame_is_shown_once_flushed(buffer in 1i64..12, overlap in 0i64..12, frames in 1i64..60) {
            prop_assume!(overlap <= buffer);
            let mut run = Run::new(WindowSize::new(buffer, overlap).unwrap());
            (1..=frames).for_each(|id| run.frame(id));
            let shown_before = run.segments.last().and_then(|s| s.last().copied()).unwrap_or(0);
            match run.windows.flush() {
                Some(rest) => {
                    prop_assert!(shown_before < frames);
                    prop_assert_eq!(rest, run.list.len());
                    prop_assert!(run.list[0] <= shown_before + 1);
                    prop_assert!(run.starts.contains(&run.list[0]));
                }
                None => prop_assert_eq!(shown_before, frames),
            }
            prop_assert!(run.windows.next_is_start());
        }
    }
}
