//! Units in the form of a transport stream.

use bytes::Bytes;

use super::{Error, Unit};
use crate::aac::{AudioSpecificConfig, adts_header};
use crate::access_unit::Codec;
use crate::parameter_sets::ParameterSets;
use crate::{h265, nal};

/// `nal_unit_type` of an access unit delimiter, and one for pictures with slices of any type (ITU-T H.264, sections 7.3.2.4
/// and 7.4.2.4; H.265, sections 7.3.2.5 and 7.4.3.5).
const H264_DELIMITER: u8 = 9;
const H264_ANY_PICTURE: [u8; 2] = [0x09, 0xf0];
const H265_DELIMITER: u8 = 35;
const H265_ANY_PICTURE: [u8; 3] = [0x46, 0x01, 0x50];

/// The control header of Opus: its prefix of 11 bits without trim and extension (ETSI TS 103 491, "Opus in MPEG-2 TS").
const OPUS_CONTROL: [u8; 2] = [0x7f, 0xe0];

/// The longest unit of Opus. `PES_packet_length` has 16 bits, and counts a part of the PES header too.
const MAX_AUDIO: usize = u16::MAX as usize - 32;

/// The elementary stream of a track, with the parameter sets that it has at this point.
#[derive(Debug)]
pub(super) struct Elementary {
    codec: Codec,
    sets: ParameterSets,
    audio: Option<AudioSpecificConfig>,
}

impl Elementary {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec, sets: ParameterSets::default(), audio: None }
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// Appends the unit to `out`.
    pub(super) fn convert(&mut self, unit: &Unit<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let changed = unit.parameter_sets.filter(|sets| **sets != self.sets);
        if let Some(sets) = changed {
            self.sets = sets.clone();
            self.audio = sets.all().first().and_then(|config| AudioSpecificConfig::parse(config));
        }
        let size = || Error::Size { codec: self.codec, bytes: unit.data.len() };
        match self.codec {
            Codec::H264 | Codec::H265 => {
                let sets = if unit.key || changed.is_some() { self.sets.all() } else { &[] };
                byte_stream(self.codec == Codec::H264, unit.data, sets, out)
            }
            Codec::Aac => {
                let config = self.audio.as_ref().ok_or(Error::AudioConfig)?;
                let index = config.adts_fields().ok_or(Error::AudioConfig)?;
                out.extend(adts_header(index, unit.data.len()).ok_or_else(size)?);
                out.extend_from_slice(unit.data);
                Ok(())
            }
            Codec::Opus => {
                out.extend(OPUS_CONTROL);
                out.extend(std::iter::repeat_n(0xff, unit.data.len() / 255));
                out.push((unit.data.len() % 255) as u8);
                out.extend_from_slice(unit.data);
                if out.len() > MAX_AUDIO { Err(size()) } else { Ok(()) }
            }
            codec => Err(Error::Codec(codec)),
        }
    }
}

/// A byte stream (annex B) of a delimiter, the parameter sets, and the NAL units of the picture.
fn byte_stream(is_h264: bool, data: &[u8], sets: &[Bytes], out: &mut Vec<u8>) -> Result<(), Error> {
    let is_delimiter = |unit: &&[u8]| {
        unit.first().is_some_and(|&header| match is_h264 {
            true => nal::unit_type(header) == H264_DELIMITER,
            false => h265::unit_type(header) == H265_DELIMITER,
        })
    };
    let total: usize = nal::units(data).map(|unit| nal::LENGTH + unit.len()).sum();
    if total != data.len() {
        return Err(nal::TooLong.into());
    }
    // The delimiter is the first one of its access unit (section 7.4.1.2.3).
    let own = nal::units(data).next().filter(is_delimiter);
    let any_picture: &[u8] = if is_h264 { &H264_ANY_PICTURE } else { &H265_ANY_PICTURE };
    let units = nal::units(data).filter(|unit| !is_delimiter(unit) && !unit.is_empty());
    for unit in
        std::iter::once(own.unwrap_or(any_picture)).chain(sets.iter().map(|set| &set[..])).chain(units)
    {
        out.extend(nal::START_CODE);
        out.extend_from_slice(unit);
    }
    Ok(())
}
