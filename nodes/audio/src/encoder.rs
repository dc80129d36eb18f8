//! AAC-LC (ISO/IEC 14496-3) from samples, with times that stay with those of the samples.

use bytes::Bytes;
use syom::{EncodeOptions, EncodedFrame};

/// Samples of a unit, in each channel.
pub const FRAME: u32 = 1024;
/// A decoder puts out the samples of a unit one unit later (ISO/IEC 14496-3, section 4.6.11.3.3: each window overlaps with
/// the one before).
const PRIMING: i64 = FRAME as i64;

/// How long gaps and overlaps of the samples may be, in seconds, before the encoder begins anew.
const MAX_MENDED: i64 = 1;
/// Times deviate by up to a hundredth of a second before samples are left out or silence is put in: times of a camera are
/// estimates.
const TOLERANCE: i64 = 100;

/// One unit of AAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AacUnit {
    /// The frame without a header.
    pub data: Bytes,
    /// When the first of the samples that a decoder puts out for this unit is presented, in samples, on the clock of the
    /// times that were pushed. That of the first unit is [`FRAME`] samples before these.
    pub pts: i64,
}

/// Why sound cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// AAC has no such sampling frequency, number of channels or bit rate.
    #[error("cannot encode {channels} channels of {rate} Hz as AAC of {bitrate} bit/s: {reason}")]
    Format {
        /// Samples per second.
        rate: u32,
        /// The number of channels.
        channels: u8,
        /// Bits per second.
        bitrate: u32,
        /// What the encoder says.
        reason: String,
    },
    /// The encoder has failed. It begins anew with the next samples.
    #[error("the AAC encoder failed: {0}")]
    Failed(String),
}

/// A bit rate at which speech of telephones and music of cameras keep their quality: three bits a sample, and at most 64
/// kbit/s in each channel.
#[must_use]
pub fn default_bitrate(rate: u32, channels: u8) -> u32 {
    rate.saturating_mul(3).min(64_000) * u32::from(channels)
}

/// Makes units of AAC-LC out of samples.
///
/// The times of the units follow from the first time and the number of samples. Where the pushed times deviate, a gap is
/// filled with silence, and samples that overlap are left out. After more than a second of either, the encoder ends what it
/// has and begins anew.
pub struct AacEncoder {
    encoder: syom::Encoder,
    rate: i64,
    channels: usize,
    /// Time of the next unit, and of the next sample that is due.
    times: Option<Times>,
    /// One plane for each channel, kept for its memory.
    planes: Vec<Vec<f32>>,
}

#[derive(Clone, Copy)]
struct Times {
    unit: i64,
    sample: i64,
}

impl std::fmt::Debug for AacEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AacEncoder").field("rate", &self.rate).field("channels", &self.channels).finish()
    }
}

impl AacEncoder {
    /// An encoder for sound of `rate` samples a second, in 1 or 2 channels, to `bitrate` bits a second
    /// ([`default_bitrate`]).
    ///
    /// # Errors
    /// AAC has no such rate, number of channels or bit rate.
    pub fn new(rate: u32, channels: u8, bitrate: u32) -> Result<Self, EncoderError> {
        let fault = |reason: String| EncoderError::Format { rate, channels, bitrate, reason };
        if !matches!(channels, 1 | 2) {
            return Err(fault("the encoder has 1 or 2 channels".to_owned()));
        }
        let options = EncodeOptions::raw().with_bitrate_bps(bitrate);
        let encoder =
            syom::Encoder::new(rate, channels.into(), &options).map_err(|e| fault(e.to_string()))?;
        let planes = vec![Vec::new(); channels.into()];
        Ok(Self { encoder, rate: rate.into(), channels: channels.into(), times: None, planes })
    }

    /// The AudioSpecificConfig of all units (ISO/IEC 14496-3, section 1.6.2.1).
    #[must_use]
    pub fn config(&self) -> &[u8] {
        self.encoder.asc()
    }

    /// Encodes samples, of which those of two channels take turns, and returns the units that are complete. `pts` is the
    /// time of the first sample, in samples.
    ///
    /// # Errors
    /// The encoder has failed. It begins anew with the next samples.
    pub fn push(&mut self, samples: &[i16], pts: i64) -> Result<Vec<AacUnit>, EncoderError> {
        let mut units = Vec::new();
        let count = (samples.len() / self.channels) as i64;
        let mut skipped = 0;
        if let Some(due) = self.times.map(|times| times.sample) {
            let gap = pts.saturating_sub(due);
            if gap.saturating_abs() > MAX_MENDED * self.rate {
                units = self.finish()?;
            } else if gap > self.rate / TOLERANCE {
                self.feed(std::iter::repeat_n(0, gap as usize * self.channels), gap, &mut units)?;
            } else if gap < -self.rate / TOLERANCE {
                skipped = count.min(-gap);
            }
        }
        self.times.get_or_insert(Times { unit: pts.saturating_sub(PRIMING), sample: pts });
        let samples = samples.iter().skip(skipped as usize * self.channels).copied();
        self.feed(samples, count - skipped, &mut units)?;
        Ok(units)
    }

