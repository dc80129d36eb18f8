//! The frames of one sensor that some segment still needs, and the segments cut from them.
//!
//! The duration of a frame is known when the next one comes, so a segment is ready one frame after its last.

use crate::camera_stream::{CameraStream, Lead, Unit};
use crate::copied_video::CopiedVideo;
use crate::ending::Ending;
use crate::frame_times::{durations, shown_times};
use crate::segment::{EndedSegment, SegmentFrame};
use crate::windows::{WindowSize, Windows};
use std::collections::VecDeque;
use std::sync::Arc;

/// How a segment gets its video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Making {
    /// Its frames are encoded.
    Encode,
    /// The camera's units are copied.
    Copy(Lead),
}

/// Where segments end and how their frames are timed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentRules {
    /// Frames of a segment and of its overlap.
    pub(crate) size: WindowSize,
    /// A segment ends early at this many compressed bytes.
    pub(crate) max_bytes: usize,
    /// Seconds between frames at the target rate.
    pub(crate) interval: f64,
    /// Every frame is shown for `interval`, whatever its capture time.
    pub(crate) constant: bool,
}

/// A frame that some open segment has.
#[derive(Debug)]
struct Held {
    frame: Arc<SegmentFrame>,
    /// How the segment that begins with it gets its video, if one begins.
    start: Option<Making>,
}

/// Cuts the frames of one sensor into segments.
#[derive(Debug)]
pub(crate) struct Segmenter {
    rules: SegmentRules,
    windows: Windows,
    held: VecDeque<Held>,
    /// Bytes of the held frames, as they are encoded here and as the camera encoded them.
    encoded_bytes: usize,
    unit_bytes: usize,
    /// Why a segment ended with the last frame. It waits for the duration of that frame.
    complete: Option<Ending>,
}

impl Segmenter {
    /// Without frames.
    pub(crate) fn new(rules: SegmentRules) -> Self {
        let windows = Windows::new(rules.size);
        Self { rules, windows, held: VecDeque::new(), encoded_bytes: 0, unit_bytes: 0, complete: None }
    }

    /// Whether a segment begins with the next frame, which therefore has to be a key frame if it is encoded.
    pub(crate) fn next_is_start(&self) -> bool {
        self.windows.next_is_start()
    }

