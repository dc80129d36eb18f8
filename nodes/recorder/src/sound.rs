//! Sound that players of MP4 refuse becomes AAC.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use msight_audio::{AacEncoder, AacUnit, default_bitrate};
use msight_media::{Codec, Kind, ParameterSets};
use msight_proto::Receipt;
use tracing::warn;

use crate::unit::Unit;

/// `--audio`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AudioMode {
    /// Encode G.711 and L16 as AAC, and keep the rest as the camera sends it
    Aac,
    /// Keep all sound as the camera sends it: players that refuse G.711 play no sound
    Keep,
    /// Record no sound
    None,
}

/// What becomes of a unit.
pub(crate) enum Sound {
    /// These units are recorded, which may be none.
    Units(Vec<Unit>),
    /// The unit is recorded as it is.
    AsItIs(Unit),
    /// No sound is recorded.
    LeftOut,
}

/// Converts the sound of a session, track by track.
#[derive(Default)]
pub(crate) struct SoundConverter {
    session: String,
    /// `None` for a track that cannot be converted.
    tracks: HashMap<String, Option<Track>>,
}

struct Track {
    encoder: AacEncoder,
    sets: Arc<ParameterSets>,
    /// Number of the next unit.
    next: u64,
    /// Units lost before the next one.
    lost: u64,
    /// The latest unit, without its data.
    last: Unit,
}

impl SoundConverter {
    /// What is recorded of a unit.
    pub(crate) fn convert(&mut self, unit: Unit, mode: AudioMode, sensor: &str) -> Sound {
        if unit.kind() != Kind::Audio {
            return Sound::AsItIs(unit);
        }
        if mode == AudioMode::None {
            return Sound::LeftOut;
        }
        if mode == AudioMode::Keep || !matches!(unit.codec, Codec::Pcma | Codec::Pcmu | Codec::L16) {
            return Sound::AsItIs(unit);
        }
        if self.session != unit.session {
            self.session.clone_from(&unit.session);
            self.tracks.clear();
        }
        if !self.tracks.contains_key(&unit.track) {
            let track = Track::new(&unit).inspect_err(|error| {
                warn!(sensor, track = unit.track, "sound kept as the camera sends it: {error}");
            });
            self.tracks.insert(unit.track.clone(), track.ok());
        }
        match self.tracks.get_mut(&unit.track) {
            Some(Some(track)) => match track.convert(&unit) {
                Ok(units) => Sound::Units(units),
                Err(error) => {
                    warn!(sensor, track = unit.track, "sound left out: {error}");
                    Sound::Units(Vec::new())
                }
            },
            _ => Sound::AsItIs(unit),
        }
    }

    /// The sound that is still in the encoders: no more follows for now.
    pub(crate) fn finish(&mut self) -> Vec<Unit> {
        // An encoder that fails at its end has lost less than a tenth of a second.
        self.tracks.values_mut().flatten().flat_map(|track| track.finish().unwrap_or_default()).collect()
    }
}

impl Track {
    fn new(unit: &Unit) -> Result<Self, msight_audio::EncoderError> {
        let (rate, channels) = (unit.rate.get(), unit.channels.unwrap_or(1));
        let channels = u8::try_from(channels).unwrap_or(u8::MAX);
        let encoder = AacEncoder::new(rate, channels, default_bitrate(rate, channels))?;
        let sets = Arc::new(ParameterSets::new(vec![Bytes::copy_from_slice(encoder.config())]));
        Ok(Self { encoder, sets, next: 0, lost: 0, last: without_data(unit) })
    }

    fn convert(&mut self, unit: &Unit) -> Result<Vec<Unit>, msight_audio::EncoderError> {
        let Some(samples) = msight_audio::decode_pcm(unit.codec, &unit.data) else { return Ok(Vec::new()) };
        self.last = without_data(unit);
        self.lost = self.lost.saturating_add(unit.lost_before);
        let encoded = self.encoder.push(&samples, unit.pts)?;
        Ok(self.units(encoded, unit.receipt.as_ref()))
    }

    /// The units of the sound that is still in the encoder.
    fn finish(&mut self) -> Result<Vec<Unit>, msight_audio::EncoderError> {
        let encoded = self.encoder.finish()?;
        Ok(self.units(encoded, None))
    }

    fn units(&mut self, encoded: Vec<AacUnit>, receipt: Option<&Receipt>) -> Vec<Unit> {
        let rate = f64::from(self.last.rate.get());
        let unit = |aac: AacUnit| {
            self.next += 1;
            Unit {
                codec: Codec::Aac,
                key: true,
                pts: aac.pts,
                dts: aac.pts,
                captured: self.last.captured + aac.pts.saturating_sub(self.last.pts) as f64 / rate,
                sequence: self.next - 1,
                lost_before: std::mem::take(&mut self.lost),
                sets: Some(Arc::clone(&self.sets)),
                data: aac.data,
                receipt: receipt.cloned(),
                ..self.last.clone()
            }
        };
        encoded.into_iter().map(unit).collect()
    }
}

fn without_data(unit: &Unit) -> Unit {
    Unit { data: Bytes::new(), receipt: None, ..unit.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::audio;

    #[test]
    fn a_loss_is_told_once() {
        let mut sound = SoundConverter::default();
        let mut lost = 0;
        for number in 0..200 {
            let unit = Unit { lost_before: u64::from(number == 50) * 3, ..audio(number) };
            let Sound::Units(units) = sound.convert(unit, AudioMode::Aac, "gate") else { panic!("G.711") };
            lost += units.iter().map(|unit| unit.lost_before).sum::<u64>();
        }
        assert_eq!(lost, 3);
    }
}
