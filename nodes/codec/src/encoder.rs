//! Encodes pictures to access units: H.264 by OpenH264 on one thread, one access unit per picture.

mod openh264;

use std::sync::Arc;

use bytes::Bytes;
use msight_media::{ParameterSets, nal, to_length_prefixed};
use msight_picture::{Colour, Planes, Size};

pub use self::openh264::OpenH264Error;
use self::openh264::{COARSEST_QP, Library, Parameters};

/// The longer and the shorter side of the largest picture that OpenH264 encodes.
const MAX_SIDES: (usize, usize) = (3840, 2160);
/// The shortest side that OpenH264 encodes.
const MIN_SIDE: usize = 16;
/// Range of frame rates of OpenH264's rate control, in frames a second.
const FRAME_RATES: (f64, f64) = (1.0, 60.0);
/// The finest quantiser of OpenH264's rate control.
const MIN_QP: u8 = 12;
/// The coarsest quantiser of H.264.
pub const MAX_QP: u8 = COARSEST_QP;
/// The finest quantiser unless the user sets a bitrate. A roadside camera of 1280x960 at 10 frames a second then needs
/// about 1.1 Mbit/s, at a luma PSNR of 41 dB against the received JPEG.
const DEFAULT_QP: u8 = 25;
/// Maximum of the average bits per pixel, unless the user sets a bitrate: 4 Mbit/s for 1920x1080 at 10 frames a second.
const BITS_PER_PIXEL: f64 = 0.2;
/// Bits per pixel from which block edges are invisible, so the deblocking filter is switched off, as in x264's
/// `ultrafast`. For roadside footage, the filter costs a tenth of the time and gains 0.05 dB at 0.2 bits per pixel, 0.4
/// dB at 0.1, and 0.6 dB at 0.05.
const FINE_BITS_PER_PIXEL: f64 = 0.15;

/// Maximum bits per pixel of H.264: 3200 in a macroblock of 256 pixels (ITU-T H.264, A.3.1 n). A higher bitrate is
/// useless and overflows in OpenH264's rate control.
const MAX_BITS_PER_PIXEL: f64 = 12.5;
/// Average bits per pixel from which single pictures may need the large output buffers.
const LARGE_OUTPUT_BITS_PER_PIXEL: f64 = 1.0;
/// Quantiser steps by which a picture becomes coarser if it exceeds OpenH264's output buffers. Six steps double the
/// quantiser's step size.
const COARSER: u8 = 6;
/// Memory of an encoder in bytes per pixel: its copies of the picture, the reference pictures, the state of the
/// macroblocks and the output. Measured from 640x360 to 3840x2160, it is 8 to 17.
const MEMORY_PER_PIXEL: usize = 17;

/// Quality and bitrate of an encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Maximum of the average bits per second at the target rate. The default is 0.2 bits per pixel; values above the
    /// 12.5 bits per pixel that H.264 allows are lowered to that. A video of nearly only key frames may exceed it.
    pub bitrate: Option<u32>,
    /// The finest quantiser, 0 to 51. By default 25, or 12 with a bitrate.
    pub qp: Option<u8>,
    /// Target frame rate in frames a second; the bitrate refers to it.
    pub fps: f64,
    /// Maximum distance of key frames, in frames; with 0, only the caller requests key frames.
    pub keyframe_interval: u32,
}

impl Quality {
    /// Maximum of the average bits per second for pictures of this size.
    #[must_use]
    pub fn max_bitrate(&self, size: Size) -> f64 {
        let pixels = (size.width() * size.height()) as f64;
        self.bitrate.map_or(BITS_PER_PIXEL * pixels * self.fps, f64::from)
    }

    /// The parameters of OpenH264 for pictures of this size and colour.
    fn parameters(&self, size: Size, colour: Colour) -> Parameters {
        let frame_rate = self.fps.clamp(FRAME_RATES.0, FRAME_RATES.1);
        let pixels = (size.width() * size.height()) as f64;
        let bits_per_frame = (self.max_bitrate(size) / self.fps).min(MAX_BITS_PER_PIXEL * pixels);
        Parameters {
            size,
            colour,
            // OpenH264 keeps the bitrate in a C int, and needs at least one bit per frame.
            bitrate: (bits_per_frame * frame_rate).clamp(frame_rate.ceil(), 288_000_000.0) as i32,
            frame_rate: frame_rate as f32,
            finest_qp: self.qp.unwrap_or(if self.bitrate.is_some() { MIN_QP } else { DEFAULT_QP }),
            deblocking: bits_per_frame < FINE_BITS_PER_PIXEL * pixels,
            large_output: bits_per_frame >= LARGE_OUTPUT_BITS_PER_PIXEL * pixels,
        }
    }
}

