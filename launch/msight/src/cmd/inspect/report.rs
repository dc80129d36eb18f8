//! What is printed of a file, in the names of its JSON.

use jiff::Timestamp;
use msight_media::mp4::{Fault, Movie, Spread, Timing, Track};
use msight_media::{Kind, SegmentMetadata};
use serde::Serialize;

use super::sidecar::{Facts, Sidecar};
use super::ts::{Stream, StreamTrack};

/// What a file has. Times are in seconds.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The file or its URL, without the secrets of the URL.
    pub(super) source: String,
    /// `mp4` or `mpegts`.
    pub(super) format: &'static str,
    pub(super) bytes: u64,
    /// Whether a recorder still writes the file.
    pub(super) open: bool,
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
    /// Bytes of sample data that no track has.
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
    pub(super) track_id: u32,
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
    /// What an MP4 file has. While a recorder writes it, its end is that of no box.
    pub(super) fn of_movie(source: &str, movie: &Movie, is_open: bool) -> Self {
        let timings: Vec<Timing> = movie.tracks.iter().map(|track| movie.timing(track)).collect();
        let start = |kind| {
            let mut tracks = movie.tracks.iter().zip(&timings);
            tracks
                .find(|(track, timing)| track.format.kind() == kind && timing.shown > 0)
                .map(|(_, t)| t.start)
        };
        let audio_offset =
            start(Kind::Audio).zip(start(Kind::Video)).map(|(audio, video)| rounded(audio - video));
        let is_fault = |fault: &&Fault| !(is_open && matches!(fault, Fault::CutOff { .. }));
        let faults: Vec<String> = movie.faults.iter().filter(is_fault).map(ToString::to_string).collect();
        Self {
            source: source.to_owned(),
            format: "mp4",
            bytes: movie.length,
            open: is_open,
            duration: rounded(timings.iter().map(|timing| timing.end).fold(0.0, f64::max)),
            created: movie.created.and_then(|time| {
                Timestamp::from_second(i64::try_from(time.as_secs()).ok()?).ok().map(|time| time.to_string())
            }),
            brands: movie.brands.iter().map(|brand| brand.escape_ascii().to_string()).collect(),
            index_first: movie.is_index_first,
            fragmented: movie.is_fragmented,
            fragments: movie.fragments,
            unindexed_bytes: movie.unindexed_bytes(),
            audio_offset,
            tracks: movie
                .tracks
                .iter()
                .zip(&timings)
                .map(|(track, timing)| of_track(track, timing))
                .collect(),
            segment: movie.metadata.clone(),
            sidecar: None,
            next_step: if faults.is_empty() { None } else { Some(next_step(source, movie)) },
            faults,
        }
    }

    /// What a transport stream has.
    pub(super) fn of_stream(source: &str, bytes: u64, stream: &Stream) -> Self {
        let first = stream.tracks.iter().filter_map(StreamTrack::start).reduce(f64::min).unwrap_or(0.0);
        let start = |is_video| {
            let mut tracks = stream.tracks.iter().filter(|track| track.is_video() == Some(is_video));
            tracks.find_map(StreamTrack::start)
        };
        let tracks: Vec<TrackReport> =
            stream.tracks.iter().map(|track| of_stream_track(track, first)).collect();
        Self {
            source: source.to_owned(),
            format: "mpegts",
            bytes,
            open: false,
            duration: rounded(tracks.iter().map(|track| track.end).fold(0.0, f64::max)),
            created: None,
            brands: vec![],
            index_first: None,
            fragmented: false,
            fragments: 0,
            unindexed_bytes: 0,
            audio_offset: start(false).zip(start(true)).map(|(audio, video)| rounded(audio - video)),
            tracks,
            segment: None,
            sidecar: None,
            next_step: None,
            faults: stream.faults(),
        }
    }

    /// Whether the file is damaged, or is not the one that its sidecar describes.
    pub(super) fn is_damaged(&self) -> bool {
        !self.faults.is_empty() || self.sidecar.as_ref().is_some_and(Sidecar::is_of_another_file)
    }

    /// What a sidecar describes.
    pub(super) fn facts(&self) -> Facts {
        let pictures = self.tracks.iter().find(|track| track.track_type == "video");
        let interval = |track: &TrackReport| track.frame_interval.map_or(0.0, |interval| interval.mean);
        Facts { bytes: self.bytes, pictures: pictures.map(|track| (track.shown, interval(track))) }
    }
}

fn next_step(source: &str, movie: &Movie) -> String {
    match movie.tracks[..] {
        [] => {
            "rebuild the index from a whole file of the same camera with a tool such as `untrunc`".to_owned()
        }
        _ => format!("keep what is whole: msight repair {}", msight_compose::quote(source)),
    }
}

fn of_track(track: &Track, timing: &Timing) -> TrackReport {
    let format = &track.format;
    let track_type = match format.kind() {
        Kind::Metadata => track.handler.escape_ascii().to_string(),
        kind => kind.name().to_owned(),
    };
    let is_audio = format.kind() == Kind::Audio;
    let (width, height) = format.coded_size().unzip();
    let bytes = track.tables.bytes();
    TrackReport {
        track_id: track.id,
        track_type,
        codec: format.codec_string(),
        codec_name: format.codec_name(),
        timescale: format.timescale().get(),
        width,
        height,
        channels: format.channels().filter(|_| is_audio),
        sample_rate: format.sampling_rate().filter(|_| is_audio),
        start: rounded(timing.start),
        end: rounded(timing.end),
        duration: rounded(timing.duration),
        bytes,
        bitrate: bitrate(bytes, track.tables.duration() as f64 / f64::from(format.timescale().get())),
        samples: track.tables.count(),
        shown: timing.shown,
        hidden_before: timing.hidden_before,
        hidden_between: timing.hidden_between,
        hidden_after: timing.hidden_after,
        frame_rate: timing.rate().map(rounded),
        frame_interval: timing.intervals.map(SpreadReport::of),
        key_frames: track.tables.keys(),
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
    }
}

fn of_stream_track(track: &StreamTrack, first: f64) -> TrackReport {
    let start = track.start().map_or(0.0, |start| start - first);
    let end = track.end().map_or(start, |end| end - first);
    let (name, codec) = track.codec();
    let is_video = track.is_video();
    TrackReport {
        track_id: track.pid.into(),
        track_type: match is_video {
            Some(true) => "video".to_owned(),
            Some(false) => "audio".to_owned(),
            None => "data".to_owned(),
        },
        codec,
        codec_name: name,
        timescale: 90_000,
        start: rounded(start),
        end: rounded(end),
        duration: rounded(end - start),
        bytes: track.bytes,
        bitrate: bitrate(track.bytes, end - start),
        samples: track.units,
        shown: track.units,
        frame_rate: track.rate().map(rounded),
        key_frames: track.keys,
        ..TrackReport::default()
    }
}

impl SpreadReport {
    fn of(spread: Spread) -> Self {
        let [min, mean, median, max] = [spread.min, spread.mean, spread.median, spread.max].map(rounded);
        Self { min, mean, median, max }
    }
}

/// Bits a second.
fn bitrate(bytes: u64, seconds: f64) -> Option<u64> {
    (seconds > 0.0).then(|| (bytes as f64 * 8.0 / seconds).round() as u64)
}

/// Seconds, to the microsecond.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}
