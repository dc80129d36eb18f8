//! The video of a copied segment: the camera's own units, with an edit that shows exactly the frames of the segment.
//!
//! ```text
//! presented:   hidden: since the last key frame │ shown: the segment's frames │ hidden: referred to by the last ones
//! edit:                                          └ media_time ─── duration ────┘
//! ```
//!
//! Units are in decoding order, and composition offsets (ISO/IEC 14496-12, 8.6.1.3) put B-frames into their place.

use crate::camera_stream::Unit;
use msight_media::TIMESCALE;
use msight_media::mp4::{self, Edit, SampleData};
use std::sync::Arc;
use std::time::Duration;

/// A longer step between the capture times of two hidden frames means that a clock was set.
const LONGEST_STEP: f64 = 10.0;

/// Units in decoding order, and when each is presented.
#[derive(Debug)]
pub(crate) struct CopiedVideo {
    units: Vec<Arc<Unit>>,
    /// How many are not shown.
    hidden: usize,
}

/// The times of a file's samples, and the part that is shown.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    /// The duration of each sample and its composition offset, in decoding order.
    samples: Vec<(u32, i32)>,
    /// Which of them are presented up to the end of the part that is shown, or after it.
    reaches_end: Vec<bool>,
    edit: Edit,
}

impl Layout {
    /// Whether the sample behind this one reaches the end. GStreamer (qtdemux) ends a file at such a sample if a key frame is
    /// before it, although B-frames follow. It does not if the index leaves out the key frame.
    fn ends_behind(&self, at: usize) -> bool {
        self.reaches_end.get(at + 1).copied().unwrap_or(false) && at + 2 < self.reaches_end.len()
    }
}

impl CopiedVideo {
    /// Of units in decoding order that include all `shown` ones.
    pub(crate) fn new(units: Vec<Arc<Unit>>, shown: usize) -> Self {
        let hidden = units.len().saturating_sub(shown);
        Self { units, hidden }
    }

    /// Pictures in the file that are not shown.
    pub(crate) fn hidden(&self) -> usize {
        self.hidden
    }

    /// The file. `first` is the unit shown first; `durations` are those of the frames that are shown, in ticks; `interval`
    /// is the usual time between frames in seconds.
    ///
    /// # Errors
    /// The units do not make a file; see [`mp4::Error`].
    pub(crate) fn to_mp4(
        &self,
        created: Duration,
        first: &Unit,
        durations: &[u32],
        interval: f64,
    ) -> Result<Vec<u8>, mp4::Error> {
        let key = self.units.first().ok_or_else(|| mp4::Error::Mux("the key frame is missing".into()))?;
        let layout = layout(&self.units, first, durations, interval);
        let samples: Vec<_> = (self.units.iter().zip(&layout.samples).enumerate())
            .map(|(at, (unit, &(duration, composition_offset)))| SampleData {
                data: &unit.data,
                key: unit.key && (at == 0 || !layout.ends_behind(at)),
                duration,
                composition_offset,
            })
            .collect();
        mp4::mux(&key.parameter_sets, created, &samples, Some(layout.edit))
    }
}

/// Places units on a time line on which the shown ones have their `durations`, and the others the distances of their capture
/// times.
fn layout(units: &[Arc<Unit>], first: &Unit, durations: &[u32], interval: f64) -> Layout {
    let scale = f64::from(TIMESCALE.get());
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by_key(|&at| units[at].presentation());
    let lead = order.iter().take_while(|&&at| units[at].presentation() < first.presentation()).count();
    let step = |before: usize, after: usize| -> u64 {
        let seconds = units[after].captured - units[before].captured;
        let seconds = if (0.0..LONGEST_STEP).contains(&seconds) { seconds } else { interval };
        ((seconds * scale).round() as u64).max(1)
    };
    // The duration of each unit, in presentation order.
    let steps: Vec<u64> = (0..order.len())
        .map(|k| match k.checked_sub(lead).and_then(|shown| durations.get(shown)) {
            Some(&duration) => duration.into(),
            None => order.get(k + 1).map_or((interval * scale).round() as u64, |&next| step(order[k], next)),
        })
        .collect();
    let starts: Vec<u64> = steps
        .iter()
        .scan(0, |time, step| {
            let start = *time;
            *time += step;
            Some(start)
        })
        .collect();
    let mut presented = vec![0; units.len()];
    order.iter().zip(&starts).for_each(|(&at, &start)| presented[at] = start);
    // Units are decoded at the same times in another order. All are presented later by as much as one would be too early.
    let delay = starts.iter().zip(&presented).map(|(&decoded, &shown)| decoded.saturating_sub(shown)).max();
    let delay = delay.unwrap_or(0);
    let ticks = |ticks: u64| u32::try_from(ticks).unwrap_or(u32::MAX);
    let offset = |decoded: u64, shown: u64| i32::try_from(shown + delay - decoded).unwrap_or(i32::MAX);
    let shown: u64 = durations.iter().map(|&duration| u64::from(duration)).sum();
    let last = durations.last().copied().map_or(0, u64::from);
    let start = starts.get(lead).copied().unwrap_or(0);
    Layout {
        reaches_end: presented.iter().map(|&time| time + last >= start + shown).collect(),
        samples: (steps.iter().zip(starts.iter().zip(&presented)))
            .map(|(&step, (&decoded, &shown))| (ticks(step), offset(decoded, shown)))
            .collect(),
        edit: Edit { delay: 0, media_time: start + delay, duration: shown },
    }
}

#[cfg(test)]
impl CopiedVideo {
    /// Checks that a player which honours the edit shows these frames for these durations.
    pub(crate) fn check(&self, frames: &[Arc<crate::segment::SegmentFrame>], durations: &[u32]) {
        let unit = |frame: &Arc<crate::segment::SegmentFrame>| Arc::clone(frame.unit.as_ref().unwrap());
        let layout = layout(&self.units, &unit(&frames[0]), durations, 0.1);
        assert!(self.units[0].key);
        let mut decoded = 0;
        let mut presented: Vec<(u64, u64)> = Vec::new();
        for (unit, &(duration, offset)) in self.units.iter().zip(&layout.samples) {
            assert!(offset >= 0);
            presented.push((decoded + u64::try_from(offset).unwrap(), unit.number));
            decoded += u64::from(duration);
        }
        presented.sort_unstable();
        assert!(presented.windows(2).all(|pair| pair[0].0 < pair[1].0), "one picture at a time");
        let Edit { media_time, duration, .. } = layout.edit;
        let shown = presented.iter().filter(|(time, _)| (media_time..media_time + duration).contains(time));
        let shown: Vec<(u64, u64)> = shown.map(|&(time, number)| (time - media_time, number)).collect();
        let mut time = 0;
        let wanted: Vec<(u64, u64)> = (frames.iter().zip(durations))
            .map(|(frame, &duration)| {
                let start = time;
                time += u64::from(duration);
                (start, unit(frame).number)
            })
            .collect();
        assert_eq!(shown, wanted);
        assert_eq!(self.hidden, self.units.len() - frames.len());
    }
}
