//! The encoder of one sensor: made for the first picture, and anew when pictures change or it has failed.

use std::sync::Arc;

use msight_picture::Planes;
use tracing::info;

use crate::encoder::{Encoded, Encoder, Error, Quality};
use crate::mp4::ParameterSets;

/// What encodes a sensor's pictures.
pub(crate) struct Coding {
    quality: Quality,
    encoder: Option<Encoder>,
    /// The time of the encoder's first picture.
    start: f64,
}

impl Coding {
    /// Nothing is encoded yet.
    pub(crate) fn new(quality: Quality) -> Self {
        Self { quality, encoder: None, start: 0.0 }
    }

    /// Whether the picture goes on where the last one was, or is the first.
    pub(crate) fn goes_on(&self, picture: &Planes<'_>) -> bool {
        self.encoder.as_ref().is_none_or(|encoder| encoder.takes(picture))
    }

    /// Encodes a picture shown at `time`, as a key frame if `key` says so, and gives it with the parameter sets of
    /// the stream. `label` names the sensor in log lines.
    ///
    /// # Errors
    /// Those of the encoder, which is to be [reset](Self::reset) then.
    pub(crate) fn encode(
        &mut self,
        picture: Planes<'_>,
        time: f64,
        key: bool,
        label: &str,
    ) -> Result<(Encoded, Arc<ParameterSets>), Error> {
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
        // A float cast saturates: a clock that was set back counts as no time passed.
        let milliseconds = ((time - self.start) * 1e3) as u64;
        let encoded = encoder.encode(picture, milliseconds, key)?;
        let sets = encoder.parameter_sets().ok_or(Error::Output("no parameter sets"))?;
        Ok((encoded, Arc::clone(sets)))
    }

    /// Lets go of the encoder, and of its memory; the next picture begins anew.
    pub(crate) fn reset(&mut self) {
        self.encoder = None;
    }
}
