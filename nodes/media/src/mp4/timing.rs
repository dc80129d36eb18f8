//! When the samples of a track are shown, and those that its edit list hides.

use super::movie::rescale;
use super::read::Movie;
use super::tables::SampleTables;
use super::track::Track;
use crate::access_unit::Kind;
use crate::timing::{MAX_GAPS, Span, Spread, Timing, longest_interval};

/// Most pictures of a track that are looked at: 77 hours of 30 a second.
const MAX_PICTURES: usize = 1 << 23;

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
        self.set_frames(Kind::Video, track.format.timescale, shown, &keys);
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
        let longest = longest_interval(Kind::Audio, seconds(usual.median));
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

#[cfg(test)]
mod tests;
