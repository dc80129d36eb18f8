//! The receiver of a decoder's pictures.

use msight_media::{DropReason, PictureTimes};
use msight_picture::Planes;

/// Receives the pictures and the losses of a decoder. Each access unit yields a picture, or is reported as dropped.
pub trait PictureSink {
    /// Why the sink accepts no more pictures.
    type Error: From<msight_picture::Error>;

    /// Receives a picture in the decoder's own memory, which the next access unit overwrites.
    ///
    /// # Errors
    /// The sink accepts no more pictures.
    fn picture(&mut self, planes: &Planes<'_>, times: PictureTimes) -> Result<(), Self::Error>;

    /// Receives the number of access units that yield no picture, and why.
    fn dropped(&mut self, reason: DropReason, units: u64);
}
