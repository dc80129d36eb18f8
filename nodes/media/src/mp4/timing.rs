//! When the samples of a track are shown: rates, gaps, key frames, and samples that edits hide.

use super::movie::rescale;
use super::read::Movie;
use super::tables::SampleTables;
use super::track::Track;
use crate::access_unit::Kind;

/// A frame that lasts longer than this many usual ones is a gap.
const GAP: f64 = 2.5;
/// Shortest gap of sound, in seconds: longer than the time between the packets of a network.
const SHORTEST_SOUND_GAP: f64 = 0.04;
/// Most pictures of a track that are looked at: 77 hours of 30 a second.
const MAX_PICTURES: usize = 1 << 23;
/// Most gaps that are listed.
const MAX_GAPS: usize = 1000;

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
}

/// A [`Span`] in ticks of the track.
#[derive(Clone, Copy)]
struct Ticks {
    start: u64,
    duration: u64,
    media_time: Option<u64>,
}

impl Ticks {
    /// Where a sample of this composition time is shown, if this part shows it.
    fn shown_at(&self, time: i64) -> Option<i64> {
        let since = time.checked_sub_unsigned(self.media_time?)?;
        (u64::try_from(since).ok()? < self.duration).then(|| since.saturating_add_unsigned(self.start))
    }
}

impl Movie {
    /// When the samples of a track of this movie are shown.
    #[must_use]
    pub fn timing(&self, track: &Track) -> Timing {
        let spans = self.spans(track);
        let seconds = |ticks: u64| ticks as f64 / f64::from(track.format.timescale().get());
        let mut timing = Timing {
            spans: (spans.iter())
                .map(|span| Span {
                    start: seconds(span.start),
                    end: seconds(span.start.saturating_add(span.duration)),
                    media_time: span.media_time.map(seconds),
                })
                .collect(),
            ..Timing::default()
        };
        let media = || timing.spans.iter().filter(|span| span.media_time.is_some());
        timing.start = media().next().map_or(0.0, |span| span.start);
        timing.end = media().next_back().map_or(timing.start, |span| span.end);
        timing.duration = media().map(|span| span.end - span.start).sum();
        match track.format.kind {
            Kind::Video => timing.set_pictures(track, &spans),
            Kind::Audio | Kind::Metadata => timing.set_runs(track, &spans),
        }
        timing
    }

    /// The parts of the presentation in ticks of the track.
    fn spans(&self, track: &Track) -> Vec<Ticks> {
        let timescale = track.format.timescale;
        let media = track.tables.composition_end();
        let begun = self.tracks.iter().filter_map(|other| {
            other.decode_time.map(|time| rescale(time, other.format.timescale, timescale))
        });
        let delay = track.decode_time.unwrap_or(0).saturating_sub(begun.min().unwrap_or(0));
        let mut start = delay;
        let mut spans: Vec<Ticks> = Vec::new();
        if delay > 0 {
            spans.push(Ticks { start: 0, duration: delay, media_time: None });
        }
        for edit in &track.edits {
            let left = edit.media_time.map(|time| media.saturating_sub(time));
            let duration = match rescale(edit.duration, self.timescale, timescale) {
                0 if self.is_fragmented => left.unwrap_or(0),
                // Rounding to the ticks of the movie may lengthen it.
                duration => duration.min(left.unwrap_or(duration)),
            };
            spans.push(Ticks { start, duration, media_time: edit.media_time });
            start = start.saturating_add(duration);
        }
        if track.edits.is_empty() {
            spans.push(Ticks { start, duration: media, media_time: Some(0) });
        }
        spans
    }
}

impl Timing {
    /// Pictures, which may be shown in another order than they are decoded.
    fn set_pictures(&mut self, track: &Track, spans: &[Ticks]) {
        let timescale = track.format.timescale;
        let first = spans.iter().filter_map(|span| span.media_time).min().unwrap_or(0);
        let (mut shown, mut keys) = (Vec::new(), Vec::new());
        let mut decoded = 0_i64;
        for (number, sample) in track.tables.samples().enumerate().take(MAX_PICTURES) {
            let time = decoded.saturating_add(sample.composition_offset.into());
            decoded = decoded.saturating_add(sample.duration.into());
            if sample.key {
                keys.push((number, time));
            }
            match spans.iter().find_map(|span| span.shown_at(time)) {
                Some(at) => shown.push(at),
                None if u64::try_from(time).map_or(true, |time| time < first) => self.hidden_before += 1,
                None if spans.iter().any(|span| is_after(time, span)) => self.hidden_between += 1,
                None => self.hidden_after += 1,
            }
        }
        shown.sort_unstable();
        self.shown = shown.len() as u32;
        let seconds = |ticks: i64| ticks as f64 / f64::from(timescale.get());
        self.start = shown.first().map_or(self.start, |first| seconds(*first));
        let intervals: Vec<f64> = shown.windows(2).map(|pair| seconds(pair[1] - pair[0])).collect();
        self.intervals = spread(&intervals);
        if let Some(usual) = self.intervals {
            let gaps = shown.iter().zip(&intervals).filter(|(_, interval)| **interval > GAP * usual.median);
            gaps.for_each(|(start, interval)| self.gap(seconds(*start), *interval));
        }
        let pairs = || keys.windows(2);
        let times: Vec<f64> = pairs().map(|pair| seconds(pair[1].1.saturating_sub(pair[0].1))).collect();
        let distances: Vec<f64> = pairs().map(|pair| (pair[1].0 - pair[0].0) as f64).collect();
        (self.key_intervals, self.key_distances) = (spread(&times), spread(&distances));
    }

