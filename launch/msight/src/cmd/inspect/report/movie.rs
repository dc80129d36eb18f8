//! The report of an MP4 file.

use msight_media::mp4::{Fault, Movie, Track};
use msight_media::{Kind, Timing};

use super::super::hopeless::hopeless;
use super::{Report, TrackReport, bitrate, date};

impl Report {
    /// What an MP4 file has. While a recorder writes it, its end is that of no box.
    /// `former_heads` are the bytes of [`msight_media::mp4::former_heads`].
    pub(in crate::cmd::inspect) fn of_movie(
        source: &str,
        movie: &Movie,
        former_heads: u64,
        is_open: bool,
    ) -> Self {
        let is_fault = |fault: &&Fault| !(is_open && matches!(fault, Fault::CutOff { .. }));
        let faults: Vec<String> = movie.faults.iter().filter(is_fault).map(ToString::to_string).collect();
        let mut report = Self {
            created: movie.created.and_then(date),
            brands: movie.brands.iter().map(|brand| brand.escape_ascii().to_string()).collect(),
            index_first: movie.is_index_first,
            fragmented: movie.is_fragmented,
            fragments: movie.fragments,
            unindexed_bytes: movie.unindexed_bytes().saturating_sub(former_heads),
            segment: movie.metadata.clone(),
            next_step: if faults.is_empty() { None } else { Some(next_step(source, movie)) },
            faults,
            ..Self::new(source, "mp4", movie.length, is_open)
        };
        report.set_tracks(
            movie.tracks.iter().map(|track| (track.format.kind(), of_track(track, &movie.timing(track)))),
        );
        report
    }
}

fn next_step(source: &str, movie: &Movie) -> String {
    match (&movie.tracks[..], hopeless(movie)) {
        ([], _) => {
            "rebuild the index from a whole file of the same camera with a tool such as `untrunc`".to_owned()
        }
        (_, Some(reason)) => format!("nothing can be kept: {reason}"),
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
        track_id: track.id.into(),
        track_type,
        codec: format.codec_string(),
        codec_name: format.codec_name(),
        timescale: format.timescale().get(),
        width,
        height,
        channels: format.channels().filter(|_| is_audio),
        sample_rate: format.sampling_rate().filter(|_| is_audio),
        bytes,
        bitrate: bitrate(bytes, track.tables.duration() as f64 / f64::from(format.timescale().get())),
        samples: track.tables.count(),
        key_frames: track.tables.keys(),
        ..TrackReport::of(timing)
    }
}
