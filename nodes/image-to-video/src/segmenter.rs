//! The encoded frames of one sensor that some segment still needs, and the segments cut from them.
//!
//! The duration of a frame is known when the next one comes, so a segment is ready one frame after its last.

use crate::ending::Ending;
use crate::windows::{WindowSize, Windows};
use bytes::Bytes;
use msight_media::mp4::{self, SampleData};
use msight_media::{AccessUnit, ParameterSets, SegmentMetadata, TIMESCALE};
use msight_proto::{Receipt, Sample};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// One encoded frame.
#[derive(Debug)]
pub(crate) struct EncodedFrame {
    /// The head of the frame's message, and the receipt that acknowledges it once the last segment with this frame is
    /// published.
    pub(crate) message: Sample<()>,
    /// The picture.
    pub(crate) unit: AccessUnit,
    /// Its capture time does not follow that of the frame before it, which is therefore shown for the usual interval.
    pub(crate) leap: bool,
    /// Frames of the sensor lost between the frame before it and this one.
    pub(crate) lost: u64,
}

/// A segment that has ended, with all that its file needs.
#[derive(Debug)]
pub(crate) struct EndedSegment {
    /// Its frames in order, at least one; the first is a key frame.
    pub(crate) frames: Vec<Arc<EncodedFrame>>,
    /// How long each of them is shown, in ticks of [`TIMESCALE`].
    pub(crate) durations: Vec<u32>,
    /// Why it ended.
    pub(crate) ending: Ending,
    parameter_sets: Arc<ParameterSets>,
}

impl EndedSegment {
    /// The segment as an MP4 file.
    ///
    /// # Errors
    /// The samples do not make a file; see [`mp4::Error`].
    pub(crate) fn to_mp4(&self) -> Result<Bytes, mp4::Error> {
        let created = Duration::try_from_secs_f64(self.frames[0].unit.captured).unwrap_or_default();
        let samples: Vec<_> = (self.frames.iter().zip(&self.durations))
            .map(|(frame, &duration)| SampleData {
                data: &frame.unit.data,
                key: frame.unit.key,
                duration,
                composition_offset: 0,
            })
            .collect();
        let mut file = mp4::mux(&self.parameter_sets, created, &samples, None)?;
        let metadata = SegmentMetadata {
            ending: self.ending.as_str().to_owned(),
            frames_lost_before: self.lost_before(),
            frames_lost_within: self.lost_within(),
        };
        metadata.append_to(&mut file);
        Ok(Bytes::from(file))
    }

    /// One receipt for all its frames. Dropping it acknowledges each frame that no other segment needs. It does not
    /// hold their data.
    pub(crate) fn receipt(&self) -> Receipt {
        let receipts: Vec<_> =
            self.frames.iter().filter_map(|frame| frame.message.clone().take_receipt()).collect();
        Receipt::join(receipts)
    }

    /// Frames of the sensor lost before its first frame, since the frame before that one.
    pub(crate) fn lost_before(&self) -> u64 {
        self.frames[0].lost
    }

    /// Frames of the sensor lost between its first frame and its last one.
    pub(crate) fn lost_within(&self) -> u64 {
        self.frames[1..].iter().map(|frame| frame.lost).sum()
    }

    /// How long it plays, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.durations.iter().map(|&d| f64::from(d)).sum::<f64>() / f64::from(TIMESCALE.get())
    }
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

/// Cuts the frames of one sensor into segments.
#[derive(Debug)]
pub(crate) struct Segmenter {
    rules: SegmentRules,
    windows: Windows,
    frames: VecDeque<Arc<EncodedFrame>>,
    bytes: usize,
    /// Why a segment ended with the last frame. It waits for the duration of that frame.
    complete: Option<Ending>,
}

impl Segmenter {
    /// Without frames.
    pub(crate) fn new(rules: SegmentRules) -> Self {
        let windows = Windows::new(rules.size);
        Self { rules, windows, frames: VecDeque::new(), bytes: 0, complete: None }
    }

    /// Whether a segment begins with the next frame, which therefore has to be a key frame.
    pub(crate) fn next_is_start(&self) -> bool {
        self.windows.next_is_start()
    }

    /// Whether it holds frames.
    pub(crate) fn is_open(&self) -> bool {
        !self.frames.is_empty()
    }

    /// A frame follows, which was captured at `time`; `None` for a frame whose time leaps. Returns the segment that has
    /// waited for it.
    pub(crate) fn advance(&mut self, time: Option<f64>) -> Option<EndedSegment> {
        let ending = self.complete.take()?;
        let segment = self.segment(ending, time);
        if ending == Ending::Full {
            self.windows.shorten();
        } else {
            self.windows.flush();
        }
        while self.frames.len() > self.windows.held() {
            self.bytes -= self.frames.pop_front().map_or(0, |frame| frame.unit.data.len());
        }
        segment
    }

    /// Appends a frame. Its parameter sets may differ from those of the last frame only after [`Segmenter::flush`].
    pub(crate) fn push(&mut self, frame: EncodedFrame) {
        self.bytes += frame.unit.data.len();
        self.frames.push_back(Arc::new(frame));
        if self.windows.push().is_some() {
            self.complete = Some(Ending::Full);
        } else if self.bytes >= self.rules.max_bytes {
            self.complete = Some(Ending::Bytes);
        }
    }

