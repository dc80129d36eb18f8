//! The encoded frames of one sensor that some segment still needs, and the segments cut from them.
//!
//! A frame's duration is known when the next one comes, so a segment is ready one frame after its last.

use crate::ending::Ending;
use crate::mp4::{self, ParameterSets, SampleData, TIMESCALE};
use crate::windows::{WindowSize, Windows};
use bytes::Bytes;
use msight_proto::{Receipt, Sample};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// One encoded frame.
#[derive(Debug)]
pub(crate) struct AccessUnit {
    /// What came with the frame: its head, and the receipt that acknowledges it when the last segment that
    /// shows it is published.
    pub(crate) frame: Sample<()>,
    /// Capture time in seconds since 1970.
    pub(crate) time: f64,
    /// NAL units, each after its length in four bytes.
    pub(crate) data: Bytes,
    /// Whether decoding can start here.
    pub(crate) key: bool,
}

/// A finished segment: everything its file needs.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its frames in order, at least one, the first a key frame.
    pub(crate) units: Vec<Arc<AccessUnit>>,
    /// How long each of them is shown, in ticks of [`TIMESCALE`].
    pub(crate) durations: Vec<u32>,
    /// Why it ended.
    pub(crate) ending: Ending,
    parameter_sets: Arc<ParameterSets>,
}

impl Segment {
    /// The segment as an MP4 file.
    ///
    /// # Errors
    /// The samples do not make a file; see [`mp4::Error`].
    pub(crate) fn to_mp4(&self) -> Result<Bytes, mp4::Error> {
        let created = Duration::try_from_secs_f64(self.units[0].time).unwrap_or_default();
        let samples: Vec<_> = (self.units.iter().zip(&self.durations))
            .map(|(unit, &duration)| SampleData { data: &unit.data, key: unit.key, duration })
            .collect();
        mp4::mux(&self.parameter_sets, created, &samples).map(Bytes::from)
    }

    /// One receipt for all its frames: they are acknowledged when it is dropped, and nothing else needs them.
    /// It does not hold their data.
    pub(crate) fn receipt(&self) -> Receipt {
        let receipts: Vec<_> =
            self.units.iter().filter_map(|unit| unit.frame.clone().take_receipt()).collect();
        Receipt::new(move || drop(receipts))
    }

    /// How long it plays, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.durations.iter().map(|&d| f64::from(d)).sum::<f64>() / f64::from(TIMESCALE.get())
    }
}

/// What decides where segments end and how their frames are timed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// Frames of a segment and of its overlap.
    pub(crate) size: WindowSize,
    /// Compressed bytes at which a segment ends early.
    pub(crate) max_bytes: usize,
    /// Seconds between frames at the target rate.
    pub(crate) interval: f64,
    /// Whether every frame is shown for `interval`, whatever its capture time.
    pub(crate) constant: bool,
}

/// The recording of one sensor.
#[derive(Debug)]
pub(crate) struct Recording {
    cut: Cut,
    windows: Windows,
    units: VecDeque<Arc<AccessUnit>>,
    bytes: usize,
    parameter_sets: Option<Arc<ParameterSets>>,
    /// The segment that ended with the last frame and waits for that frame's duration.
    complete: Option<Ending>,
}

impl Recording {
    /// An empty recording.
    pub(crate) fn new(cut: Cut) -> Self {
        let windows = Windows::new(cut.size);
        Self { cut, windows, units: VecDeque::new(), bytes: 0, parameter_sets: None, complete: None }
    }

    /// Whether a segment begins with the next frame, which therefore has to be a key frame.
    pub(crate) fn next_is_start(&self) -> bool {
        self.windows.next_is_start()
    }

    /// Says that a frame captured at `time` follows. Returns the segment that has waited for it.
    pub(crate) fn advance(&mut self, time: f64) -> Option<Segment> {
        let ending = self.complete.take()?;
        let segment = self.segment(ending, Some(time));
        if ending == Ending::Full {
            self.windows.shorten();
        } else {
            self.windows.flush();
        }
        while self.units.len() > self.windows.held() {
            self.bytes -= self.units.pop_front().map_or(0, |unit| unit.data.len());
        }
        segment
    }

    /// Appends a frame of a stream with these parameter sets. They may differ from the last frame's only when
    /// nothing is open: after [`Recording::flush`].
    pub(crate) fn push(&mut self, unit: AccessUnit, parameter_sets: &Arc<ParameterSets>) {
        self.bytes += unit.data.len();
        self.units.push_back(Arc::new(unit));
        self.parameter_sets = Some(Arc::clone(parameter_sets));
        if self.windows.push().is_some() {
            self.complete = Some(Ending::Full);
        } else if self.bytes >= self.cut.max_bytes {
            self.complete = Some(Ending::Bytes);
        }
    }

