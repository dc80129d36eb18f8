//! One track of a description: an `m=` line and the attributes after it.

use std::ops::RangeInclusive;

use super::attributes::Attributes;
use super::encoding::Encoding;
use super::parameters::Parameters;
use super::{sprop, text};
use crate::audio_config;
use crate::track::{Format, Track};

/// The clock rate of video and metadata.
const VIDEO_RATE: u32 = 90_000;
/// Maximum number of payload types of a track that are looked at.
const MAX_PAYLOAD_TYPES: usize = 32;
/// `sizelength` of AAC, bits: 6 in mode AAC-lbr, 13 in AAC-hbr; 0 if a packet is one frame.
const AAC_LENGTH_BITS: RangeInclusive<u32> = 6..=32;
/// Maximum length of a name that is shown, characters.
const MAX_NAME: usize = 40;

/// One track, as the camera describes it.
#[derive(Debug)]
pub(super) struct Media<'a> {
    /// `video`, `audio` or `application`, usually.
    kind: &'a str,
    /// The profile is one of SRTP.
    is_secure: bool,
    /// The payload types of the `m=` line, the preferred one first.
    payload_types: Vec<u8>,
    pub(super) attributes: Attributes<'a>,
}

impl<'a> Media<'a> {
    /// A track without attributes, from what follows `m=`, such as `video 0 RTP/AVP 96`. The port has no meaning in RTSP
    /// (RFC 2326, section C.1.2), and some cameras write a negative one.
    pub(super) fn new(line: &'a str) -> Self {
        let (kind, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        // The fields after the port. The profile is not a number, so only payload types remain.
        let fields = rest.split_whitespace().skip(1);
        let payload_types = fields.filter_map(|field| field.parse().ok());
        Self {
            kind,
            is_secure: rest.to_ascii_uppercase().contains("SAVP"),
            payload_types: distinct(payload_types),
            attributes: Attributes::default(),
        }
    }

    pub(super) fn is_video(&self) -> bool {
        self.kind.eq_ignore_ascii_case("video")
    }

    /// What to call it, such as `audio G726-32`.
    pub(super) fn what(&self) -> String {
        let first = self.payload_types().first().copied();
        let name = match (first.and_then(|payload_type| self.encoding(payload_type)), first) {
            (Some(encoding), _) => text::cut(encoding.name, MAX_NAME),
            (None, Some(number)) => format!("payload type {number}"),
            (None, None) => "without payload type".to_owned(),
        };
        format!("{} {name}", text::cut(self.kind, MAX_NAME))
    }

    /// The track, or why it is left out. `by_client`: its direction is the client's view, as in ONVIF.
    pub(super) fn track(&self, session: &Attributes<'_>, by_client: bool) -> Result<Track, &'static str> {
        if by_client && self.attributes.has("sendonly") {
            return Err("a backchannel: the camera would play what it gets");
        }
        // Some cameras mark the video that they send. ffmpeg ignores the attribute.
        if self.attributes.has("inactive") && !self.is_video() {
            return Err("the camera marks it as inactive");
        }
        // Some cameras write the profile without encrypting anything. SDES, MIKEY and DTLS need one of these.
        let keys = ["crypto", "key-mgmt", "fingerprint"];
        if self.is_secure && keys.into_iter().any(|name| self.attributes.has(name) || session.has(name)) {
            return Err("encrypted (SRTP), which is not supported");
        }
        let payload_types = self.payload_types();
        let mut tracks = payload_types.iter().filter_map(|&payload_type| {
            let encoding = self.encoding(payload_type)?;
            let is_only = payload_types.len() == 1;
            let parameters = Parameters::new(self.attributes.all("fmtp"), payload_type, is_only);
            // Some cameras give static payload types names of their own, such as `G711A`.
            let usual = || Encoding::of_static(payload_type, self.is_video());
            let format = self.format(&encoding, &parameters);
            let (format, clock_rate) = format.or_else(|| self.format(&usual()?, &parameters))?;
            Some(Track { format, payload_type, clock_rate, control: self.attributes.control() })
        });
        tracks.next().ok_or("its encoding is not supported")
    }

    /// The payload types of the `m=` line, or those of the attributes if it has none.
    fn payload_types(&self) -> Vec<u8> {
        if !self.payload_types.is_empty() {
            return self.payload_types.clone();
        }
        let mapped = self.attributes.all("rtpmap").filter_map(|value| Encoding::parse(value)?.0);
        distinct(mapped)
    }

    /// How a payload type is encoded. A single `rtpmap` applies to a single payload type, whatever number it has.
    fn encoding(&self, payload_type: u8) -> Option<Encoding<'a>> {
        let mut all = self.attributes.all("rtpmap").filter_map(Encoding::parse);
        if let Some((_, own)) = all.clone().find(|(number, _)| *number == Some(payload_type)) {
            return Some(own);
        }
        match (all.next(), all.next()) {
            (Some((_, only)), None) if self.payload_types.len() <= 1 => Some(only),
            _ => Encoding::of_static(payload_type, self.is_video()),
        }
    }

    /// The format of an encoding and its clock rate; `None` if it is not supported.
    fn format(&self, encoding: &Encoding<'_>, parameters: &Parameters) -> Option<(Format, u32)> {
        let rate_or = |default| encoding.clock_rate.unwrap_or(default);
        let name = encoding.name.to_ascii_lowercase();
        Some(match name.as_str() {
            "h264" => {
                let sets = sprop::h264(parameters.get("sprop-parameter-sets").into_iter());
                (Format::H264 { sets }, rate_or(VIDEO_RATE))
            }
            "h265" | "hevc" => {
                let names = ["sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets"];
                let sets = sprop::h265(names.into_iter().filter_map(|name| parameters.get(name)));
                let has_decoding_order = parameters.number("sprop-max-don-diff").is_some_and(|diff| diff > 0);
                (Format::H265 { sets, has_decoding_order }, rate_or(VIDEO_RATE))
            }
            "jpeg" => (Format::Jpeg { size: self.attributes.size() }, rate_or(VIDEO_RATE)),
            "mpeg4-generic" => return aac_format(encoding, parameters),
            "mp4a-latm" => {
                let config = parameters.word("config").and_then(audio_config::from_hex);
                let config = config.and_then(|mux| audio_config::from_mux_config(&mux));
                let rate = encoding.clock_rate.or_else(|| audio_config::frequency(config.as_ref()?));
                let rate = rate.unwrap_or(VIDEO_RATE);
                // It must then have one, but some cameras leave it empty.
                let config = config.or_else(|| match parameters.number("cpresent") {
                    Some(0) => audio_config::low_complexity(rate, encoding.channels),
                    _ => None,
                });
                (Format::Latm { config: config.map(audio_config::sets) }, rate)
            }
            "opus" => (Format::Opus, rate_or(48_000)),
            "pcma" => (Format::Pcma, rate_or(8_000)),
            "pcmu" => (Format::Pcmu, rate_or(8_000)),
            "l16" => (Format::L16 { channels: encoding.channels }, rate_or(44_100)),
            // Also its compressed forms, `vnd.onvif.metadata.gzip` and `.exi.onvif`: the units are opaque.
            name if name.starts_with("vnd.onvif.metadata") => (Format::Metadata, rate_or(VIDEO_RATE)),
            _ => return None,
        })
    }
}

/// The first payload types, each of them once.
fn distinct(numbers: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut payload_types = Vec::new();
    for number in numbers.filter(|number| *number < 128) {
        if payload_types.len() == MAX_PAYLOAD_TYPES {
            break;
        }
        if !payload_types.contains(&number) {
            payload_types.push(number);
        }
    }
    payload_types
}

/// AAC in `mpeg4-generic` (RFC 3640, section 3.3), which also carries other codecs.
fn aac_format(encoding: &Encoding<'_>, parameters: &Parameters) -> Option<(Format, u32)> {
    let mode = parameters.word("mode").map(str::to_ascii_lowercase);
    let defaults = match mode.as_deref() {
        Some("aac-lbr") => [6, 2, 2],
        Some(mode) if mode.starts_with("celp") => return None,
        _ => [13, 3, 3],
    };
    let names = ["sizelength", "indexlength", "indexdeltalength"];
    let mut header = defaults;
    for (bits, name) in header.iter_mut().zip(names) {
        let is_possible = |stated: &u32| match name {
            "sizelength" => *stated == 0 || AAC_LENGTH_BITS.contains(stated),
            _ => *stated <= 32,
        };
        if let Some(stated) = parameters.number(name).filter(is_possible) {
            *bits = stated as u8;
        }
    }
    let stated = parameters.word("config").and_then(audio_config::from_hex);
    let rate = encoding.clock_rate.or_else(|| audio_config::frequency(stated.as_ref()?)).unwrap_or(48_000);
    let config = stated.or_else(|| audio_config::low_complexity(rate, encoding.channels));
    Some((Format::Aac { config: config.map(audio_config::sets), header }, rate))
}
