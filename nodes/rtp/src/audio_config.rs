//! The configuration of AAC, in a description or between its frames: AudioSpecificConfig (ISO/IEC 14496-3, section 1.6.2.1)
//! and StreamMuxConfig (section 1.7.3).

use std::sync::Arc;

use bytes::Bytes;
use msight_media::ParameterSets;

/// Sampling frequencies by their index (ISO/IEC 14496-3, table 1.18).
const FREQUENCIES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/// The index before an explicit frequency.
const EXPLICIT: u32 = 15;
/// Maximum length of a configuration, bytes.
const MAX_CONFIG: usize = 256;

/// A configuration in hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect();
    let digits = digits.filter(|digits| (3..=MAX_CONFIG * 2).contains(&digits.len()))?;
    // Some cameras omit the last digit, a zero.
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).unwrap_or(&0)).collect())
}

/// One AudioSpecificConfig as parameter sets.
pub(crate) fn sets(config: Vec<u8>) -> Arc<ParameterSets> {
    Arc::new(ParameterSets::new(vec![Bytes::from(config)]))
}

/// The AudioSpecificConfig of AAC-LC, for a camera that describes only rate and channels.
pub(crate) fn low_complexity(rate: u32, channels: u8) -> Option<Vec<u8>> {
    let index = FREQUENCIES.iter().position(|frequency| *frequency == rate)? as u16;
    let channels = u16::from(channels.min(7));
    Some((2 << 11 | index << 7 | channels << 3).to_be_bytes().to_vec())
}

/// The sampling frequency of an AudioSpecificConfig.
pub(crate) fn frequency(config: &[u8]) -> Option<u32> {
    let mut bits = Bits::new(config);
    object_type(&mut bits)?;
    sampling_frequency(&mut bits)
}

/// Duration of a frame in ticks of a clock. 1024 samples, without a configuration.
pub(crate) fn frame_ticks(config: Option<&ParameterSets>, clock_rate: u32) -> u32 {
    let config = config.and_then(|sets| sets.all().first());
    let Some((samples, rate)) = config.and_then(|config| frame(config)) else { return 1024 };
    (u64::from(samples) * u64::from(clock_rate) / u64::from(rate)) as u32
}

/// Number of samples in a frame, before spectral band replication, and their rate.
fn frame(config: &[u8]) -> Option<(u32, u32)> {
    let mut bits = Bits::new(config);
    let Core { frequency, .. } = core(&mut bits)?;
    let is_short = bits.read(1) == Some(1);
    Some((if is_short { 960 } else { 1024 }, frequency))
}

/// Number of channels of an AudioSpecificConfig; `None` if it does not state one of the standard arrangements of up to 8
/// loudspeakers.
#[must_use]
pub fn channels(config: &[u8]) -> Option<u32> {
    match core(&mut Bits::new(config))?.channels {
        channels @ 1..=6 => Some(channels),
        7 => Some(8),
        _ => None,
    }
}

/// The AudioSpecificConfig of a frame with an ADTS header.
pub(crate) fn of_adts(header: [u8; 4]) -> Vec<u8> {
    let [_, _, third, fourth] = header.map(u16::from);
    let (profile, frequency, channels) = (third >> 6, third >> 2 & 0x0f, (third & 1) << 2 | fourth >> 6);
    ((profile + 1) << 11 | frequency << 7 | channels << 3).to_be_bytes().to_vec()
}

/// A StreamMuxConfig of one program with one layer, which is what cameras have.
pub(crate) struct MuxConfig {
    /// The AudioSpecificConfig.
    pub(crate) config: Vec<u8>,
    /// Number of frames in an element, 64 at most.
    pub(crate) frames: usize,
    version: u32,
}

impl MuxConfig {
    /// Reads up to the end of the AudioSpecificConfig.
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let version = bits.read(1)?;
        if version == 1 {
            let (version_a, _buffer_fullness) = (bits.read(1)?, bits.latm_value()?);
            if version_a == 1 {
                return None;
            }
        }
        // allStreamsSameTimeFraming, numSubFrames, numProgram, numLayer.
        let (_same_time_framing, sub_frames) = (bits.read(1)?, bits.read(6)?);
        if (bits.read(4)?, bits.read(3)?) != (0, 0) {
            return None;
        }
        let length = if version == 1 { bits.latm_value()? } else { config_length(bits.clone())? };
        if length > MAX_CONFIG as u32 * 8 {
            return None;
        }
        let mut config = Vec::new();
        for at in (0..length).step_by(8) {
            let count = (length - at).min(8);
            config.push((bits.read(count)? << (8 - count)) as u8);
        }
        let frames = sub_frames as usize + 1;
        (!config.is_empty()).then_some(Self { config, frames, version })
    }

    /// Reads all of it.
    pub(crate) fn read_whole(bits: &mut Bits<'_>) -> Option<Self> {
        let mux = Self::read(bits)?;
        // frameLengthType 0 is for frames of variable length; then latmBufferFullness.
        if bits.read(3)? != 0 {
            return None;
        }
        bits.read(8)?;
        let has_other_data = bits.read(1)? == 1;
        if has_other_data && mux.version == 1 {
            bits.latm_value()?;
        } else if has_other_data {
            while bits.read(1)? == 1 {
                bits.read(8)?;
            }
            bits.read(8)?;
        }
        let has_checksum = bits.read(1)? == 1;
        if has_checksum {
            bits.read(8)?;
        }
        Some(mux)
    }
}

