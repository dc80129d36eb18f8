//! The container of segments: fragments of MP4, or packets of a transport stream.

use std::time::Duration;

use msight_media::mp4::{self, FragmentTrack, FragmentWriter, TrackRun};
use msight_media::{Kind, TIMESCALE, ts};

use crate::track::Encoding;
use crate::unit::{Unit, rescale};

/// `--container`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Container {
    /// Fragmented MP4 while a segment is open, and MP4 with its index first when it is whole
    Mp4,
    /// MPEG transport stream
    Ts,
}

impl Container {
    /// The extension of its files.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Ts => "ts",
        }
    }

    /// Whether it has a form for a track.
    pub(crate) fn can_carry(self, encoding: &Encoding) -> bool {
        self == Self::Mp4 || ts::can_carry(encoding.codec)
    }
}

/// Writes the container of one segment.
#[derive(Debug)]
pub(crate) enum Muxer {
    Mp4(FragmentWriter),
    Ts { writer: Box<ts::TsWriter>, encodings: Vec<Encoding> },
}

/// Why a segment's bytes cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MuxError {
    #[error(transparent)]
    Mp4(#[from] mp4::Error),
    #[error(transparent)]
    Ts(#[from] ts::Error),
}

/// The beginning of a file.
pub(crate) struct Head<'a> {
    /// Its time of creation, since 1970.
    pub(crate) created: Duration,
    /// Bytes kept free for the index.
    pub(crate) room: u32,
    /// Whole boxes.
    pub(crate) user: &'a [u8],
    /// The composition time of the first picture shown, in ticks of the first video track.
    pub(crate) media_time: u64,
}

impl Muxer {
    /// Begins a file with these tracks; appends its beginning to `out`.
    ///
    /// # Errors
    /// The container has no form for a track.
    pub(crate) fn begin(
        container: Container,
        encodings: &[Encoding],
        head: &Head<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Self, MuxError> {
        if container == Container::Ts {
            let track =
                |encoding: &Encoding| ts::Track { codec: encoding.codec, channels: encoding.channels };
            let tracks: Vec<_> = encodings.iter().map(track).collect();
            return Ok(Self::Ts {
                writer: Box::new(ts::TsWriter::new(&tracks)?),
                encodings: encodings.to_vec(),
            });
        }
        let track = |encoding: &Encoding| FragmentTrack {
            format: encoding.format.clone(),
            media_time: if encoding.kind() == Kind::Video { head.media_time } else { 0 },
        };
        let writer = FragmentWriter::new(encodings.iter().map(track).collect());
        out.extend(writer.head(head.created, head.room, head.user)?);
        Ok(Self::Mp4(writer))
    }

    /// Appends a fragment to `out`, with all data of its samples. `units` are those of the runs.
    ///
    /// # Errors
    /// A unit has no form in the container.
    pub(crate) fn fragment(
        &mut self,
        runs: &[TrackRun],
        units: &[Vec<Unit>],
        out: &mut Vec<u8>,
    ) -> Result<(), MuxError> {
        match self {
            Self::Mp4(writer) => {
                out.extend(writer.fragment(runs)?);
                let samples = runs.iter().flat_map(|run| &run.samples);
                samples.for_each(|sample| out.extend_from_slice(&sample.data));
                Ok(())
            }
            Self::Ts { writer, encodings } => {
                let mut all = Vec::new();
                for (run, units) in runs.iter().zip(units) {
                    let rate = encodings[run.track].rate;
                    let on_clock = |ticks: i64| rescale(ticks, rate, TIMESCALE);
                    let mut time = i64::try_from(run.decode_time).unwrap_or(i64::MAX);
                    for (sample, unit) in run.samples.iter().zip(units) {
                        let pts = on_clock(time.saturating_add(sample.composition_offset.into()));
                        all.push((on_clock(time), pts, run.track, unit));
                        time = time.saturating_add(sample.duration.into());
                    }
                }
                all.sort_by_key(|(dts, ..)| *dts);
                for (dts, pts, track, unit) in all {
                    let unit = ts::Unit {
                        data: &unit.data,
                        parameter_sets: unit.sets.as_deref().filter(|_| unit.key),
                        pts,
                        dts,
                        key: unit.key,
                    };
                    writer.write(track, &unit, out)?;
                }
                Ok(())
            }
        }
    }
}