    /// Ends what is open. Returns the last segment, if it shows a frame that no other one has shown. `until` is
    /// the time of the frame that follows without a gap; without it the last frame is shown as long as the one
    /// before it.
    pub(crate) fn flush(&mut self, ending: Ending, until: Option<f64>) -> Option<Segment> {
        let complete = self.complete.take();
        let rest = self.windows.flush();
        let segment = match (complete, rest) {
            (Some(earlier), _) => self.segment(earlier, until),
            (None, Some(_)) => self.segment(ending, until),
            (None, None) => None,
        };
        self.units.clear();
        self.bytes = 0;
        segment
    }

    /// All frames held as a segment.
    fn segment(&self, ending: Ending, until: Option<f64>) -> Option<Segment> {
        let parameter_sets = Arc::clone(self.parameter_sets.as_ref()?);
        let units: Vec<_> = self.units.iter().cloned().collect();
        let durations = if self.cut.constant {
            let times: Vec<f64> = (0..units.len()).map(|k| k as f64 * self.cut.interval).collect();
            durations(&times, Some(units.len() as f64 * self.cut.interval), self.cut.interval)
        } else {
            let times: Vec<f64> = units.iter().map(|unit| unit.time).collect();
            durations(&times, until, self.cut.interval)
        };
        Some(Segment { units, durations, ending, parameter_sets })
    }
}

/// The durations of frames shown at increasing `times`, in ticks. Each time is rounded on its own, so that
/// errors do not add up.
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
    use msight_picture::Colour;
    use msight_proto::Head;

    const START: f64 = 1.7e9;

    fn recording(buffer: i64, overlap: i64, max_bytes: usize) -> Recording {
        let size = WindowSize::new(buffer, overlap).unwrap();
        Recording::new(Cut { size, max_bytes, interval: 0.1, constant: false })
    }

    /// Sends frame `k`, captured `k` tenths of a second after the start, and returns the segment it completes.
    fn frame(recording: &mut Recording, k: u32) -> Option<Segment> {
        let time = START + f64::from(k) / 10.0;
        let segment = recording.advance(time);
        let key = recording.next_is_start();
        let frame = Sample::new(Head::new(None, time), ());
        let sets = Arc::new(ParameterSets { sps: vec![], pps: vec![], colour: Colour::VIDEO });
        recording.push(AccessUnit { frame, time, data: Bytes::from_static(&[0; 10]), key }, &sets);
        segment
    }

    fn times(segment: &Segment) -> Vec<u32> {
        segment.units.iter().map(|unit| ((unit.time - START) * 10.0).round() as u32).collect()
    }

    #[test]
    fn a_segment_is_ready_one_frame_after_its_last() {
        let mut recording = recording(3, 1, usize::MAX);
        assert!((0..3).all(|k| frame(&mut recording, k).is_none()));
        let first = frame(&mut recording, 3).unwrap();
        assert_eq!((times(&first), first.ending), (vec![0, 1, 2], Ending::Full));
        assert_eq!(first.durations, [9000, 9000, 9000]);
        assert!(frame(&mut recording, 4).is_none());
        let second = frame(&mut recording, 5).unwrap();
        assert_eq!(times(&second), [2, 3, 4]);
        assert!(second.units[0].key);
        assert!(Arc::ptr_eq(&first.units[2], &second.units[0]), "encoded once, shared by both");
        let rest = recording.flush(Ending::Stop, None).unwrap();
        assert_eq!((times(&rest), rest.ending), (vec![4, 5], Ending::Stop));
        assert!(recording.flush(Ending::Stop, None).is_none());
    }

    #[test]
    fn a_full_segment_that_waits_is_flushed_once_and_its_overlap_is_not() {
        let mut recording = recording(3, 2, usize::MAX);
        (0..3).for_each(|k| assert!(frame(&mut recording, k).is_none()));
        let only = recording.flush(Ending::Idle, None).unwrap();
        assert_eq!((times(&only), only.ending), (vec![0, 1, 2], Ending::Full));
        assert!(recording.flush(Ending::Stop, None).is_none());
        assert!(recording.next_is_start());
    }

    #[test]
    fn bytes_end_a_segment_too() {
        let mut recording = recording(100, 50, 40);
        let segments: Vec<_> = (0..9).filter_map(|k| frame(&mut recording, k)).collect();
        assert_eq!(segments.iter().map(times).collect::<Vec<_>>(), [vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
        assert!(segments.iter().all(|s| s.ending == Ending::Bytes && s.units[0].key));
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
        let mut recording =
            Recording::new(Cut { size, max_bytes: usize::MAX, interval: 1.0 / 7.0, constant: true });
        for k in [0, 50, 20] {
            assert!(frame(&mut recording, k).is_none());
        }
        let segment = frame(&mut recording, 0).unwrap();
        assert_eq!(segment.durations, [12_857, 12_857, 12_857]);
    }
}
