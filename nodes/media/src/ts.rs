//! MPEG transport streams (ISO/IEC 13818-1, ITU-T H.222.0) of one program: H.264, H.265, AAC and Opus.
//!
//! A [`TsWriter`] turns each unit into whole packets of [`PACKET`] bytes, which are appended to the file. Nothing that is
//! written changes later, so the file plays at any moment, and after a crash up to its [`whole_length`].
//!
//! - The tables (PAT and PMT) are at the start, before each key frame, and at least once a second.
//! - H.264 and H.265 are byte streams (annex B): each access unit begins with a delimiter, and key frames have their parameter
//!   sets. AAC has ADTS headers, and Opus the control headers of "Opus in MPEG-2 TS" (ETSI TS 103 491).
//! - The clock (PCR) is at most 100 ms apart, also between pictures that are further apart. After a gap of more than
//!   10 s it jumps.

mod elementary;
mod error;
mod packets;
mod tables;
#[cfg(test)]
mod tests;
mod times;
mod whole;

pub use error::Error;
pub use times::PresentationTimes;
pub use whole::whole_length;

use mpeg2ts::es::StreamId;

use crate::aac::AudioSpecificConfig;
use crate::access_unit::{Codec, Kind};
use crate::parameter_sets::ParameterSets;
use elementary::Elementary;
use packets::{Packets, Pes};
use tables::Tables;

pub use crate::unit::Unit;

/// Bytes of a packet.
pub const PACKET: usize = mpeg2ts::ts::TsPacket::SIZE;

/// Added to all times of a stream, in ticks of 90 kHz: 10 s, as HTTP Live Streaming tools do. So the clock and the first
/// decoding times, which are before the first picture, are not negative.
pub const TIME_OFFSET: i64 = 10 * SECOND;

const SECOND: i64 = 90_000;
/// The clock is this much before the decoding time of what follows it: the time that a decoder has to receive a unit, and
/// by which one track may lag behind another.
const CLOCK_LEAD: i64 = SECOND * 7 / 10;
/// The longest time between two tables.
const TABLES_EVERY: i64 = SECOND;
/// Tracks of a stream: the stream ids of video are 16 (table 2-22).
const MAX_TRACKS: usize = 16;

/// One track of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// How its units are encoded; [`can_carry`] tells what is possible.
    pub codec: Codec,
    /// The number of channels of Opus, which is 1 or 2. `None`: 2. The units of AAC state their own.
    pub channels: Option<u32>,
}

/// Whether a transport stream has a form for a track with these parameter sets that players know. AAC needs an
/// AudioSpecificConfig that an ADTS header can express, and Opus at most two channels.
#[must_use]
pub fn can_carry(track: &Track, sets: Option<&ParameterSets>) -> bool {
    let has_header = || {
        let config = sets.and_then(|sets| sets.all().first());
        config.and_then(|config| AudioSpecificConfig::parse(config)?.adts_fields()).is_some()
    };
    tables::entry(0, track).is_ok() && (track.codec != Codec::Aac || has_header())
}

/// Writes a transport stream, unit by unit, in the order of decoding times across all tracks.
#[derive(Debug)]
pub struct TsWriter {
    tracks: Vec<TrackState>,
    /// The index of the track whose packets have the clock: the first one of video, or the first one.
    clock_track: usize,
    packets: Packets,
    tables: Tables,
    /// The clock at the last tables.
    tables_at: Option<i64>,
    /// The unit in the form of the stream, kept for its memory.
    payload: Vec<u8>,
}

#[derive(Debug)]
struct TrackState {
    elementary: Elementary,
    stream_id: StreamId,
    pid: mpeg2ts::ts::Pid,
}

impl TsWriter {
    /// A stream with these tracks.
    ///
    /// # Errors
    /// A transport stream has no form for a codec, there are more than two channels of Opus, or the number of tracks is not
    /// 1 to 16.
    pub fn new(tracks: &[Track]) -> Result<Self, Error> {
        if !(1..=MAX_TRACKS).contains(&tracks.len()) {
            return Err(Error::Tracks(tracks.len()));
        }
        let tables = Tables::new(tracks)?;
        let state = |(index, track): (usize, &Track)| -> Result<_, Error> {
            let kind = track.codec.kind();
            let number = tracks[..index].iter().filter(|other| other.codec.kind() == kind).count() as u8;
            let stream_id = match track.codec {
                Codec::Opus => StreamId::new(StreamId::PRIVATE_STREAM_1),
                _ if kind == Kind::Video => StreamId::new_video(StreamId::VIDEO_MIN + number)?,
                _ => StreamId::new_audio(StreamId::AUDIO_MIN + number)?,
            };
            Ok(TrackState { elementary: Elementary::new(track.codec), stream_id, pid: tables::pid(index)? })
        };
        let tracks: Vec<_> = tracks.iter().enumerate().map(state).collect::<Result<_, _>>()?;
        let clock_track = tables.clock_track();
        let packets = Packets::new(tracks[clock_track].pid);
        Ok(Self { tracks, clock_track, packets, tables, tables_at: None, payload: Vec::new() })
    }

    /// Appends the packets of a unit to `out`, and returns how many bytes they are. [`TIME_OFFSET`] is added to its times. AAC
    /// needs its parameter sets in the first unit. Units come in the order of decoding
    /// times, of all tracks within 0.7 s.
    ///
    /// # Errors
    /// The unit is malformed, or larger than its track can carry. Nothing is then appended, and the next unit can follow.
    pub fn write(&mut self, track: usize, unit: &Unit<'_>, out: &mut Vec<u8>) -> Result<usize, Error> {
        let state = self.tracks.get_mut(track).ok_or(Error::NoTrack(track))?;
        self.payload.clear();
        state.elementary.convert(unit, &mut self.payload)?;
        let is_video = state.elementary.codec().kind() == Kind::Video;
        let pes = Pes::new(state.pid, state.stream_id, unit, &self.payload)?;

        let start = out.len();
        let clock = unit.dts.saturating_add(TIME_OFFSET - CLOCK_LEAD);
        let is_due = self.tables_at.is_none_or(|last| clock.saturating_sub(last) >= TABLES_EVERY);
        if is_due || (is_video && unit.key) {
            self.tables.write(&mut self.packets, out)?;
            self.tables_at = Some(clock);
        }
        let clock = self.packets.advance_clock(clock, track == self.clock_track, out)?;
        self.packets.write_pes(&pes, clock, is_video && unit.key, out)?;
        Ok(out.len() - start)
    }
}
