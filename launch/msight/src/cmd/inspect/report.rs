//! What is printed of a file, in the names of its JSON.

mod matroska;
mod movie;
mod stream;

use std::time::Duration;

use jiff::Timestamp;
use msight_media::{Kind, SegmentMetadata, Spread, Timing};
use serde::Serialize;

use super::sidecar::{Facts, Sidecar};

/// What a file has. Times are in seconds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// The file or its URL, without the secrets of the URL.
    pub(super) source: String,
    /// `mp4`, `mpegts`, `matroska` or `webm`.
    pub(super) format: String,
    pub(super) bytes: u64,
    /// Whether a recorder still writes the file.
    pub(super) open: bool,
    /// Whether its recorder ended before it finished the file.
    pub(super) unfinished: bool,
    /// The end of the last track.
    pub(super) duration: f64,
    /// When the file was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) brands: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index_first: Option<bool>,
    pub(super) fragmented: bool,
    pub(super) fragments: u32,
    /// Bytes of sample data that no track has, without the heads of former fragments.
    pub(super) unindexed_bytes: u64,
    /// How much later the first sound begins than the first picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) audio_offset: Option<f64>,
    pub(super) tracks: Vec<TrackReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) segment: Option<SegmentMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sidecar: Option<Sidecar>,
    /// What is wrong.
    pub(super) faults: Vec<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_step: Option<String>,
}

/// What a track has.
#[derive(Debug, Default, Serialize)]
pub(super) struct TrackReport {
    pub(super) track_id: u64,
    /// `video`, `audio`, or the handler of another track.
    pub(super) track_type: String,
    /// As RFC 6381 has it, such as `avc1.640028`.
    pub(super) codec: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) codec_name: Option<&'static str>,
    pub(super) timescale: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) width: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) height: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) channels: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sample_rate: Option<u32>,
    /// Where the track begins and ends in the presentation.
    pub(super) start: f64,
    pub(super) end: f64,
    /// How long it is shown, without pauses.
    pub(super) duration: f64,
    pub(super) bytes: u64,
    /// Bits a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bitrate: Option<u64>,
    pub(super) samples: u32,
    /// Samples that are shown.
    pub(super) shown: u32,
    pub(super) hidden_before: u32,
    pub(super) hidden_between: u32,
    pub(super) hidden_after: u32,
    /// Shown samples a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) frame_rate: Option<f64>,
    /// From a shown sample to the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) frame_interval: Option<SpreadReport>,
    pub(super) key_frames: u32,
    /// From a key frame to the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key_frame_interval: Option<SpreadReport>,
    /// The same in frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key_frame_distance: Option<SpreadReport>,
    pub(super) gap_count: usize,
    /// The first of them.
    pub(super) gaps: Vec<GapReport>,
    pub(super) edits: Vec<EditReport>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct SpreadReport {
    pub(super) min: f64,
    pub(super) mean: f64,
    pub(super) median: f64,
    pub(super) max: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct GapReport {
    pub(super) start: f64,
    pub(super) duration: f64,
}

/// A part of the presentation.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct EditReport {
    pub(super) start: f64,
    pub(super) end: f64,
    /// `media` or `pause`.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// Where in the track the part begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) media_time: Option<f64>,
}

impl Report {
    /// A file without tracks.
    fn new(source: &str, format: &str, bytes: u64, is_open: bool) -> Self {
        Self { source: source.to_owned(), format: format.to_owned(), bytes, open: is_open, ..Self::default() }
    }

    /// Adds the tracks, each with the kind of what it has.
    fn set_tracks(&mut self, tracks: impl Iterator<Item = (Kind, TrackReport)>) {
        let tracks: Vec<(Kind, TrackReport)> = tracks.collect();
        let start = |wanted: Kind| {
            let found = tracks.iter().find(|(kind, track)| *kind == wanted && track.shown > 0);
            found.map(|(_, track)| track.start)
        };
        self.audio_offset =
            start(Kind::Audio).zip(start(Kind::Video)).map(|(audio, video)| rounded(audio - video));
        self.tracks = tracks.into_iter().map(|(_, track)| track).collect();
        self.duration = self.tracks.iter().map(|track| track.end).fold(0.0, f64::max);
    }

