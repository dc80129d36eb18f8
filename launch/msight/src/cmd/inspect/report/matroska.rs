//! The report of a Matroska or WebM file.

use msight_media::Kind;
use msight_media::matroska::{Fault, MatroskaFile, TrackInfo};

use super::{Report, TrackReport, bitrate, date};

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

impl Report {
    /// What a Matroska or WebM file has. While a recorder writes it, its last cluster is cut off.
    pub(in crate::cmd::inspect) fn of_matroska(source: &str, file: &MatroskaFile, is_open: bool) -> Self {
        let format = if file.doc_type == "webm" { "webm" } else { "matroska" };
        let is_fault = |fault: &&Fault| !(is_open && matches!(fault, Fault::CutOff { .. }));
        let mut report = Self {
            created: file.created.and_then(date),
            index_first: file.is_index_first,
            faults: file.faults.iter().filter(is_fault).map(ToString::to_string).collect(),
            ..Self::new(source, format, file.length, is_open)
        };
        report.set_tracks(file.tracks.iter().map(|track| (track.kind, of_track(file, track))));
        report
    }
}

fn of_track(file: &MatroskaFile, track: &TrackInfo) -> TrackReport {
    let timing = file.timing(track);
    let (width, height) = track.size.unzip();
    TrackReport {
        track_id: track.number,
        track_type: match (track.kind, track.track_type) {
            (Kind::Metadata, 17) => "subtitle".to_owned(),
            (Kind::Metadata, _) => "data".to_owned(),
            (kind, _) => kind.name().to_owned(),
        },
        codec: track.codec_string(),
        codec_name: track.codec_name(),
        timescale: u32::try_from(SECOND / file.timestamp_scale).unwrap_or(u32::MAX),
        width,
        height,
        channels: track.channels,
        sample_rate: track.sampling_rate,
        bytes: track.bytes,
        bitrate: bitrate(track.bytes, timing.duration),
        samples: track.frames,
        shown: track.frames,
        key_frames: track.key_frames,
        ..TrackReport::of(&timing)
    }
}
