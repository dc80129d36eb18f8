//! The beginning of a file: its version, room for the list of its parts, its duration, and its tracks.

use webm_iterable::matroska_spec::{Master, MatroskaSpec};
use webm_iterable::{WebmWriter, WriteOptions};

use super::{Error, Patch, SEEK_HEAD, TIMESTAMP_SCALE, Track};
use crate::access_unit::{Codec, Kind};

/// Bytes of the element that states the duration, and of its id and length.
const DURATION: usize = 11;
const VOID_HEADER: usize = 2;
/// Ids of the elements that are written or named as bytes (RFC 9559, section 5.1).
const DURATION_ID: u64 = 0x4489;
const INFO_ID: [u8; 4] = [0x15, 0x49, 0xa9, 0x66];
const TRACKS_ID: [u8; 4] = [0x16, 0x54, 0xae, 0x6b];
const CUES_ID: [u8; 4] = [0x1c, 0x53, 0xbb, 0x6b];
/// `wFormatTag` of G.711 in a `WAVEFORMATEX` structure (RFC 2361).
pub(super) const WAVE_A_LAW: u16 = 6;
pub(super) const WAVE_MU_LAW: u16 = 7;
/// What a decoder of Opus needs before the sound is right after a jump: 80 ms (RFC 7845, section 4.6), in nanoseconds.
const OPUS_PRE_ROLL: u64 = 80_000_000;

/// Where in the file is what changes at its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// The content of the segment. Before it are 8 bytes with its length.
    pub(super) segment: u64,
    seek_head: u64,
    info: u64,
    duration: u64,
    tracks: u64,
}

