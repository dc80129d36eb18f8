//! The container of segments: fragments of MP4, packets of a transport stream, or clusters of Matroska.

use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use msight_media::mp4::{self, FragmentTrack, FragmentWriter, TrackRun};
use msight_media::{Kind, matroska, ts};

use crate::interleave::in_decoding_order;
use crate::track::Encoding;
use crate::unit::Unit;

/// `--container`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Container {
    /// Fragmented MP4 while a segment is open, and MP4 with its index first when it is whole
    Mp4,
    /// MPEG transport stream
    Ts,
    /// Matroska
    Mkv,
}

impl Container {
    /// The extension of its files.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Ts => "ts",
            Self::Mkv => "mkv",
        }
    }

    /// Whether it has a form for a track.
    pub(crate) fn can_carry(self, encoding: &Encoding) -> bool {
        match self {
            Self::Mp4 => true,
            Self::Ts => ts::can_carry(&stream_track(encoding), encoding.sets.as_deref()),
            Self::Mkv => matroska::can_carry(encoding.codec),
        }
    }
}

/// Writes the container of one segment.
#[derive(Debug)]
pub(crate) enum Muxer {
    Mp4(FragmentWriter),
    Ts(Box<ts::TsWriter>, Interleaved),
    Mkv(Box<matroska::MatroskaWriter>, Interleaved),
}

/// A container without runs of tracks.
#[derive(Debug)]
pub(crate) struct Interleaved {
    encodings: Vec<Encoding>,
    /// The composition time of the first picture shown.
    media_time: i64,
}

/// Why a segment's bytes cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MuxError {
    #[error(transparent)]
    Mp4(#[from] mp4::Error),
    #[error(transparent)]
    Ts(#[from] ts::Error),
    #[error(transparent)]
    Matroska(#[from] matroska::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
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
        let interleaved = || Interleaved {
            encodings: encodings.to_vec(),
            media_time: i64::try_from(head.media_time).unwrap_or(0),
        };
        match container {
            Container::Mp4 => {
                let track = |encoding: &Encoding| FragmentTrack {
                    format: encoding.format.clone(),
                    media_time: if encoding.kind() == Kind::Video { head.media_time } else { 0 },
                };
                let writer = FragmentWriter::new(encodings.iter().map(track).collect());
                out.extend(writer.head(head.created, head.room, head.user)?);
                Ok(Self::Mp4(writer))
            }
            Container::Ts => {
                let tracks: Vec<_> = encodings.iter().map(stream_track).collect();
                Ok(Self::Ts(Box::new(ts::TsWriter::new(&tracks)?), interleaved()))
            }
            Container::Mkv => {
                let tracks: Vec<_> = (encodings.iter())
                    .map(|Encoding { codec, format, channels, .. }| matroska::Track {
                        codec: *codec,
                        format,
                        channels: channels.unwrap_or(1),
                    })
                    .collect();
                Ok(Self::Mkv(Box::new(matroska::MatroskaWriter::new(&tracks, out)?), interleaved()))
            }
        }
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
            Self::Ts(writer, Interleaved { encodings, media_time }) => {
                for (track, unit) in in_decoding_order(runs, units, encodings, *media_time) {
                    writer.write(track, &unit, out)?;
                }
                Ok(())
            }
            Self::Mkv(writer, Interleaved { encodings, media_time }) => {
                for (track, unit) in in_decoding_order(runs, units, encodings, *media_time) {
                    writer.write(track, &unit, out)?;
                }
                writer.flush(out)?;
                Ok(())
            }
        }
    }

    /// Ends a file of these many bytes that is not MP4, which has an index of its own. Returns how many bytes it has then.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn finish(self, file: &mut (impl Write + Seek), length: u64) -> Result<u64, MuxError> {
        let Self::Mkv(writer, _) = self else { return Ok(length) };
        let mut rest = Vec::new();
        let patches = writer.finish(&mut rest)?;
        file.seek(SeekFrom::Start(length))?;
        file.write_all(&rest)?;
        for patch in patches {
            file.seek(SeekFrom::Start(patch.offset))?;
            file.write_all(&patch.bytes)?;
        }
        Ok(length + rest.len() as u64)
    }
}

fn stream_track(encoding: &Encoding) -> ts::Track {
    ts::Track { codec: encoding.codec, channels: encoding.channels }
}