/// The AudioSpecificConfig in a StreamMuxConfig, whose end may be cut off.
pub(crate) fn from_mux_config(mux: &[u8]) -> Option<Vec<u8>> {
    MuxConfig::read(&mut Bits::new(mux)).map(|mux| mux.config)
}

/// Number of bits of an AudioSpecificConfig whose end only its content states; `None` for object types that cameras do not
/// use.
fn config_length(mut bits: Bits<'_>) -> Option<u32> {
    let start = bits.taken;
    let Core { kind, channels, .. } = core(&mut bits)?;
    // GASpecificConfig (section 4.4.1) of AAC Main, LC, SSR and LTP. Channels of a program config element have no fixed
    // length.
    if !(1..=4).contains(&kind) || channels == 0 {
        return None;
    }
    let (_frame_length, depends_on_core) = (bits.read(1)?, bits.read(1)?);
    if depends_on_core == 1 {
        bits.read(14)?;
    }
    bits.read(1)?;
    Some(bits.taken - start)
}

/// The start of an AudioSpecificConfig, which is the same for all object types.
struct Core {
    /// `audioObjectType` of the core coder.
    kind: u32,
    /// Its sampling frequency, before spectral band replication.
    frequency: u32,
    /// `channelConfiguration`.
    channels: u32,
}

fn core(bits: &mut Bits<'_>) -> Option<Core> {
    let kind = object_type(bits)?;
    let frequency = sampling_frequency(bits)?;
    let channels = bits.read(4)?;
    // Spectral band replication and parametric stereo: another frequency and object type follow.
    let kind = if matches!(kind, 5 | 29) {
        sampling_frequency(bits)?;
        object_type(bits)?
    } else {
        kind
    };
    Some(Core { kind, frequency, channels })
}

fn object_type(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.read(5)? {
        31 => Some(32 + bits.read(6)?),
        kind => Some(kind),
    }
}

fn sampling_frequency(bits: &mut Bits<'_>) -> Option<u32> {
    let index = bits.read(4)?;
    if index == EXPLICIT {
        return bits.read(24).filter(|frequency| *frequency > 0);
    }
    FREQUENCIES.get(index as usize).copied()
}

/// Bits, from the first one.
#[derive(Clone)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    /// Number of bits read so far.
    taken: u32,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, taken: 0 }
    }

    /// The next bits, 32 at most, as a number; `None` after the end.
    pub(crate) fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get((self.taken / 8) as usize)?;
            value = value << 1 | u32::from(byte >> (7 - self.taken % 8) & 1);
            self.taken += 1;
        }
        Some(value)
    }

    /// `LatmGetValue` (section 1.7.3.2): a number of one to four bytes.
    fn latm_value(&mut self) -> Option<u32> {
        let bytes = self.read(2)? + 1;
        self.read(bytes * 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_may_be_cut_and_prefixed() {
        assert_eq!(from_hex("1408"), Some(vec![0x14, 0x08]));
        assert_eq!(from_hex("0x1408"), Some(vec![0x14, 0x08]));
        assert_eq!(from_hex("119"), Some(vec![0x11, 0x90]));
        assert_eq!(from_hex("12Ab56E500").map(|config| config.len()), Some(5));
        assert_eq!(
            [from_hex(""), from_hex("14"), from_hex("14g8"), from_hex(&"0".repeat(600))],
            [const { None }; 4]
        );
    }

    #[test]
    fn frequencies_are_read_and_written() {
        assert_eq!(frequency(&[0x14, 0x08]), Some(16_000));
        assert_eq!(frequency(&[0x11, 0x90]), Some(48_000));
        // 12,288 Hz, written out.
        assert_eq!(frequency(&[0x17, 0x80, 0x18, 0x00, 0x08]), Some(12_288));
        assert_eq!(frequency(&[0x17]), None);
        assert_eq!(low_complexity(16_000, 1), Some(vec![0x14, 0x08]));
        assert_eq!(low_complexity(48_000, 2), Some(vec![0x11, 0x90]));
        assert_eq!(low_complexity(90_000, 2), None);
    }

    #[test]
    fn channels_are_read() {
        // AAC-LC, and 24 kHz with spectral band replication.
        let stereo = [&[0x11, 0x90][..], &[0x2b, 0x11, 0x88, 0x00]];
        assert_eq!(stereo.map(channels), [Some(2); 2]);
        let all: Vec<_> =
            (0..=15).map(|number| channels(&(2u16 << 11 | 3 << 7 | number << 3).to_be_bytes())).collect();
        let known = [None, Some(1), Some(2), Some(3), Some(4), Some(5), Some(6), Some(8)];
        assert_eq!(all, [&known[..], &[None; 8]].concat());
        assert_eq!([channels(&[]), channels(&[0x11])], [None; 2]);
    }

    #[test]
    fn the_configuration_is_taken_out_of_a_stream_mux_config() {
        // AAC-LC with 24 kHz: one channel, two channels.
        assert_eq!(from_mux_config(&[0x40, 0x00, 0x26, 0x10, 0x3f, 0xc0]), Some(vec![0x13, 0x08]));
        assert_eq!(from_mux_config(&[0x40, 0x00, 0x26, 0x20, 0x3f, 0xc0]), Some(vec![0x13, 0x10]));
        // Two programs, and the second version without content.
        assert_eq!(from_mux_config(&[0x40, 0x20, 0x26, 0x20, 0x3f, 0xc0]), None);
        assert_eq!(from_mux_config(&[0x80]), None);
    }
}
