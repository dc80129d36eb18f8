//! The tables that list the tracks of the program: PAT and PMT (ISO/IEC 13818-1, section 2.4.4).

use mpeg2ts::es::StreamType;
use mpeg2ts::ts::payload::{Pat, Pmt};
use mpeg2ts::ts::{Descriptor, EsInfo, Pid, ProgramAssociation, TsPayload, VersionNumber};

use super::packets::Packets;
use super::{Error, Track};
use crate::access_unit::{Codec, Kind};

const PROGRAM: u16 = 1;
const PMT_PID: u16 = 0x1000;
const FIRST_TRACK_PID: u16 = 0x100;

/// Tag of a registration descriptor (section 2.6.8).
const REGISTRATION: u8 = 0x05;
/// Tag of a descriptor of DVB with a tag of its own (ETSI EN 300 468, section 6.2.18.1), and that of Opus.
const EXTENSION: u8 = 0x7f;
const OPUS_EXTENSION: u8 = 0x80;

/// The PID of a track.
pub(super) fn pid(track: usize) -> Result<Pid, Error> {
    Ok(Pid::new(FIRST_TRACK_PID + track as u16)?)
}

/// `stream_type` of a codec (table 2-34).
fn stream_type(codec: Codec) -> Option<StreamType> {
    match codec {
        Codec::H264 => Some(StreamType::H264),
        Codec::H265 => Some(StreamType::H265),
        Codec::Aac => Some(StreamType::AdtsAac),
        Codec::Opus => Some(StreamType::Mpeg2PacketizedData),
        Codec::Jpeg | Codec::Pcma | Codec::Pcmu | Codec::L16 | Codec::Metadata => None,
    }
}

/// Both tables. They never change.
#[derive(Debug)]
pub(super) struct Tables {
    pat: TsPayload,
    pmt: TsPayload,
    clock_track: usize,
}

impl Tables {
    pub(super) fn new(tracks: &[Track]) -> Result<Self, Error> {
        let clock_track = tracks.iter().position(|track| track.codec.kind() == Kind::Video).unwrap_or(0);
        let program = ProgramAssociation { program_num: PROGRAM, program_map_pid: Pid::new(PMT_PID)? };
        Ok(Self {
            pat: TsPayload::Pat(Pat {
                transport_stream_id: 1,
                version_number: VersionNumber::new(),
                table: vec![program],
            }),
            pmt: TsPayload::Pmt(Pmt {
                program_num: PROGRAM,
                pcr_pid: Some(pid(clock_track)?),
                version_number: VersionNumber::new(),
                program_info: Vec::new(),
                es_info: (tracks.iter().enumerate())
                    .map(|(index, track)| entry(index, track))
                    .collect::<Result<_, _>>()?,
            }),
            clock_track,
        })
    }

    /// The index of the track whose packets have the clock: the first one of video, or the first one.
    pub(super) fn clock_track(&self) -> usize {
        self.clock_track
    }

    pub(super) fn write(&self, packets: &mut Packets, out: &mut Vec<u8>) -> Result<(), Error> {
        packets.write(Pid::new(Pid::PAT)?, None, Some(self.pat.clone()), out)?;
        packets.write(Pid::new(PMT_PID)?, None, Some(self.pmt.clone()), out)
    }
}

/// The entry of a track in the PMT.
pub(super) fn entry(index: usize, track: &Track) -> Result<EsInfo, Error> {
    let stream_type = stream_type(track.codec).ok_or(Error::Codec(track.codec))?;
    Ok(EsInfo { stream_type, elementary_pid: pid(index)?, descriptors: descriptors(track)? })
}

/// Opus is private data, which only descriptors identify (ETSI TS 103 491, "Opus in MPEG-2 TS").
fn descriptors(track: &Track) -> Result<Vec<Descriptor>, Error> {
    if track.codec != Codec::Opus {
        return Ok(Vec::new());
    }
    let channels = track.channels.unwrap_or(2);
    // channel_config_code: up to two channels, it is their number.
    let code = u8::try_from(channels).ok().filter(|code| matches!(code, 1..=2));
    let code = code.ok_or(Error::Channels { codec: track.codec, channels })?;
    Ok(vec![
        Descriptor { tag: REGISTRATION, data: b"Opus".to_vec() },
        Descriptor { tag: EXTENSION, data: vec![OPUS_EXTENSION, code] },
    ])
}
