//! The configuration of AAC (ISO/IEC 14496-3, section 1.6.2.1), and the header of its frames in streams (ADTS, ISO/IEC
//! 13818-7, section 6.2).

use h264_reader::rbsp::{BitRead as _, BitReader, BitReaderError};

/// Sampling frequencies by their index (ISO/IEC 14496-3, table 1.18).
const FREQUENCIES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/// The index before an explicit frequency.
const EXPLICIT: u32 = 15;
/// Object types: spectral band replication, and parametric stereo, around another type.
const SBR: u32 = 5;
const PS: u32 = 29;
/// The object type before six more bits.
const ESCAPE: u32 = 31;
/// Bytes of an ADTS header without checksum.
const ADTS_HEADER: usize = 7;

/// What an AudioSpecificConfig says of the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// The audio object type of the frames, such as 2 for AAC-LC. Of HE-AAC, that of the inner AAC.
    pub object_type: u8,
    /// Samples per second, before spectral band replication.
    pub sampling_frequency: u32,
    /// The number of channels, before parametric stereo. `None` if the frames state it.
    pub channels: Option<u8>,
    /// Samples of a frame, before spectral band replication: 1024 or 960.
    pub frame_samples: u16,
}

impl AudioSpecificConfig {
    /// Reads a configuration. `None` if it is cut off.
    #[must_use]
    pub fn parse(config: &[u8]) -> Option<Self> {
        read(&mut BitReader::new(config)).ok().flatten()
    }

    /// Reads the header of a frame in a stream (ADTS). `None` if the bytes begin with something else.
    #[must_use]
    pub fn of_adts_header(header: &[u8]) -> Option<Self> {
        let [0xff, second, third, fourth, ..] = header else { return None };
        // The rest of the sync word, and a layer of 0.
        if second & 0xf6 != 0xf0 {
            return None;
        }
        let channels = match (third & 1) << 2 | fourth >> 6 {
            0 => None,
            7 => Some(8),
            channels => Some(channels),
        };
        Some(Self {
            object_type: (third >> 6) + 1,
            sampling_frequency: *FREQUENCIES.get(usize::from(third >> 2 & 15))?,
            channels,
            frame_samples: 1024,
        })
    }

    /// The fields of an ADTS header: profile, index of the frequency, channel configuration. `None` if ADTS cannot express
    /// the configuration.
    pub(crate) fn adts_fields(&self) -> Option<AdtsFields> {
        let index = FREQUENCIES.iter().position(|one| *one == self.sampling_frequency)? as u8;
        let channels = match self.channels? {
            8 => 7,
            channels => channels,
        };
        let profile = self.object_type.checked_sub(1).filter(|profile| *profile < 4)?;
        (self.frame_samples == 1024).then_some(AdtsFields { profile, index, channels })
    }
}

/// What ADTS headers of a stream have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdtsFields {
    profile: u8,
    index: u8,
    channels: u8,
}

/// The ADTS header of a frame of this length. `None` if the frame is too long.
pub(crate) fn adts_header(fields: AdtsFields, frame: usize) -> Option<[u8; ADTS_HEADER]> {
    let length = u16::try_from(ADTS_HEADER + frame).ok().filter(|length| *length < 1 << 13)?;
    let AdtsFields { profile, index, channels } = fields;
    Some([
        0xff,
        // MPEG-4, without checksum.
        0xf1,
        profile << 6 | index << 2 | channels >> 2,
        channels << 6 | (length >> 11) as u8,
        (length >> 3) as u8,
        // The fullness of a variable bit rate, and one frame.
        (length << 5) as u8 | 0x1f,
        0xfc,
    ])
}