    /// Notes that no recorder writes the file any more, whose name is that of an unfinished one.
    pub(super) fn set_unfinished(&mut self) {
        self.unfinished = self.format != "mp4" || self.fragmented;
        if !self.unfinished {
            return;
        }
        if self.format == "mp4" && self.tracks.iter().all(|track| track.samples == 0) {
            self.next_step =
                Some("nothing can be kept: its recorder ended before the first fragment".to_owned());
            return;
        }
        let step = match &*self.format {
            "mp4" => {
                format!("make a whole file of it: msight repair {}", msight_compose::quote(&self.source))
            }
            _ => "play it as it is".to_owned(),
        };
        self.next_step =
            Some(format!("start the recorder of this folder again, which finishes the file; or {step}"));
    }

    /// Whether the file is damaged, or is not the one that its sidecar describes.
    pub(super) fn is_damaged(&self) -> bool {
        !self.faults.is_empty() || self.sidecar.as_ref().is_some_and(Sidecar::is_of_another_file)
    }

    /// Whether an index is missing that files of this format have.
    pub(super) fn has_no_index(&self) -> bool {
        matches!(&*self.format, "matroska" | "webm") && self.index_first.is_none()
    }

    /// What a sidecar describes.
    pub(super) fn facts(&self) -> Facts {
        let pictures = self.tracks.iter().find(|track| track.track_type == "video");
        let interval = |track: &TrackReport| track.frame_interval.map_or(0.0, |interval| interval.mean);
        Facts {
            bytes: self.bytes,
            pictures: pictures.map(|track| (track.shown, interval(track))),
            // Only the recorder writes sidecars beside other files than MP4.
            copied: self.format != "mp4" || self.segment.as_ref().is_some_and(|segment| segment.copied),
        }
    }
}

impl TrackReport {
    /// When the samples of a track are shown.
    fn of(timing: &Timing) -> Self {
        Self {
            start: rounded(timing.start),
            end: rounded(timing.end),
            duration: rounded(timing.duration),
            shown: timing.shown,
            hidden_before: timing.hidden_before,
            hidden_between: timing.hidden_between,
            hidden_after: timing.hidden_after,
            frame_rate: timing.rate().map(rounded),
            frame_interval: timing.intervals.map(SpreadReport::of),
            key_frame_interval: timing.key_intervals.map(SpreadReport::of),
            key_frame_distance: timing.key_distances.map(SpreadReport::of),
            gap_count: timing.gap_count,
            gaps: (timing.gaps.iter())
                .map(|gap| GapReport { start: rounded(gap.start), duration: rounded(gap.duration) })
                .collect(),
            edits: (timing.spans.iter())
                .map(|span| EditReport {
                    start: rounded(span.start),
                    end: rounded(span.end),
                    kind: if span.media_time.is_some() { "media" } else { "pause" },
                    media_time: span.media_time.map(rounded),
                })
                .collect(),
            ..Self::default()
        }
    }
}

impl SpreadReport {
    fn of(spread: Spread) -> Self {
        let [min, mean, median, max] = [spread.min, spread.mean, spread.median, spread.max].map(rounded);
        Self { min, mean, median, max }
    }
}

/// Whether so many bytes of a file may be samples that were lost.
pub(super) fn is_much(unindexed: u64, bytes: u64) -> bool {
    unindexed > bytes / 50
}

/// Bits a second.
fn bitrate(bytes: u64, seconds: f64) -> Option<u64> {
    (seconds > 0.0).then(|| (bytes as f64 * 8.0 / seconds).round() as u64)
}

/// Seconds, to the microsecond.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// When a file was made, of the time since 1970.
fn date(since: Duration) -> Option<String> {
    let time = Timestamp::from_second(i64::try_from(since.as_secs()).ok()?).ok()?;
    Some(time.to_string())
}
