//! The pictures of access units, for segments that are encoded.

use crate::camera_stream::Unit;
use anyhow::Context as _;
use msight_codec::{Decoder, PictureSink};
use msight_media::{DropReason, PictureTimes};
use msight_picture::{Picture, Planes};

/// Pictures in presentation order, each with the presentation time of its unit.
pub(crate) type Pictures = Vec<(i64, Picture)>;

/// Decodes the units of one sensor, in decoding order.
pub(crate) struct UnitDecoder {
    decoder: Decoder,
}

impl UnitDecoder {
    /// Waits for a key frame.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { decoder: Decoder::new()? })
    }

    /// Decodes the next unit. Its picture may come later, after those that are shown earlier.
    ///
    /// # Errors
    /// The stream cannot be decoded.
    pub(crate) fn decode(&mut self, unit: &Unit) -> anyhow::Result<Pictures> {
        let mut copies = Copies::default();
        self.decoder.decode(unit.to_access_unit(), &mut copies).context("cannot decode")?;
        Ok(copies.0)
    }

    /// The pictures that the decoder still holds. It is of no use after that.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub(crate) fn drain(mut self) -> anyhow::Result<Pictures> {
        let mut copies = Copies::default();
        self.decoder.drain(&mut copies).context("cannot decode")?;
        Ok(copies.0)
    }
}

/// Copies pictures out of the decoder's memory.
#[derive(Default)]
struct Copies(Pictures);

impl PictureSink for Copies {
    type Error = msight_picture::Error;

    fn picture(&mut self, planes: &Planes<'_>, times: PictureTimes) -> Result<(), Self::Error> {
        let mut picture = Picture::default();
        planes.convert_into(planes.colour(), &mut picture);
        self.0.push((times.pts, picture));
        Ok(())
    }

    /// The frames that wait for these pictures are counted.
    fn dropped(&mut self, _: DropReason, _: u64) {}
}
