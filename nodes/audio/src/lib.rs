//! Sound that MP4 players refuse, as AAC that they play: G.711 and L16 of a camera to AAC-LC.
//!
//! [`decode_pcm`] reads the samples of a unit, and an [`AacEncoder`] makes units of AAC out of them, with times that keep the
//! sound beside the picture. Pure logic without I/O.

mod encoder;
mod pcm;

pub use encoder::{AacEncoder, AacUnit, EncoderError, FRAME, default_bitrate};
pub use pcm::decode_pcm;