/// Writes the beginning. The segment stays open.
pub(super) fn write(tracks: &[Track<'_>], elements: &mut WebmWriter<Vec<u8>>) -> Result<Places, Error> {
    let entries = tracks.iter().enumerate().map(|(index, track)| entry(index as u64 + 1, track));
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    elements.write(&MatroskaSpec::Ebml(Master::Full(vec![
        MatroskaSpec::EbmlVersion(1),
        MatroskaSpec::EbmlReadVersion(1),
        MatroskaSpec::EbmlMaxIdLength(4),
        MatroskaSpec::EbmlMaxSizeLength(8),
        MatroskaSpec::DocType("matroska".to_owned()),
        MatroskaSpec::DocTypeVersion(4),
        MatroskaSpec::DocTypeReadVersion(2),
    ])))?;
    elements
        .write_advanced(&MatroskaSpec::Segment(Master::Start), WriteOptions::is_unknown_sized_element())?;
    elements.write(&MatroskaSpec::Void(vec![0; SEEK_HEAD - VOID_HEADER]))?;
    let info = elements.get_ref().len();
    elements.write(&MatroskaSpec::Info(Master::Full(vec![
        MatroskaSpec::TimestampScale(TIMESTAMP_SCALE),
        MatroskaSpec::MuxingApp("msight-rs".to_owned()),
        MatroskaSpec::WritingApp("msight-rs".to_owned()),
        // Room for the duration.
        MatroskaSpec::Void(vec![0; DURATION - VOID_HEADER]),
    ])))?;
    let tracks = elements.get_ref().len();
    elements.write(&MatroskaSpec::Tracks(Master::Full(entries)))?;
    let seek_head = info - SEEK_HEAD;
    Ok(Places {
        segment: seek_head as u64,
        seek_head: seek_head as u64,
        info: info as u64,
        duration: (tracks - DURATION) as u64,
        tracks: tracks as u64,
    })
}

impl Places {
    /// The patches of a finished file of this length. `index`: the place of the cues in the segment. The length of the segment
    /// comes last.
    pub(super) fn patches(
        &self,
        elements: &mut WebmWriter<Vec<u8>>,
        index: Option<u64>,
        duration: f64,
        length: u64,
    ) -> Result<Vec<Patch>, Error> {
        let seek = |id: [u8; 4], place: u64| {
            MatroskaSpec::Seek(Master::Full(vec![
                MatroskaSpec::SeekID(id.to_vec()),
                MatroskaSpec::SeekPosition(place),
            ]))
        };
        let mut parts =
            vec![seek(INFO_ID, self.info - self.segment), seek(TRACKS_ID, self.tracks - self.segment)];
        parts.extend(index.map(|index| seek(CUES_ID, index)));
        elements.write(&MatroskaSpec::SeekHead(Master::Full(parts)))?;
        let rest = SEEK_HEAD - VOID_HEADER - elements.get_ref().len();
        elements.write(&MatroskaSpec::Void(vec![0; rest]))?;
        let seek_head = Patch { offset: self.seek_head, bytes: std::mem::take(elements.get_mut()) };

        elements.write_raw(DURATION_ID, &duration.to_be_bytes())?;
        let duration = Patch { offset: self.duration, bytes: std::mem::take(elements.get_mut()) };

        // A variable-length integer of 8 bytes.
        let size = (length - self.segment) | 1 << 56;
        let length = Patch { offset: self.segment - 8, bytes: size.to_be_bytes().to_vec() };
        Ok(vec![seek_head, duration, length])
    }
}

/// The entry of a track (RFC 9559, section 5.1.4.1; the names of codecs are in the "Matroska Codec" registry).
fn entry(number: u64, track: &Track<'_>) -> Result<MatroskaSpec, Error> {
    let is_video = track.codec.kind() == Kind::Video;
    let rate = track.format.timescale().get();
    let mut elements = vec![
        MatroskaSpec::TrackNumber(number),
        MatroskaSpec::TrackUID(number),
        MatroskaSpec::TrackType(if is_video { 1 } else { 2 }),
        MatroskaSpec::FlagLacing(0),
        MatroskaSpec::Language("und".to_owned()),
    ];
    let (name, configuration) = match track.codec {
        Codec::H264 | Codec::H265 | Codec::Jpeg => {
            let (width, height) = track.format.size().unwrap_or_default();
            elements.push(MatroskaSpec::Video(Master::Full(vec![
                MatroskaSpec::PixelWidth(width.into()),
                MatroskaSpec::PixelHeight(height.into()),
            ])));
            let name = match track.codec {
                Codec::H264 => "V_MPEG4/ISO/AVC",
                Codec::H265 => "V_MPEGH/ISO/HEVC",
                _ => "V_MJPEG",
            };
            (name, track.format.decoder_configuration()?)
        }
        Codec::Aac => ("A_AAC", track.format.decoder_configuration()?),
        Codec::Opus => {
            elements.push(MatroskaSpec::SeekPreRoll(OPUS_PRE_ROLL));
            ("A_OPUS", Some(opus_head(track.channels)))
        }
        Codec::Pcma => ("A_MS/ACM", Some(wave_format(WAVE_A_LAW, track))),
        Codec::Pcmu => ("A_MS/ACM", Some(wave_format(WAVE_MU_LAW, track))),
        Codec::L16 => ("A_PCM/INT/BIG", None),
        Codec::Metadata => return Err(Error::Codec(track.codec)),
    };
    if !is_video {
        let mut audio =
            vec![MatroskaSpec::SamplingFrequency(rate.into()), MatroskaSpec::Channels(track.channels.into())];
        audio.extend((track.codec == Codec::L16).then_some(MatroskaSpec::BitDepth(16)));
        elements.push(MatroskaSpec::Audio(Master::Full(audio)));
    }
    elements.push(MatroskaSpec::CodecID(name.to_owned()));
    elements.extend(configuration.map(MatroskaSpec::CodecPrivate));
    Ok(MatroskaSpec::TrackEntry(Master::Full(elements)))
}

/// The identification header of Opus (RFC 7845, section 5.1). A live stream has been played before: no samples are skipped.
fn opus_head(channels: u32) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels.clamp(1, 2) as u8);
    head.extend(0_u16.to_le_bytes());
    head.extend(48_000_u32.to_le_bytes());
    // Gain and mapping family.
    head.extend([0, 0, 0]);
    head
}

/// `WAVEFORMATEX` of a codec with one byte a sample.
fn wave_format(tag: u16, track: &Track<'_>) -> Vec<u8> {
    let (channels, rate) = (track.channels as u16, track.format.timescale().get());
    let mut format = Vec::with_capacity(18);
    format.extend(tag.to_le_bytes());
    format.extend(channels.to_le_bytes());
    format.extend(rate.to_le_bytes());
    format.extend(rate.saturating_mul(track.channels).to_le_bytes());
    format.extend(channels.to_le_bytes());
    format.extend(8_u16.to_le_bytes());
    format.extend(0_u16.to_le_bytes());
    format
}
