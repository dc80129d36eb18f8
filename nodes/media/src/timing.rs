//! When the frames of a track are shown: their rate, key frames and gaps.

use std::num::NonZeroU32;

use crate::access_unit::Kind;

/// A frame that lasts longer than this many usual ones is a gap.
const GAP: f64 = 2.5;
/// Shortest gap of sound, in seconds: longer than the time between the packets of a network.
const SHORTEST_SOUND_GAP: f64 = 0.04;
/// Most gaps that are listed.
pub(crate) const MAX_GAPS: usize = 1000;

/// A part of the presentation: a part of the track, or a pause. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Where it begins in the presentation.
    pub start: f64,
    /// Where it ends in the presentation.
    pub end: f64,
    /// The composition time in the track at which it begins. `None`: a pause.
    pub media_time: Option<f64>,
}

/// The shortest, mean, usual and longest of several intervals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The shortest one.
    pub min: f64,
    /// Their mean.
    pub mean: f64,
    /// As many are longer as are shorter.
    pub median: f64,
    /// The longest one.
    pub max: f64,
}

/// A frame that lasts much longer than usual. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// Where the frame before the gap begins in the presentation.
    pub start: f64,
    /// From there to the next frame.
    pub duration: f64,
}

/// When the samples of a track are shown. Times are in seconds.
#[derive(Clone, Debug, Default)]
pub struct Timing {
    /// The parts of the presentation, pauses included.
    pub spans: Vec<Span>,
    /// Where the first sample is shown in the presentation.
    pub start: f64,
    /// Where the last one ends.
    pub end: f64,
    /// How long it is shown, without pauses.
    pub duration: f64,
    /// The number of samples that are shown.
    pub shown: u32,
    /// Samples before the first one that is shown.
    pub hidden_before: u32,
    /// Samples between those that are shown.
    pub hidden_between: u32,
    /// Samples after the last one that is shown.
    pub hidden_after: u32,
    /// From a shown sample to the next one.
    pub intervals: Option<Spread>,
    /// From a key frame to the next one.
    pub key_intervals: Option<Spread>,
    /// The same, in frames.
    pub key_distances: Option<Spread>,
    /// The number of gaps.
    pub gap_count: usize,
    /// The first thousand of them.
    pub gaps: Vec<Gap>,
}

impl Timing {
    /// Shown samples a second.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let mean = self.intervals.map(|intervals| intervals.mean);
        let mean = mean.or_else(|| (self.shown > 0).then(|| self.duration / f64::from(self.shown)));
        mean.filter(|mean| *mean > 0.0).map(|mean| 1.0 / mean)
    }

    /// Frames of the kind that are shown at these ticks, in any order, and the key frames by number and time.
    pub(crate) fn set_frames(
        &mut self,
        kind: Kind,
        timescale: NonZeroU32,
        mut shown: Vec<i64>,
        keys: &[(usize, i64)],
    ) {
        shown.sort_unstable();
        self.shown = shown.len() as u32;
        let seconds = |ticks: i64| ticks as f64 / f64::from(timescale.get());
        self.start = shown.first().map_or(self.start, |first| seconds(*first));
        let intervals: Vec<f64> =
            shown.windows(2).map(|pair| seconds(pair[1].saturating_sub(pair[0]))).collect();
        self.intervals = spread(&intervals);
        if let Some(usual) = self.intervals {
            let longest = longest_interval(kind, usual.median);
            let gaps = shown.iter().zip(&intervals).filter(|(_, interval)| **interval > longest);
            gaps.for_each(|(start, interval)| self.gap(seconds(*start), *interval));
        }
        let pairs = || keys.windows(2);
        let times: Vec<f64> = pairs().map(|pair| seconds(pair[1].1.saturating_sub(pair[0].1))).collect();
        let distances: Vec<f64> = pairs().map(|pair| (pair[1].0 - pair[0].0) as f64).collect();
        (self.key_intervals, self.key_distances) = (spread(&times), spread(&distances));
    }

    pub(crate) fn gap(&mut self, start: f64, duration: f64) {
        self.gap_count += 1;
        if self.gaps.len() < MAX_GAPS {
            self.gaps.push(Gap { start, duration });
        }
    }
}

/// The times of frames in a container without edit lists, in the order of the file: all frames are shown.
#[derive(Clone, Debug, Default)]
pub struct FrameTimes {
    /// Ticks.
    times: Vec<i64>,
    /// The key frames, by their number.
    keys: Vec<usize>,
}

impl FrameTimes {
    /// The presentation times in ticks, in the order of the file.
    #[must_use]
    pub fn ticks(&self) -> &[i64] {
        &self.times
    }

    /// Adds a frame with its presentation time in ticks.
    pub fn push(&mut self, time: i64, key: bool) {
        if key {
            self.keys.push(self.times.len());
        }
        self.times.push(time);
    }

    /// The first presentation time in ticks. `None` without frames.
    #[must_use]
    pub fn first(&self) -> Option<i64> {
        self.times.iter().min().copied()
    }

    /// When the frames are shown in a presentation that begins at the tick `origin`. The last frame lasts as long as usual.
    #[must_use]
    pub fn timing(&self, kind: Kind, timescale: NonZeroU32, origin: i64) -> Timing {
        let mut timing = Timing::default();
        let keys = self.keys.iter().filter(|_| kind == Kind::Video);
        let keys: Vec<(usize, i64)> = keys.map(|number| (*number, self.times[*number])).collect();
        let shown: Vec<i64> = self.times.iter().map(|time| time.saturating_sub(origin)).collect();
        let last = shown.iter().max().map_or(0.0, |last| *last as f64 / f64::from(timescale.get()));
        timing.set_frames(kind, timescale, shown, &keys);
        timing.end = last + timing.intervals.map_or(0.0, |intervals| intervals.median);
        timing.duration = timing.end - timing.start;
        timing
    }
}

/// The longest time from one frame to the next that is no gap, in seconds, where `usual` seconds are usual.
pub(crate) fn longest_interval(kind: Kind, usual: f64) -> f64 {
    let shortest = if kind == Kind::Audio { SHORTEST_SOUND_GAP } else { 0.0 };
    (GAP * usual).max(shortest)
}

fn spread(intervals: &[f64]) -> Option<Spread> {
    let mut sorted = intervals.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Some(Spread {
        min: *sorted.first()?,
        mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
        median: sorted[sorted.len() / 2],
        max: *sorted.last()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_container_without_edit_lists_are_timed() {
        let mut frames = FrameTimes::default();
        // 10 frames a second from 5 s on, shown in another order than decoded, and half a second without frames.
        for (time, key) in [(5000, true), (5200, false), (5100, false), (5800, true), (5900, false)] {
            frames.push(time, key);
        }
        let timing = frames.timing(Kind::Video, NonZeroU32::new(1000).unwrap(), 4000);
        assert_eq!((timing.shown, timing.start, timing.end), (5, 1.0, 2.0));
        assert_eq!(timing.gaps, [Gap { start: 1.2, duration: 0.6 }]);
        assert_eq!(timing.key_intervals.map(|keys| keys.mean), Some(0.8));
        assert_eq!(timing.key_distances.map(|keys| keys.mean), Some(3.0));
        assert_eq!(frames.first(), Some(5000));

        let empty = FrameTimes::default();
        let timing = empty.timing(Kind::Audio, NonZeroU32::MIN, 0);
        assert_eq!((empty.first(), timing.shown, timing.end), (None, 0, 0.0));
    }
}
