//! The report of an MPEG transport stream.

use msight_media::{Kind, TIMESCALE};

use super::{Report, TrackReport, bitrate};
use crate::cmd::inspect::ts::{Stream, StreamTrack};

impl Report {
    /// What a transport stream has.
    pub(in crate::cmd::inspect) fn of_stream(
        source: &str,
        bytes: u64,
        stream: &Stream,
        is_open: bool,
    ) -> Self {
        let mut report =
            Self { faults: stream.faults(is_open), ..Self::new(source, "mpegts", bytes, is_open) };
        let origin = stream.tracks.iter().filter_map(StreamTrack::first).min().unwrap_or(0);
        report.set_tracks(stream.tracks.iter().map(|track| (track.kind(), of_track(track, origin))));
        report
    }
}

fn of_track(track: &StreamTrack, origin: i64) -> TrackReport {
    let timing = track.timing(origin);
    let (width, height) = track.size.unzip();
    TrackReport {
        track_id: track.pid.into(),
        track_type: match track.kind() {
            Kind::Metadata => "data".to_owned(),
            kind => kind.name().to_owned(),
        },
        codec: track.codec(),
        codec_name: track.codec_name(),
        timescale: TIMESCALE.get(),
        width,
        height,
        channels: track.channels,
        sample_rate: track.sample_rate,
        bytes: track.bytes,
        bitrate: bitrate(track.bytes, timing.duration),
        samples: track.units,
        key_frames: track.keys,
        ..TrackReport::of(&timing)
    }
}