fn read(bits: &mut BitReader<&[u8]>) -> Result<Option<AudioSpecificConfig>, BitReaderError> {
    let mut object_type = read_object_type(bits)?;
    let sampling_frequency = read_frequency(bits)?;
    let channels = bits.read::<u8>(4, "channelConfiguration")?;
    if matches!(object_type, SBR | PS) {
        read_frequency(bits)?;
        object_type = read_object_type(bits)?;
    }
    let is_short = bits.read::<u8>(1, "frameLengthFlag")? == 1;
    let (Some(sampling_frequency), Ok(object_type)) = (sampling_frequency, u8::try_from(object_type)) else {
        return Ok(None);
    };
    Ok(Some(AudioSpecificConfig {
        object_type,
        sampling_frequency,
        channels: match channels {
            1..=6 => Some(channels),
            7 => Some(8),
            _ => None,
        },
        frame_samples: if is_short { 960 } else { 1024 },
    }))
}

fn read_object_type(bits: &mut BitReader<&[u8]>) -> Result<u32, BitReaderError> {
    match bits.read::<u32>(5, "audioObjectType")? {
        ESCAPE => Ok(32 + bits.read::<u32>(6, "audioObjectTypeExt")?),
        kind => Ok(kind),
    }
}

/// `None` for a reserved index.
fn read_frequency(bits: &mut BitReader<&[u8]>) -> Result<Option<u32>, BitReaderError> {
    match bits.read::<u32>(4, "samplingFrequencyIndex")? {
        EXPLICIT => Ok(Some(bits.read::<u32>(24, "samplingFrequency")?).filter(|frequency| *frequency > 0)),
        index => Ok(FREQUENCIES.get(index as usize).copied()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_read() {
        let read = |config: &[u8]| {
            let AudioSpecificConfig { object_type, sampling_frequency, channels, frame_samples } =
                AudioSpecificConfig::parse(config)?;
            Some((object_type, sampling_frequency, channels, frame_samples))
        };
        assert_eq!(read(&[0x12, 0x10]), Some((2, 44_100, Some(2), 1024)));
        assert_eq!(read(&[0x15, 0x88]), Some((2, 8_000, Some(1), 1024)));
        assert_eq!(read(&[0x11, 0xb8]), Some((2, 48_000, Some(8), 1024)));
        assert_eq!(read(&[0x11, 0x94]), Some((2, 48_000, Some(2), 960)));
        // HE-AAC: 24 kHz, doubled to 48 kHz, around AAC-LC.
        assert_eq!(read(&[0x2b, 0x11, 0x88, 0x00]), Some((2, 24_000, Some(2), 1024)));
        // An explicit frequency.
        let explicit = (2_u64 << 59 | 15 << 55 | 8_000 << 31 | 1 << 27).to_be_bytes();
        assert_eq!(read(&explicit), Some((2, 8_000, Some(1), 1024)));
        assert_eq!((read(&[0x12]), read(&[]), read(&[0x16, 0x90])), (None, None, None));
    }

    #[test]
    fn the_header_is_that_of_iso_13818_7() {
        let fields =
            |config: &[u8]| AudioSpecificConfig::parse(config).and_then(|config| config.adts_fields());
        let stereo = fields(&[0x12, 0x10]).unwrap();
        assert_eq!(adts_header(stereo, 100), Some([0xff, 0xf1, 0x50, 0x80, 0x0d, 0x7f, 0xfc]));
        for config in [&[0x12, 0x10][..], &[0x15, 0x88], &[0x11, 0xb8]] {
            let header = adts_header(fields(config).unwrap(), 100).unwrap();
            assert_eq!(AudioSpecificConfig::of_adts_header(&header), AudioSpecificConfig::parse(config));
        }
        assert_eq!(AudioSpecificConfig::of_adts_header(&[0xff, 0xfb, 0x50, 0x80]), None);
        assert!(adts_header(stereo, 8_184).is_some() && adts_header(stereo, 8_185).is_none());
        // Channels that the frames state, and frames of 960 samples.
        assert!(fields(&[0x12, 0x00]).is_none() && fields(&[0x11, 0x94]).is_none());
    }
}
