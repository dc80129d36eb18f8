//! A track of a transport stream: what its packets say of it.

use bytes::Bytes;
use msight_media::aac::AudioSpecificConfig;
use msight_media::mp4::TrackFormat;
use msight_media::ts::PresentationTimes;
use msight_media::{Codec, FrameTimes, Kind, ParameterSets, TIMESCALE, Timing, h265, nal};

/// Most bytes of a unit that are searched for what it is, and most units.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADS: u32 = 1000;
/// Most units whose times are kept, of one track: 77 hours of 30 a second.
const MAX_TIMES: u32 = 1 << 23;
/// The sampling rate of Opus.
const OPUS_RATE: u32 = 48_000;

/// A track of a stream.
#[derive(Debug)]
pub(in crate::cmd::inspect) struct StreamTrack {
    pub(in crate::cmd::inspect) pid: u16,
    pub(in crate::cmd::inspect) bytes: u64,
    /// Packets of the elementary stream, which hold a picture, or some frames of sound.
    pub(in crate::cmd::inspect) units: u32,
    /// Those at which decoding can start.
    pub(in crate::cmd::inspect) keys: u32,
    /// Width and height of the pictures.
    pub(in crate::cmd::inspect) size: Option<(u16, u16)>,
    pub(in crate::cmd::inspect) sample_rate: Option<u32>,
    pub(in crate::cmd::inspect) channels: Option<u32>,
    stream_type: u8,
    is_opus: bool,
    codec: Option<String>,
    /// The beginning of the unit that is being read, until it is known what the track is.
    head: Vec<u8>,
    times: FrameTimes,
    presentation: PresentationTimes,
}

impl StreamTrack {
    /// A track of a program's table (2.4.4.8).
    pub(super) fn new(pid: u16, stream_type: u8, descriptors: &[u8]) -> Self {
        // The format identifier of a registration descriptor (2.6.8); "Opus in MPEG-2 TS" has the channels in an extension.
        let is_opus = find(descriptors, 5).is_some_and(|content| content.starts_with(b"Opus"));
        let channels = match find(descriptors, 0x7f) {
            Some([0x80, channels @ 1..=8, ..]) if is_opus => Some(u32::from(*channels)),
            _ => None,
        };
        Self {
            pid,
            bytes: 0,
            units: 0,
            keys: 0,
            size: None,
            sample_rate: is_opus.then_some(OPUS_RATE),
            channels,
            stream_type,
            is_opus,
            codec: None,
            head: Vec::new(),
            times: FrameTimes::default(),
            presentation: PresentationTimes::default(),
        }
    }

    /// Pictures, sound, or neither (table 2-34).
    pub(in crate::cmd::inspect) fn kind(&self) -> Kind {
        match self.stream_type {
            0x01 | 0x02 | 0x10 | 0x1b | 0x24 => Kind::Video,
            0x03 | 0x04 | 0x0f | 0x11 | 0x81 => Kind::Audio,
            0x06 if self.is_opus => Kind::Audio,
            _ => Kind::Metadata,
        }
    }

    /// The codec in words (table 2-34).
    pub(in crate::cmd::inspect) fn codec_name(&self) -> Option<&'static str> {
        Some(match self.stream_type {
            0x01 => "mpeg1",
            0x02 => "mpeg2",
            0x03 | 0x04 => "mp3",
            0x0f | 0x11 => "aac",
            0x10 => "mpeg4",
            0x1b => "h264",
            0x24 => "h265",
            0x81 => "ac3",
            0x06 if self.is_opus => "opus",
            _ => return None,
        })
    }

    /// The codec as RFC 6381 has it, if the units say so; else its name, or the type of the stream.
    pub(in crate::cmd::inspect) fn codec(&self) -> String {
        let name = || self.codec_name().map(str::to_owned);
        let codec = self.codec.clone().or_else(name);
        codec.unwrap_or_else(|| format!("stream type 0x{:02x}", self.stream_type))
    }

    /// The first presentation time, in ticks of 90 kHz.
    pub(in crate::cmd::inspect) fn first(&self) -> Option<i64> {
        self.times.first()
    }

    /// When the units are shown in a presentation that begins at this tick.
    pub(in crate::cmd::inspect) fn timing(&self, origin: i64) -> Timing {
        Timing { shown: self.units, ..self.times.timing(self.kind(), TIMESCALE, origin) }
    }

    /// Adds the payload of a packet.
    pub(super) fn add(&mut self, starts: bool, is_key: bool, payload: &[u8]) {
        if !starts {
            self.bytes += payload.len() as u64;
            self.search(payload);
            return;
        }
        self.describe();
        self.units = self.units.saturating_add(1);
        self.keys = self.keys.saturating_add(is_key.into());
        let header = payload.get(8).map_or(0, |length| 9 + usize::from(*length));
        let content = payload.get(header..).unwrap_or_default();
        self.bytes += content.len() as u64;
        self.search(content);
        let Some(time) = self.presentation.next(payload) else { return };
        if self.units <= MAX_TIMES {
            self.times.push(time, is_key);
        }
    }

    /// Keeps the beginning of a unit, until it is known what the track is.
    fn search(&mut self, content: &[u8]) {
        let is_known = self.codec.is_some() || self.units > MAX_HEADS;
        if !is_known && matches!(self.stream_type, 0x0f | 0x1b | 0x24) {
            let room = MAX_HEAD.saturating_sub(self.head.len());
            self.head.extend_from_slice(&content[..content.len().min(room)]);
        }
    }

    /// Finds what the track is in the beginning of a unit.
    pub(super) fn describe(&mut self) {
        let head = std::mem::take(&mut self.head);
        match self.stream_type {
            0x0f => {
                let Some(config) = AudioSpecificConfig::of_adts_header(&head) else { return };
                self.codec = Some(format!("mp4a.40.{}", config.object_type));
                (self.sample_rate, self.channels) =
                    (Some(config.sampling_frequency), config.channels.map(u32::from));
            }
            0x1b => self.describe_pictures(Codec::H264, &head, |unit| nal::is_sps(unit) || nal::is_pps(unit)),
            0x24 => self.describe_pictures(Codec::H265, &head, |unit| {
                matches!(h265::unit_type(unit[0]), h265::VPS | h265::SPS | h265::PPS)
            }),
            _ => {}
        }
    }

    fn describe_pictures(&mut self, codec: Codec, head: &[u8], is_set: impl Fn(&[u8]) -> bool) {
        let units = nal::annex_b_units(head).filter(|unit| !unit.is_empty() && is_set(unit));
        let sets = ParameterSets::new(units.map(Bytes::copy_from_slice).collect());
        if let Ok(format) = TrackFormat::video(codec, Some(&sets), &[], None) {
            (self.codec, self.size) = (Some(format.codec_string()), format.size());
        }
    }
}

/// The content of the first descriptor with this tag.
fn find(mut descriptors: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [tag, length, rest @ ..] = descriptors {
        let (content, after) = rest.split_at_checked(usize::from(*length))?;
        if *tag == wanted {
            return Some(content);
        }
        descriptors = after;
    }
    None
}
