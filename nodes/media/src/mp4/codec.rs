//! The names of codecs, and what sample entries say of the samples.

use shiguredo_mp4::boxes::{AudioSampleEntryFields, EsdsBox, Mp4aBox, SampleEntry, VisualSampleEntryFields};
use shiguredo_mp4::{BoxType, Decode, Encode as _, codec_string};

use super::boxes::{child, whole};
use super::format::TrackFormat;
use super::video::visual;
use crate::aac::AudioSpecificConfig;
use crate::access_unit::Kind;

/// Bytes of the fields of pictures in a sample entry (ISO/IEC 14496-12, 12.1.3).
const VISUAL: usize = 78;

/// The codec of pictures as the parameter `codecs` of a media type has it (RFC 6381), from the configuration of the decoder that
/// MP4 has in a box of this type, in a sample entry of that type. `None` if it is damaged.
pub(crate) fn codec_of_configuration(
    entry: [u8; 4],
    configuration: [u8; 4],
    content: &[u8],
) -> Option<String> {
    let fields = visual((0, 0)).encode_to_vec().ok()?;
    let (entry, _) =
        SampleEntry::decode(&whole(entry, &[fields, whole(configuration, content)].concat())).ok()?;
    codec_string::from_sample_entry(&entry).ok()
}

impl TrackFormat {
    /// The codec as the parameter `codecs` of a media type has it (RFC 6381), such as `avc1.640028`; the four characters of a
    /// sample entry for which there is no more.
    #[must_use]
    pub fn codec_string(&self) -> String {
        match (codec_string::from_sample_entry(&self.entry), self.object_type()) {
            (Ok(codec), _) => codec,
            (Err(_), Some(object_type)) => format!("{}.{object_type:02x}", self.entry_type()),
            (Err(_), None) => self.entry_type(),
        }
    }

    /// The codec in words, such as `h264`. `None` for one that is not known.
    #[must_use]
    pub fn codec_name(&self) -> Option<&'static str> {
        Some(match self.entry_type().as_str() {
            "avc1" | "avc2" | "avc3" | "avc4" => "h264",
            "hvc1" | "hev1" | "dvh1" | "dvhe" => "h265",
            "vp08" => "vp8",
            "vp09" => "vp9",
            "av01" => "av1",
            "mp4v" | "mp4a" => match self.object_type()? {
                0x20 => "mpeg4",
                0x40 | 0x66..=0x68 => "aac",
                0x60..=0x65 => "mpeg2",
                0x69 | 0x6b => "mp3",
                0x6a => "mpeg1",
                0x6c => "jpeg",
                _ => return None,
            },
            "jpeg" | "mjpa" | "mjpb" => "jpeg",
            "Opus" => "opus",
            "fLaC" => "flac",
            "ac-3" => "ac3",
            "ec-3" => "eac3",
            "alaw" => "pcma",
            "ulaw" => "pcmu",
            "ipcm" | "fpcm" | "sowt" | "twos" | "lpcm" | "in24" | "in32" => "pcm",
            _ => return None,
        })
    }

    /// Width and height of the pictures as they are encoded, in pixels.
    #[must_use]
    pub fn coded_size(&self) -> Option<(u16, u16)> {
        if self.kind != Kind::Video {
            return None;
        }
        let stated = self.entry.video_resolution().or_else(|| {
            let (fields, _) = VisualSampleEntryFields::decode(self.payload()?).ok()?;
            Some((fields.width, fields.height))
        });
        stated.filter(|(width, height)| *width > 0 && *height > 0).or(self.size)
    }

    /// The number of channels of sound.
    #[must_use]
    pub fn channels(&self) -> Option<u32> {
        let stated = self.sound().map(|sound| sound.channelcount.into());
        match self.aac().and_then(|config| config.channels) {
            Some(channels) => Some(channels.into()),
            None => stated,
        }
    }

    /// Samples of sound a second.
    #[must_use]
    pub fn sampling_rate(&self) -> Option<u32> {
        let stated = self.sound().map(|sound| u32::from(sound.samplerate.integer)).filter(|rate| *rate > 0);
        (self.aac().map(|config| config.sampling_frequency)).or(stated).or_else(|| {
            // A rate that the entry has no place for is that of the clock.
            (self.kind == Kind::Audio).then_some(self.timescale.get())
        })
    }

    /// The four characters of the sample entry.
    fn entry_type(&self) -> String {
        use shiguredo_mp4::BaseBox as _;
        match self.entry.box_type() {
            BoxType::Normal(kind) => kind.escape_ascii().to_string(),
            BoxType::Uuid(_) => "uuid".to_owned(),
        }
    }

    /// What follows the header of an entry that the library has no type for.
    fn payload(&self) -> Option<&[u8]> {
        match &self.entry {
            SampleEntry::Unknown(entry) => Some(&entry.payload),
            _ => None,
        }
    }

    fn sound(&self) -> Option<AudioSampleEntryFields> {
        match &self.entry {
            SampleEntry::Mp4a(entry) => Some(entry.audio.clone()),
            SampleEntry::Opus(entry) => Some(entry.audio.clone()),
            SampleEntry::Flac(entry) => Some(entry.audio.clone()),
            _ if self.kind == Kind::Audio => {
                AudioSampleEntryFields::decode(self.payload()?).ok().map(|(fields, _)| fields)
            }
            _ => None,
        }
    }

    fn aac(&self) -> Option<AudioSpecificConfig> {
        let SampleEntry::Mp4a(Mp4aBox { esds_box, .. }) = &self.entry else { return None };
        let info = esds_box.es.dec_config_descr.dec_specific_info.as_ref()?;
        AudioSpecificConfig::parse(&info.payload)
    }

    /// `objectTypeIndication` of MPEG-4 (ISO/IEC 14496-1, table 5).
    fn object_type(&self) -> Option<u8> {
        let esds = match &self.entry {
            SampleEntry::Mp4a(entry) => {
                return Some(entry.esds_box.es.dec_config_descr.object_type_indication);
            }
            _ => child(self.payload()?.get(VISUAL..)?, *b"esds")?,
        };
        let (found, _) = EsdsBox::decode(&whole(*b"esds", esds)).ok()?;
        Some(found.es.dec_config_descr.object_type_indication)
    }
}