    /// Ends the open segment. Returns it if it has a frame that no other segment has. `until` is the time of the frame
    /// that follows without a gap; without it the last frame is shown as long as the one before it.
    pub(crate) fn flush(&mut self, ending: Ending, until: Option<f64>) -> Option<EndedSegment> {
        let complete = self.complete.take();
        let rest = self.windows.flush();
        let segment = match (complete, rest) {
            (Some(earlier), _) => self.segment(earlier, until),
            (None, Some(_)) => self.segment(ending, until),
            (None, None) => None,
        };
        self.frames.clear();
        self.bytes = 0;
        segment
    }

    /// All frames as a segment.
    fn segment(&self, ending: Ending, until: Option<f64>) -> Option<EndedSegment> {
        let parameter_sets = self.frames.back()?.unit.parameter_sets.clone()?;
        let frames: Vec<_> = self.frames.iter().cloned().collect();
        let durations = if self.rules.constant {
            let times: Vec<f64> = (0..frames.len()).map(|k| k as f64 * self.rules.interval).collect();
            durations(&times, Some(frames.len() as f64 * self.rules.interval), self.rules.interval)
        } else {
            let times = shown_times(&frames, self.rules.interval);
            let last = frames.last().map_or(0.0, |frame| frame.unit.captured);
            let until = until.map(|until| times.last().copied().unwrap_or(0.0) + (until - last));
            durations(&times, until, self.rules.interval)
        };
        Some(EndedSegment { frames, durations, ending, parameter_sets })
    }
}

/// When each frame is shown, in seconds after the first one: at its capture time, and after a leap of the capture time one
/// interval later than the frame before.
fn shown_times(frames: &[Arc<EncodedFrame>], interval: f64) -> Vec<f64> {
    let steps = frames.windows(2).map(|pair| match pair[1].leap {
        true => interval,
        false => pair[1].unit.captured - pair[0].unit.captured,
    });
    let shown = std::iter::once(0.0).chain(steps).scan(0.0, |time, step| {
        *time += step;
        Some(*time)
    });
    shown.take(frames.len()).collect()
}

/// The durations of frames shown at increasing `times`, in ticks. Each time is rounded on its own, so that errors do not
/// add up.
fn durations(times: &[f64], until: Option<f64>, interval: f64) -> Vec<u32> {
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
    use msight_media::Codec;
    use msight_proto::Head;

    const START: f64 = 1.7e9;

    fn segmenter(buffer: i64, overlap: i64, max_bytes: usize) -> Segmenter {
        let size = WindowSize::new(buffer, overlap).unwrap();
        Segmenter::new(SegmentRules { size, max_bytes, interval: 0.1, constant: false })
    }

    /// Sends frame `k`, captured `k` tenths of a second after the start, and returns the segment it completes.
    fn frame(segmenter: &mut Segmenter, k: u32) -> Option<EndedSegment> {
        let time = START + f64::from(k) / 10.0;
        let segment = segmenter.advance(Some(time));
        let key = segmenter.next_is_start();
        let unit = AccessUnit {
            codec: Codec::H264,
            data: Bytes::from_static(&[0; 10]),
            parameter_sets: Some(Arc::default()),
            pts: i64::from(k) * 9000,
            captured: time,
            key,
            after_loss: false,
            size: None,
        };
        let message = Sample::new(Head::new(None, time), ());
        segmenter.push(EncodedFrame { message, unit, leap: k >= 100, lost: 0 });
        segment
    }

    fn times(segment: &EndedSegment) -> Vec<u32> {
        segment.frames.iter().map(|frame| ((frame.unit.captured - START) * 10.0).round() as u32).collect()
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
        assert!(second.frames[0].unit.key);
        assert!(Arc::ptr_eq(&first.frames[2], &second.frames[0]), "encoded once, shared by both");
        let rest = segmenter.flush(Ending::Stop, None).unwrap();
        assert_eq!((times(&rest), rest.ending), (vec![4, 5], Ending::Stop));
        assert!(segmenter.flush(Ending::Stop, None).is_none());
    }

    #[test]
    fn a_full_segment_that_waits_is_flushed_once_and_its_overlap_is_not() {
        let mut segmenter = segmenter(3, 2, usize::MAX);
        (0..3).for_each(|k| assert!(frame(&mut segmenter, k).is_none()));
        let only = segmenter.flush(Ending::Idle, None).unwrap();
        assert_eq!((times(&only), only.ending), (vec![0, 1, 2], Ending::Full));
        assert!(segmenter.flush(Ending::Stop, None).is_none());
        assert!(segmenter.next_is_start());
    }

    #[test]
    fn bytes_end_a_segment_too() {
        let mut segmenter = segmenter(100, 50, 40);
        let segments: Vec<_> = (0..9).filter_map(|k| frame(&mut segmenter, k)).collect();
        assert_eq!(segments.iter().map(times).collect::<Vec<_>>(), [vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
        assert!(segments.iter().all(|s| s.ending == Ending::Bytes && s.frames[0].unit.key));
    }

    #[test]
    fn a_leap_of_the_capture_time_takes_one_interval() {
        let mut segmenter = segmenter(100, 0, usize::MAX);
        // The frames from the hundredth on leap.
        [0, 2, 500, 100, 9].into_iter().for_each(|k| assert!(frame(&mut segmenter, k).is_none()));
        let segment = segmenter.flush(Ending::Stop, Some(START + 1.0)).unwrap();
        assert_eq!(segment.durations[..3], [18_000, 9000, 9000]);
    }

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
