use msight_proto::ImageData;

use crate::{DecodedImages, Error, JpegEncoder, Picture, Planes, Scaler, WireForm};

/// Makes messages from the pictures of a stream: scales them, then encodes them. The counterpart of
/// [`ImageDecoder`](crate::ImageDecoder).
pub struct ImageEncoder {
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

impl ImageEncoder {
    /// Messages in this form, with width and height multiplied by `resize`. With `handed_over`, a message for other
    /// nodes of this process holds the picture itself and is encoded only if a node needs its bytes.
    ///
    /// # Errors
    /// The quality is out of range, or memory is exhausted.
    pub fn new(wire: WireForm, handed_over: bool, resize: Option<f64>) -> Result<Self, Error> {
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
    /// Resizing leaves no picture, or memory is exhausted.
    pub fn encode(&mut self, planes: &Planes<'_>) -> Result<ImageData, Error> {
        let size = self.resize.map_or(Ok(planes.size()), |ratio| planes.size().scaled(ratio))?;
        if let Form::HandedOver(images) = &self.form {
            // Copies the picture if the size stays, because a decoder overwrites its picture with the next one.
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