    /// Whether it holds frames.
    pub(crate) fn is_open(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether an open segment is copied.
    pub(crate) fn copies(&self) -> bool {
        self.held.iter().any(|held| matches!(held.start, Some(Making::Copy(_))))
    }

    /// Whether an open segment is encoded.
    pub(crate) fn encodes(&self) -> bool {
        self.held.iter().any(|held| held.start == Some(Making::Encode))
    }

    /// The number of the first unit that an open segment needs.
    pub(crate) fn needed(&self) -> Option<u64> {
        let from = |held: &Held| match held.start {
            Some(Making::Copy(lead)) => Some(lead.from),
            _ => None,
        };
        self.held.iter().filter_map(from).min()
    }

    /// The unit of the last frame.
    pub(crate) fn last_unit(&self) -> Option<&Arc<Unit>> {
        self.held.back()?.frame.unit.as_ref()
    }

    /// No segment that is open can be copied any more. Returns whether all of them can be encoded instead: those that began
    /// while another one was encoded.
    pub(crate) fn encode_instead(&mut self) -> bool {
        let is_copy = |held: &&mut Held| matches!(held.start, Some(Making::Copy(_)));
        let mut copies: Vec<_> = self.held.iter_mut().filter(is_copy).collect();
        let can_encode = copies.iter().all(|held| held.frame.encoded.is_some());
        if can_encode {
            copies.iter_mut().for_each(|held| held.start = Some(Making::Encode));
        }
        can_encode
    }

    /// A frame follows, which was captured at `time`; `None` for a frame whose time leaps. Returns the segment that has
    /// waited for it. `stream` has the units to copy.
    pub(crate) fn advance(&mut self, time: Option<f64>, stream: &CameraStream) -> Option<EndedSegment> {
        let ending = self.complete.take()?;
        let segment = self.segment(ending, time, stream);
        if ending == Ending::Full {
            self.windows.shorten();
        } else {
            self.windows.flush();
        }
        while self.held.len() > self.windows.held() {
            let Some(Held { frame, .. }) = self.held.pop_front() else { break };
            self.encoded_bytes -= frame.encoded_bytes();
            self.unit_bytes -= frame.unit_bytes();
        }
        segment
    }

    /// Appends a frame. `start` says how the segment that begins with it is made; if none begins, it is ignored. The
    /// parameter sets of an encoded frame may differ from those of the last one only after [`Segmenter::flush`].
    pub(crate) fn push(&mut self, frame: SegmentFrame, start: Making) {
        self.encoded_bytes += frame.encoded_bytes();
        self.unit_bytes += frame.unit_bytes();
        let start = self.windows.next_is_start().then_some(start);
        self.held.push_back(Held { frame: Arc::new(frame), start });
        if self.windows.push().is_some() {
            self.complete = Some(Ending::Full);
        } else if self.bytes() >= self.rules.max_bytes {
            self.complete = Some(Ending::Bytes);
        }
    }

    /// Ends the open segment. Returns it if it has a frame that no other segment has. `until` is the time of the frame
    /// that follows without a gap; without it the last frame is shown as long as the one before it. `stream` has the units
    /// to copy.
    pub(crate) fn flush(
        &mut self,
        ending: Ending,
        until: Option<f64>,
        stream: &CameraStream,
    ) -> Option<EndedSegment> {
        let complete = self.complete.take();
        let rest = self.windows.flush();
        let segment = match (complete, rest) {
            (Some(earlier), _) => self.segment(earlier, until, stream),
            (None, Some(_)) => self.segment(ending, until, stream),
            (None, None) => None,
        };
        self.held.clear();
        (self.encoded_bytes, self.unit_bytes) = (0, 0);
        segment
    }

    /// Bytes of the oldest open segment.
    fn bytes(&self) -> usize {
        match self.held.front().and_then(|held| held.start) {
            Some(Making::Copy(lead)) => self.unit_bytes + lead.bytes,
            _ => self.encoded_bytes,
        }
    }

    /// All frames as a segment.
    fn segment(&self, ending: Ending, until: Option<f64>, stream: &CameraStream) -> Option<EndedSegment> {
        let first = self.held.front()?;
        let frames: Vec<_> = self.held.iter().map(|held| Arc::clone(&held.frame)).collect();
        let copy = match first.start {
            Some(Making::Copy(lead)) => {
                let to = frames.iter().filter_map(|frame| frame.unit.as_ref()).map(|unit| unit.number).max();
                let units = stream.units(lead.from, to.unwrap_or(lead.from));
                Some(CopiedVideo::new(units, frames.len()))
            }
            _ => None,
        };
        let interval = self.rules.interval;
        let durations = if self.rules.constant {
            let times: Vec<f64> = (0..frames.len()).map(|k| k as f64 * interval).collect();
            durations(&times, Some(frames.len() as f64 * interval), interval)
        } else {
            let times = shown_times(&frames, interval);
            let last = frames.last().map_or(0.0, |frame| frame.captured);
            let until = until.map(|until| times.last().copied().unwrap_or(0.0) + (until - last));
            durations(&times, until, interval)
        };
        Some(EndedSegment { frames, durations, ending, copy, interval })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use msight_media::{AccessUnit, Codec, ParameterSets};
    use msight_proto::{Head, Sample};

    const START: f64 = 1.7e9;

    fn segmenter(buffer: i64, overlap: i64, max_bytes: usize) -> Segmenter {
        let size = WindowSize::new(buffer, overlap).unwrap();
        Segmenter::new(SegmentRules { size, max_bytes, interval: 0.1, constant: false })
    }

    /// Sends frame `k`, captured `k` tenths of a second after the start, and returns the segment it completes.
    fn frame(segmenter: &mut Segmenter, k: u32) -> Option<EndedSegment> {
        let time = START + f64::from(k) / 10.0;
        let segment = segmenter.advance(Some(time), &CameraStream::new(0));
        let key = segmenter.next_is_start();
        let unit = AccessUnit {
            codec: Codec::H264,
            data: Bytes::from_static(&[0; 10]),
            parameter_sets: Some(Arc::<ParameterSets>::default()),
            pts: i64::from(k) * 9000,
            captured: time,
            key,
            after_loss: false,
            size: None,
        };
        let message = Sample::new(Head::new(None, time), ());
        let (leap, encoded) = (k >= 100, Some(unit));
        let frame = SegmentFrame { message, captured: time, leap, lost: 0, encoded, unit: None };
        segmenter.push(frame, Making::Encode);
        segment
    }

    fn times(segment: &EndedSegment) -> Vec<u32> {
        segment.frames.iter().map(|frame| ((frame.captured - START) * 10.0).round() as u32).collect()
    }

    #[test]
    fn a_segment_is_ready_one_frame_after_its_last() {
        let mut segmenter = segmenter(3, 1, usize::MAX);
        assert!((0..3).all(|k| frame(&mut segmenter, k).is_none()));
        let first = frame(&mut segmenter, 3).unwrap();
        assert_eq!((times(&first), first.ending), (vec![0, 1, 2], Ending::Full));
        assert_eq!(first.durations, [9000, 9000, 9000]);
        assert!(frame(&mut segmenter, 4).is_none());
        let second = frame(&mut segmenter, 5).unwrap();
        assert_eq!(times(&second), [2, 3, 4]);
        assert!(second.frames[0].encoded.as_ref().unwrap().key);
        assert!(Arc::ptr_eq(&first.frames[2], &second.frames[0]), "encoded once, shared by both");
        let rest = segmenter.flush(Ending::Stop, None, &CameraStream::new(0)).unwrap();
        assert_eq!((times(&rest), rest.ending), (vec![4, 5], Ending::Stop));
        assert!(segmenter.flush(Ending::Stop, None, &CameraStream::new(0)).is_none());
    }

    #[test]
    fn a_full_segment_that_waits_is_flushed_once_and_its_overlap_is_not() {
        let mut segmenter = segmenter(3, 2, usize::MAX);
        (0..3).for_each(|k| assert!(frame(&mut segmenter, k).is_none()));
        let only = segmenter.flush(Ending::Idle, None, &CameraStream::new(0)).unwrap();
        assert_eq!((times(&only), only.ending), (vec![0, 1, 2], Ending::Full));
        assert!(segmenter.flush(Ending::Stop, None, &CameraStream::new(0)).is_none());
        assert!(segmenter.next_is_start());
    }

    #[test]
    fn bytes_end_a_segment_too() {
        let mut segmenter = segmenter(100, 50, 40);
        let segments: Vec<_> = (0..9).filter_map(|k| frame(&mut segmenter, k)).collect();
        assert_eq!(segments.iter().map(times).collect::<Vec<_>>(), [vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
        assert!(
            segments.iter().all(|s| s.ending == Ending::Bytes && s.frames[0].encoded.as_ref().unwrap().key)
        );
    }

    #[test]
    fn a_leap_of_the_capture_time_takes_one_interval() {
        let mut segmenter = segmenter(100, 0, usize::MAX);
        // The frames from the hundredth on leap.
        [0, 2, 500, 100, 9].into_iter().for_each(|k| assert!(frame(&mut segmenter, k).is_none()));
        let segment = segmenter.flush(Ending::Stop, Some(START + 1.0), &CameraStream::new(0)).unwrap();
        assert_eq!(segment.durations[..3], [18_000, 9000, 9000]);
    }

    #[test]
    fn constant_timing_counts_frames() {
        let size = WindowSize::new(3, 0).unwrap();
        let mut segmenter =
            Segmenter::new(SegmentRules { size, max_bytes: usize::MAX, interval: 1.0 / 7.0, constant: true });
        for k in [0, 50, 20] {
            assert!(frame(&mut segmenter, k).is_none());
        }
        let segment = frame(&mut segmenter, 0).unwrap();
        assert_eq!(segment.durations, [12_857, 12_857, 12_857]);
    }
}
