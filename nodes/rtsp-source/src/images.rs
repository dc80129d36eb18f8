//! From planes, in a decoder's memory, to the body of a message.

use msight_picture::{DecodedImages, Error, JpegEncoder, Picture, Planes, Scaler, WireForm};
use msight_proto::ImageData;

/// Makes messages of a stream's pictures.
pub(crate) struct Images {
    form: Form,
    resize: Option<f64>,
    scaler: Scaler,
    scaled: Picture,
}

enum Form {
    Jpeg(JpegEncoder),
    Raw,
    HandedOver(DecodedImages),
}

impl Images {
    /// Of this form, width and height multiplied by `resize`. What is handed over, to other nodes of the process,
    /// has that form only for those who ask for bytes.
    ///
    /// # Errors
    /// The quality is out of range, or there is no memory.
    pub(crate) fn new(wire: WireForm, handed_over: bool, resize: Option<f64>) -> Result<Self, Error> {
        let form = match wire {
            wire if handed_over => Form::HandedOver(DecodedImages::new(wire)?),
            WireForm::Jpeg(quality) => Form::Jpeg(JpegEncoder::new(quality)?),
            WireForm::Raw => Form::Raw,
        };
        Ok(Self { form, resize, scaler: Scaler::new(), scaled: Picture::default() })
    }

    /// The message of one picture.
    ///
    /// # Errors
    /// No picture is left by the resizing, or there is no memory.
    pub(crate) fn message(&mut self, planes: &Planes<'_>) -> Result<ImageData, Error> {
        let size = self.resize.map_or(Ok(planes.size()), |ratio| planes.size().scaled(ratio))?;
        if let Form::HandedOver(images) = &self.form {
            // A copy where nothing is scaled: with the next frame the decoder's memory is its own again.
            let mut picture = images.picture();
            self.scaler.scale(planes, size, &mut picture);
            return Ok(images.message(picture));
        }
        let mut planes = *planes;
        if size != planes.size() {
            self.scaler.scale(&planes, size, &mut self.scaled);
            planes = self.scaled.planes();
        }
        match &mut self.form {
            Form::Jpeg(encoder) => encoder.encode_image(&planes),
            _ => Ok(planes.to_raw_image()),
        }
    }
}