    /// Sound, of which equal samples are counted and not looked at one by one.
    fn set_runs(&mut self, track: &Track, spans: &[Ticks]) {
        let tables = &track.tables;
        let media = || spans.iter().filter_map(|span| Some((span, span.media_time?)));
        let first = media().map(|(_, time)| time).min().unwrap_or(0);
        let last = media().map(|(span, time)| time.saturating_add(span.duration)).max().unwrap_or(0);
        self.hidden_before = ended_by(tables, first);
        self.hidden_after = tables
            .count()
            .saturating_sub(begun_before(tables, last))
            .min(tables.count() - self.hidden_before);
        self.shown = tables.count() - self.hidden_before - self.hidden_after;

        let seconds = |ticks: f64| ticks / f64::from(track.format.timescale.get());
        let Some(usual) = weighted(tables) else { return };
        self.intervals = Some(Spread {
            min: seconds(usual.min),
            mean: seconds(usual.mean),
            median: seconds(usual.median),
            max: seconds(usual.max),
        });
        let longest = (GAP * seconds(usual.median)).max(SHORTEST_SOUND_GAP);
        let mut time = 0_u64;
        for (count, duration) in tables.durations() {
            let length = seconds(duration.into());
            if length > longest {
                let starts = (0..u64::from(count).min(MAX_GAPS as u64))
                    .map(|n| time.saturating_add(n * u64::from(duration)));
                starts.for_each(|start| {
                    let shown = spans.iter().find_map(|span| span.shown_at(start.cast_signed()));
                    self.gap(seconds(shown.unwrap_or(start.cast_signed()) as f64), length);
                });
            }
            time = time.saturating_add(u64::from(count).saturating_mul(duration.into()));
        }
    }

    fn gap(&mut self, start: f64, duration: f64) {
        self.gap_count += 1;
        if self.gaps.len() < MAX_GAPS {
            self.gaps.push(Gap { start, duration });
        }
    }
}

/// Whether a part that follows in the track begins after this time.
fn is_after(time: i64, span: &Ticks) -> bool {
    span.media_time.is_some_and(|begins| u64::try_from(time).is_ok_and(|time| begins > time))
}

/// The number of samples that end at this time or before.
fn ended_by(tables: &SampleTables, time: u64) -> u32 {
    let (mut left, mut ended) = (time, 0);
    for (count, duration) in tables.durations() {
        let whole = left.checked_div(duration.into()).map_or(count, |whole| whole.min(count.into()) as u32);
        ended += whole;
        left -= u64::from(whole) * u64::from(duration);
        if whole < count {
            break;
        }
    }
    ended
}

/// The number of samples that begin before this time.
fn begun_before(tables: &SampleTables, time: u64) -> u32 {
    let (mut left, mut begun) = (time, 0);
    for (count, duration) in tables.durations() {
        if left == 0 {
            break;
        }
        let some = left.checked_next_multiple_of(u64::from(duration).max(1)).unwrap_or(u64::MAX);
        let some = some.checked_div(duration.into()).map_or(count, |some| some.min(count.into()) as u32);
        begun += some;
        left = left.saturating_sub(u64::from(some) * u64::from(duration));
    }
    begun
}

/// The durations of the samples, in ticks.
fn weighted(tables: &SampleTables) -> Option<Spread> {
    let mut runs: Vec<(u32, u32)> = tables.durations().map(|(count, duration)| (duration, count)).collect();
    runs.sort_unstable();
    let (min, max) = (runs.first()?.0, runs.last()?.0);
    let mut half = u64::from(tables.count()) / 2;
    let median = runs.iter().find(|(_, count)| {
        let is_here = half < u64::from(*count);
        half = half.saturating_sub(u64::from(*count));
        is_here
    });
    Some(Spread {
        min: min.into(),
        mean: tables.duration() as f64 / f64::from(tables.count()),
        median: median.map_or(max, |(duration, _)| *duration).into(),
        max: max.into(),
    })
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
mod tests;
