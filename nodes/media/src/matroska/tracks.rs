//! Reads the list of the tracks (RFC 9559, section 5.1.4).

use super::element::{elements, float, string, unsigned};
use crate::aac::AudioSpecificConfig;
use crate::access_unit::Kind;
use crate::mp4::codec_of_configuration;
use crate::timing::FrameTimes;

/// Most tracks that are read.
const MAX_TRACKS: usize = 64;
/// Ids of elements.
const TRACK_ENTRY: u64 = 0xae;
const TRACK_NUMBER: u64 = 0xd7;
const TRACK_TYPE: u64 = 0x83;
const CODEC_ID: u64 = 0x86;
const CODEC_PRIVATE: u64 = 0x63a2;
const VIDEO: u64 = 0xe0;
const PIXEL_WIDTH: u64 = 0xb0;
const PIXEL_HEIGHT: u64 = 0xba;
const AUDIO: u64 = 0xe1;
const SAMPLING_FREQUENCY: u64 = 0xb5;
const OUTPUT_SAMPLING_FREQUENCY: u64 = 0x78b5;
const CHANNELS: u64 = 0x9f;

/// A track of a file, and what its blocks have.
#[derive(Clone, Debug)]
pub struct TrackInfo {
    /// Its number in the file.
    pub number: u64,
    /// Pictures or sound. A track that has neither is [`Kind::Metadata`].
    pub kind: Kind,
    /// `TrackType`: 1 for video, 2 for audio, 17 for subtitles.
    pub track_type: u64,
    /// The name of the codec in the "Matroska Codec" registry, such as `V_MPEG4/ISO/AVC`.
    pub codec_id: String,
    /// What a decoder needs first.
    configuration: Vec<u8>,
    /// Width and height of the pictures as they are encoded, in pixels.
    pub size: Option<(u16, u16)>,
    /// Samples of sound a second.
    pub sampling_rate: Option<u32>,
    /// The number of channels of sound.
    pub channels: Option<u32>,
    /// The number of frames.
    pub frames: u32,
    /// The number of frames at which decoding can start.
    pub key_frames: u32,
    /// Bytes of the frames.
    pub bytes: u64,
    /// The times of the blocks, in nanoseconds. A block of sound may have several frames.
    pub times: FrameTimes,
}

/// Reads the content of `Tracks`.
pub(super) fn read(tracks: &[u8]) -> Vec<TrackInfo> {
    let entries = elements(tracks).filter(|(id, _)| *id == TRACK_ENTRY);
    entries.take(MAX_TRACKS).filter_map(|(_, entry)| TrackInfo::read(entry)).collect()
}

impl TrackInfo {
    /// Reads an entry. `None` without a number, a type and a codec.
    fn read(entry: &[u8]) -> Option<Self> {
        let field = |wanted: u64| elements(entry).find(|(id, _)| *id == wanted).map(|(_, content)| content);
        let part = |parent: u64, wanted: u64| {
            elements(field(parent)?).find(|(id, _)| *id == wanted).map(|(_, content)| content)
        };
        let track_type = unsigned(field(TRACK_TYPE)?)?;
        let kind = match track_type {
            1 => Kind::Video,
            2 => Kind::Audio,
            _ => Kind::Metadata,
        };
        let side = |id| part(VIDEO, id).and_then(unsigned).and_then(|side| u16::try_from(side).ok());
        let rate = |id| part(AUDIO, id).and_then(float).filter(|rate| (1.0..1e9).contains(rate));
        let is_audio = kind == Kind::Audio;
        // Its defaults are 8 kHz and one channel (5.1.4.1.29).
        let sampling_rate = rate(OUTPUT_SAMPLING_FREQUENCY).or(rate(SAMPLING_FREQUENCY)).unwrap_or(8000.0);
        let channels = part(AUDIO, CHANNELS).and_then(unsigned).unwrap_or(1);
        Some(Self {
            number: unsigned(field(TRACK_NUMBER)?)?,
            kind,
            track_type,
            codec_id: string(field(CODEC_ID)?),
            configuration: field(CODEC_PRIVATE).unwrap_or_default().to_vec(),
            size: side(PIXEL_WIDTH).zip(side(PIXEL_HEIGHT)).filter(|_| kind == Kind::Video),
            sampling_rate: is_audio.then_some(sampling_rate as u32),
            channels: u32::try_from(channels).ok().filter(|_| is_audio),
            frames: 0,
            key_frames: 0,
            bytes: 0,
            times: FrameTimes::default(),
        })
    }

    /// The codec as the parameter `codecs` of a media type has it (RFC 6381), such as `avc1.640028`; the name in the registry
    /// if there is no more.
    #[must_use]
    pub fn codec_string(&self) -> String {
        let configured = |entry, content| codec_of_configuration(entry, content, &self.configuration);
        let known = match self.codec_id.as_str() {
            "V_MPEG4/ISO/AVC" => configured(*b"avc1", *b"avcC"),
            "V_MPEGH/ISO/HEVC" => configured(*b"hvc1", *b"hvcC"),
            "V_AV1" => configured(*b"av01", *b"av1C"),
            "A_AAC" => AudioSpecificConfig::parse(&self.configuration)
                .map(|config| format!("mp4a.40.{}", config.object_type)),
            "A_OPUS" => Some("opus".to_owned()),
            _ => None,
        };
        known.unwrap_or_else(|| self.codec_id.clone())
    }

    /// The codec in words, such as `h264`. `None` for one that is not known.
    #[must_use]
    pub fn codec_name(&self) -> Option<&'static str> {
        Some(match self.codec_id.as_str() {
            "V_MPEG4/ISO/AVC" => "h264",
            "V_MPEGH/ISO/HEVC" => "h265",
            "V_AV1" => "av1",
            "V_VP8" => "vp8",
            "V_VP9" => "vp9",
            "V_MJPEG" => "jpeg",
            "V_MPEG1" => "mpeg1",
            "V_MPEG2" => "mpeg2",
            id if id.starts_with("V_MPEG4/ISO/") => "mpeg4",
            id if id.starts_with("A_AAC") => "aac",
            "A_OPUS" => "opus",
            "A_VORBIS" => "vorbis",
            "A_FLAC" => "flac",
            "A_AC3" => "ac3",
            "A_EAC3" => "eac3",
            "A_MPEG/L2" | "A_MPEG/L3" => "mp3",
            id if id.starts_with("A_PCM/") => "pcm",
            // `wFormatTag` of a WAVEFORMATEX structure (RFC 2361).
            "A_MS/ACM" => match self.configuration.first_chunk().map(|tag| u16::from_le_bytes(*tag))? {
                super::head::WAVE_A_LAW => "pcma",
                super::head::WAVE_MU_LAW => "pcmu",
                _ => return None,
            },
            _ => return None,
        })
    }
}