/// Why encoding failed.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// OpenH264 does not encode pictures of this size.
    #[error("cannot encode a frame of {width}x{height}: OpenH264 encodes 16x16 to 3840x2160 or 2160x3840")]
    Size {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// OpenH264 cannot get its memory.
    #[error(
        "out of memory: an encoder for {width}x{height} takes about {} MB ({source})",
        (width * height * MEMORY_PER_PIXEL).div_ceil(1_000_000)
    )]
    Memory {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// OpenH264's error.
        source: OpenH264Error,
    },
    /// OpenH264 failed; discard the encoder.
    #[error(transparent)]
    Library(#[from] OpenH264Error),
    /// OpenH264 returned no picture, or no parameter sets; discard the encoder.
    #[error("OpenH264 returned {0}")]
    Output(&'static str),
}

/// One encoded picture.
#[derive(Debug)]
pub struct Encoded {
    /// The picture, in the form of [`AccessUnit::data`](msight_media::AccessUnit::data).
    pub data: Bytes,
    /// Whether decoding can start here (an IDR picture).
    pub key: bool,
    /// The parameter sets of the stream; the same `Arc` until they change.
    pub parameter_sets: Arc<ParameterSets>,
    /// The finest quantiser from this picture on, if the picture exceeded OpenH264's output buffers at a finer one.
    /// Such a picture is a key frame.
    pub coarsened: Option<u8>,
}

/// An encoder of pictures of one size and colour.
pub struct Encoder {
    size: Size,
    colour: Colour,
    parameters: Parameters,
    library: Library,
    keyframe_interval: u32,
    since_key: u32,
    parameter_sets: Option<Arc<ParameterSets>>,
}

impl Encoder {
    /// An encoder for pictures of this size and colour, both of which the stream states. 4:2:0 has an even number of
    /// columns and rows, so an odd width loses its last column and an odd height its last row.
    ///
    /// # Errors
    /// OpenH264 does not encode this size, or cannot be set up.
    pub fn new(size: Size, colour: Colour, quality: &Quality) -> Result<Self, EncodeError> {
        check_size(size)?;
        let (width, height) = (size.width(), size.height());
        let even = Size::new(width & !1, height & !1).map_err(|_| EncodeError::Size { width, height })?;
        let parameters = quality.parameters(even, colour);
        Ok(Self {
            size,
            colour,
            parameters,
            library: start(&parameters)?,
            keyframe_interval: quality.keyframe_interval,
            since_key: 0,
            parameter_sets: None,
        })
    }

    /// The size of the pictures.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// The colour of the pictures.
    #[must_use]
    pub fn colour(&self) -> Colour {
        self.colour
    }

    /// Whether the picture has the size and colour of this encoder.
    #[must_use]
    pub fn fits(&self, picture: &Planes<'_>) -> bool {
        (picture.size(), picture.colour()) == (self.size, self.colour)
    }

    /// Encodes the picture shown `milliseconds` after the first one, as a key frame if `key` is set. A picture that
    /// exceeds OpenH264's output buffers is encoded again with a coarser quantiser.
    ///
    /// # Errors
    /// The picture has another size or colour, or OpenH264 failed or gave no picture. Discard the encoder after an
    /// error.
    pub fn encode(
        &mut self,
        picture: Planes<'_>,
        milliseconds: u64,
        key: bool,
    ) -> Result<Encoded, EncodeError> {
        let (width, height) = (picture.size().width(), picture.size().height());
        let picture =
            picture.even().filter(|_| self.fits(&picture)).ok_or(EncodeError::Size { width, height })?;
        let due = self.keyframe_interval > 0 && self.since_key >= self.keyframe_interval;
        if key || due {
            self.library.force_key_frame()?;
        }
        let mut coarsened = None;
        let fits = loop {
            match self.library.encode(&picture, milliseconds) {
                Ok(fits) => break fits,
                Err(error) if error.is_overflow() => coarsened = Some(self.coarsen(error)?),
                Err(error) => return Err(error.into()),
            }
        };
        if !fits {
            return Err(EncodeError::Size { width, height });
        }
        let output = self.library.output();
        let is_key = output.is_key().ok_or(EncodeError::Output("no picture"))?;
        if key && !is_key {
            return Err(EncodeError::Output("no key frame although one was requested"));
        }
        let units = output.nal_units().map(nal::without_start_code);
        let (data, sets) = to_length_prefixed(units);
        if let Some(sets) = sets
            && self.parameter_sets.as_deref() != Some(&sets)
        {
            self.parameter_sets = Some(Arc::new(sets));
        }
        self.since_key = if is_key { 1 } else { self.since_key + 1 };
        let parameter_sets = self.parameter_sets.clone().ok_or(EncodeError::Output("no parameter sets"))?;
        Ok(Encoded { data, key: is_key, parameter_sets, coarsened })
    }

    /// Replaces OpenH264's encoder after an overflow by a coarser one with the same parameter sets. Its first picture
    /// is a key frame. Returns its finest quantiser.
    ///
    /// # Errors
    /// The quantiser is already the coarsest, so OpenH264 lacks memory; or OpenH264 cannot be set up.
    fn coarsen(&mut self, source: OpenH264Error) -> Result<u8, EncodeError> {
        let qp = self.parameters.finest_qp;
        if qp == COARSEST_QP {
            return Err(out_of_memory(&self.parameters, source));
        }
        self.parameters.finest_qp = (qp.max(MIN_QP) + COARSER).min(COARSEST_QP);
        self.library = start(&self.parameters)?;
        Ok(self.parameters.finest_qp)
    }
}

/// Checks whether OpenH264 encodes pictures of this size.
///
/// # Errors
/// [`EncodeError::Size`].
pub fn check_size(size: Size) -> Result<(), EncodeError> {
    let (width, height) = (size.width(), size.height());
    let (longer, shorter) = (width.max(height), width.min(height));
    if shorter < MIN_SIDE || longer > MAX_SIDES.0 || shorter > MAX_SIDES.1 {
        return Err(EncodeError::Size { width, height });
    }
    Ok(())
}

/// Sets up OpenH264. It accepts all parameters that [`Quality`] yields, and returns the same code for a lack of memory.
/// So every failure is reported as a lack of memory.
fn start(parameters: &Parameters) -> Result<Library, EncodeError> {
    Library::new(parameters).map_err(|source| out_of_memory(parameters, source))
}

fn out_of_memory(parameters: &Parameters, source: OpenH264Error) -> EncodeError {
    let (width, height) = (parameters.size.width(), parameters.size.height());
    EncodeError::Memory { width, height, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use msight_picture::Picture;

    #[test]
    fn after_an_overflow_a_picture_is_encoded_coarser_with_the_same_parameter_sets() {
        let size = Size::new(320, 240).unwrap();
        let quality = Quality { bitrate: Some(u32::MAX), qp: Some(0), fps: 1.0, keyframe_interval: 0 };
        let mut encoder = Encoder::new(size, Colour::VIDEO, &quality).unwrap();
        let mut random = fastrand::Rng::with_seed(3);
        let mut noise = || {
            let mut picture = Picture::new(size, Colour::VIDEO);
            let planes = picture.planes_mut();
            [planes.y, planes.u, planes.v].into_iter().for_each(|plane| random.fill(plane));
            picture
        };
        let first = encoder.encode(noise().planes(), 0, true).unwrap();
        assert!(first.coarsened.is_none() && first.key);
        encoder.parameters.large_output = false;
        encoder.library = start(&encoder.parameters).unwrap();
        let second = encoder.encode(noise().planes(), 1000, false).unwrap();
        assert!(second.coarsened.is_some_and(|qp| qp > MIN_QP) && second.key);
        assert_eq!(first.parameter_sets, second.parameter_sets);
        let third = encoder.encode(noise().planes(), 2000, false).unwrap();
        assert!(third.coarsened.is_none());
        assert!(third.data.len() < first.data.len());
    }

    #[test]
    fn a_lack_of_memory_is_reported_with_the_picture_size() {
        let quality = Quality { bitrate: None, qp: None, fps: 10.0, keyframe_interval: 0 };
        let mut parameters = quality.parameters(Size::new(1920, 1080).unwrap(), Colour::VIDEO);
        // Simulates a failed allocation: OpenH264 returns the same code for invalid parameters.
        parameters.frame_rate = f32::NAN;
        parameters.bitrate = -1;
        let Err(error) = start(&parameters) else { panic!("OpenH264 accepts a negative bitrate") };
        let error = error.to_string();
        assert!(
            error.contains("out of memory") && error.contains("1920x1080") && error.contains("MB"),
            "{error}"
        );
    }
}