    /// Ends the sound: returns the units of the samples that are still in the encoder, the last one filled with silence. The
    /// next samples begin anew.
    ///
    /// # Errors
    /// The encoder has failed. It begins anew with the next samples.
    pub fn finish(&mut self) -> Result<Vec<AacUnit>, EncoderError> {
        let mut units = Vec::new();
        if let Some(mut times) = self.times.take() {
            let end = times.sample;
            let result = self.encoder.finish(|frame| {
                units.push(times.unit(&frame));
                Ok(())
            });
            self.encoder.reset()?;
            result?;
            // The end of the samples may be in the unit before the last one.
            units.retain(|unit| unit.pts < end);
        }
        Ok(units)
    }

    /// `count`: of samples in each channel.
    fn feed(
        &mut self,
        samples: impl Iterator<Item = i16>,
        count: i64,
        units: &mut Vec<AacUnit>,
    ) -> Result<(), EncoderError> {
        let Some(times) = self.times.as_mut() else { return Ok(()) };
        times.sample = times.sample.saturating_add(count);
        self.planes.iter_mut().for_each(Vec::clear);
        for (index, sample) in samples.take(count as usize * self.channels).enumerate() {
            self.planes[index % self.channels].push(f32::from(sample) / 32_768.0);
        }
        let [left, right] = [&self.planes[0][..], self.planes.last().map_or(&[][..], |plane| plane)];
        let result = self.encoder.feed(&[left, right][..self.channels], |frame| {
            units.push(times.unit(&frame));
            Ok(())
        });
        if let Err(error) = result {
            self.times = None;
            self.encoder.reset()?;
            return Err(error.into());
        }
        Ok(())
    }
}

impl Times {
    fn unit(&mut self, frame: &EncodedFrame<'_>) -> AacUnit {
        let pts = self.unit;
        self.unit = pts.saturating_add(FRAME.into());
        AacUnit { data: Bytes::copy_from_slice(frame.payload), pts }
    }
}

impl From<syom::AacError> for EncoderError {
    fn from(error: syom::AacError) -> Self {
        Self::Failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoder() -> AacEncoder {
        AacEncoder::new(8_000, 1, default_bitrate(8_000, 1)).unwrap()
    }

    fn times(units: &[AacUnit]) -> Vec<i64> {
        units.iter().map(|unit| unit.pts).collect()
    }

    #[test]
    fn units_have_the_times_of_the_samples_that_come_out() {
        let mut encoder = encoder();
        assert_eq!(encoder.config(), [0x15, 0x88]);
        assert!(encoder.push(&[5; 1023], 9_000).unwrap().is_empty());
        assert_eq!(times(&encoder.push(&[5; 1], 10_023).unwrap()), [7_976]);
        assert_eq!(times(&encoder.push(&[5; 2500], 10_024).unwrap()), [9_000, 10_024]);
        // 3524 samples, up to 12524.
        assert_eq!(times(&encoder.finish().unwrap()), [11_048, 12_072]);
        assert_eq!(encoder.finish().unwrap(), []);
        assert_eq!(times(&encoder.push(&[5; 1024], 50).unwrap()), [-974]);
        assert_eq!(times(&encoder.finish().unwrap()), [50]);
    }

    #[test]
    fn gaps_are_filled_and_overlaps_left_out() {
        let count = |second: i64, samples: usize| {
            let mut encoder = encoder();
            let mut units = encoder.push(&[5; 1600], 0).unwrap();
            units.extend(encoder.push(&vec![5; samples], second).unwrap());
            units.extend(encoder.finish().unwrap());
            let all = times(&units);
            (all.len(), *all.last().unwrap())
        };
        // Within a hundredth of a second times are not exact.
        for second in [1520, 1600, 1680] {
            assert_eq!(count(second, 448), (3, 1024));
        }
        // 2000 samples of silence; 500 samples that there are already.
        assert_eq!(count(3600, 448), (5, 3072));
        assert_eq!(count(1100, 948), (3, 1024));
        assert_eq!(count(1000, 100), (3, 1024));
        // 8001 samples are more than a second: the encoder begins anew.
        assert_eq!(count(9601, 100), (5, 9601));
        assert_eq!(count(-8_000, 100), (5, -8000));
    }

    #[test]
    fn what_aac_does_not_have_is_an_error() {
        for (rate, channels, bitrate) in
            [(8_001, 1, 24_000), (8_000, 0, 24_000), (8_000, 3, 24_000), (8_000, 1, 0)]
        {
            assert!(matches!(AacEncoder::new(rate, channels, bitrate), Err(EncoderError::Format { .. })));
        }
        for rate in [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000] {
            AacEncoder::new(rate, 2, default_bitrate(rate, 2)).unwrap();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn times_are_one_frame_apart_whatever_the_pieces(
            pieces in prop::collection::vec((0..3_000usize, -80..=80i64), 1..12),
            start: i32,
        ) {
            let mut encoder = encoder();
            let (mut units, mut at) = (Vec::new(), i64::from(start));
            for (samples, jitter) in pieces {
                units.extend(encoder.push(&vec![1; samples], at + jitter).unwrap());
                at += samples as i64;
            }
            units.extend(encoder.finish().unwrap());
            prop_assert!(times(&units).windows(2).all(|pair| pair[1] - pair[0] == i64::from(FRAME)));
            if let (Some(first), Some(last)) = (units.first(), units.last()) {
                prop_assert!((first.pts - i64::from(start) + PRIMING).abs() <= 80);
                prop_assert!((0..=2 * i64::from(FRAME)).contains(&(last.pts + i64::from(FRAME) - at + 160)));
            }
        }
    }
}
