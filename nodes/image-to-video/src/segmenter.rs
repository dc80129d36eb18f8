//! The frames of one sensor that some segment still needs, and the segments cut from them.
//!
//! The duration of a frame is known when the next one comes, so a segment is ready one frame after its last.

use crate::camera_stream::{CameraStream, Lead, Unit};
use crate::copied_video::CopiedVideo;
use crate::ending::Ending;
use crate::windows::{WindowSize, Windows};
use bytes::Bytes;
use msight_media::mp4::{self, SampleData};
use msight_media::{AccessUnit, SegmentMetadata, TIMESCALE};
use msight_proto::{Receipt, Sample};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// One frame of a segment.
#[derive(Debug)]
pub(crate) struct SegmentFrame {
    /// The head of the frame's message, and the receipt that acknowledges it once the last segment with this frame is
    /// published.
    pub(crate) message: Sample<()>,
    /// When it was captured, in seconds since 1970.
    pub(crate) captured: f64,
    /// Its capture time does not follow that of the frame before it, which is therefore shown for the usual interval.
    pub(crate) leap: bool,
    /// Frames of the sensor lost between the frame before it and this one.
    pub(crate) lost: u64,
    /// The picture as it was encoded here; only if a segment needs it.
    pub(crate) encoded: Option<AccessUnit>,
    /// The picture as the camera encoded it, if the frame came with that.
    pub(crate) unit: Option<Arc<Unit>>,
}

impl SegmentFrame {
    fn encoded_bytes(&self) -> usize {
        self.encoded.as_ref().map_or(0, |unit| unit.data.len())
    }

    fn unit_bytes(&self) -> usize {
        self.unit.as_ref().map_or(0, |unit| unit.data.len())
    }
}

/// How a segment gets its video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Making {
    /// Its frames are encoded.
    Encode,
    /// The camera's units are copied.
    Copy(Lead),
}

/// A segment that has ended, with all that its file needs.
#[derive(Debug)]
pub(crate) struct EndedSegment {
    /// Its frames in order, at least one.
    pub(crate) frames: Vec<Arc<SegmentFrame>>,
    /// How long each of them is shown, in ticks of [`TIMESCALE`].
    pub(crate) durations: Vec<u32>,
    /// Why it ended.
    pub(crate) ending: Ending,
    /// The video, if it is copied; otherwise it is that of the encoded frames, of which the first is a key frame.
    pub(crate) copy: Option<CopiedVideo>,
    interval: f64,
}

impl EndedSegment {
    /// The segment as an MP4 file.
    ///
    /// # Errors
    /// The samples do not make a file; see [`mp4::Error`].
    pub(crate) fn to_mp4(&self) -> Result<Bytes, mp4::Error> {
        let created = Duration::try_from_secs_f64(self.frames[0].captured).unwrap_or_default();
        let mut file = match (&self.copy, &self.frames[0].unit) {
            (Some(copy), Some(first)) => copy.to_mp4(created, first, &self.durations, self.interval)?,
            _ => self.encoded(created)?,
        };
        let metadata = SegmentMetadata {
            ending: self.ending.as_str().to_owned(),
            frames_lost_before: self.lost_before(),
            frames_lost_within: self.lost_within(),
            copied: self.copy.is_some(),
            frames_hidden: self.hidden() as u64,
        };
        metadata.append_to(&mut file);
        Ok(Bytes::from(file))
    }

    fn encoded(&self, created: Duration) -> Result<Vec<u8>, mp4::Error> {
        let units = self.frames.iter().filter_map(|frame| frame.encoded.as_ref());
        let sets = units.clone().next_back().and_then(|unit| unit.parameter_sets.clone()).unwrap_or_default();
        let samples: Vec<_> = (units.zip(&self.durations))
            .map(|(unit, &duration)| SampleData {
                data: &unit.data,
                key: unit.key,
                duration,
                composition_offset: 0,
            })
            .collect();
        mp4::mux(&sets, created, &samples, None)
    }

    /// Pictures in the file that are not shown.
    pub(crate) fn hidden(&self) -> usize {
        self.copy.as_ref().map_or(0, CopiedVideo::hidden)
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

/// When each frame is shown, in seconds after the first one: at its capture time, and after a leap of the capture time one
/// interval later than the frame before.
fn shown_times(frames: &[Arc<SegmentFrame>], interval: f64) -> Vec<f64> {
    let steps = frames.windows(2).map(|pair| match pair[1].leap {
        true => interval,
        false => pair[1].captured - pair[0].captured,
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
    use msight_media::{Codec, ParameterSets};
    use msight_proto::Head;

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
