//! The encoder of one sensor: started with the first picture, and again when pictures change or after a failure.

use msight_codec::{EncodeError, Encoder, Quality};
use msight_media::{AccessUnit, Codec, TIMESCALE};
use msight_picture::{Picture, Planes, Scaler};
use tracing::info;

/// Encodes a sensor's pictures.
pub(crate) struct SensorEncoder {
    quality: Quality,
    encoder: Option<Encoder>,
    /// The time of the encoder's first picture.
    start: f64,
    scaler: Scaler,
    scaled: Picture,
    converted: Picture,
}

impl SensorEncoder {
    /// Without an encoder as yet.
    pub(crate) fn new(quality: Quality) -> Self {
        Self {
            quality,
            encoder: None,
            start: 0.0,
            scaler: Scaler::new(),
            scaled: Picture::default(),
            converted: Picture::default(),
        }
    }

    /// Whether the picture continues the stream, or is its first.
    pub(crate) fn continues(&self, picture: &Planes<'_>) -> bool {
        self.encoder.as_ref().is_none_or(|encoder| encoder.fits(picture))
    }

    /// Encodes a picture shown at `time`, as a key frame if `key` is set. A picture that does not
    /// [continue](Self::continues) the stream is scaled and converted to its size and colour. `label` names the sensor in
    /// log lines. Also returns the finest quantiser from now on, if the picture needs a coarser one than was set.
    ///
    /// # Errors
    /// Those of the encoder. [Reset](Self::reset) it then.
    pub(crate) fn encode(
        &mut self,
        picture: Planes<'_>,
        time: f64,
        key: bool,
        label: &str,
    ) -> Result<(AccessUnit, Option<u8>), EncodeError> {
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => {
                let (size, colour) = (picture.size(), picture.colour());
                let encoder = Encoder::new(size, colour, &self.quality)?;
                info!(
                    sensor = label,
                    width = size.width(),
                    height = size.height(),
                    range = ?colour.range,
                    matrix = ?colour.matrix,
                    "encoding H.264"
                );
                self.start = time;
                none.insert(encoder)
            }
        };
        let mut picture = picture;
        if picture.size() != encoder.size() {
            self.scaler.scale(&picture, encoder.size(), &mut self.scaled);
            picture = self.scaled.planes();
        }
        if picture.colour() != encoder.colour() {
            picture.convert_into(encoder.colour(), &mut self.converted);
            picture = self.converted.planes();
        }
        let since_start = time - self.start;
        // A float cast saturates: with a clock that was set back no time has passed.
        let encoded = encoder.encode(picture, (since_start * 1e3) as u64, key)?;
        let unit = AccessUnit {
            codec: Codec::H264,
            data: encoded.data,
            parameter_sets: Some(encoded.parameter_sets),
            pts: (since_start * f64::from(TIMESCALE.get())).round() as i64,
            captured: time,
            key: encoded.key,
            after_loss: false,
            size: None,
        };
        Ok((unit, encoded.coarsened))
    }

    /// Drops the encoder with its memory; the next picture starts a new one.
    pub(crate) fn reset(&mut self) {
        self.encoder = None;
        (self.scaled, self.converted) = (Picture::default(), Picture::default());
    }
}
