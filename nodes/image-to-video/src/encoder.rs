//! H.264 through OpenH264: planes in, access units out, one thread, no picture ever left out.

use crate::mp4::ParameterSets;
use crate::openh264::{COARSEST_QP, OpenH264, Output, Parameters};
use bytes::Bytes;
use msight_picture::{Colour, Planes, Size};
use std::sync::Arc;

pub use crate::openh264::Refused;

/// The longer and the shorter side that OpenH264 takes at most.
const MAX_SIDES: (usize, usize) = (3840, 2160);
/// The shortest side that OpenH264 takes.
const MIN_SIDE: usize = 16;
/// Frame rates that OpenH264's rate control takes, in frames a second.
const FRAME_RATES: (f64, f64) = (1.0, 60.0);
/// The best quantiser of OpenH264's rate control.
const MIN_QP: u8 = 12;
/// The coarsest quantiser of H.264.
pub const MAX_QP: u8 = COARSEST_QP;
/// The quantiser that is not undercut unless a bitrate is asked for. A roadside camera of 1280x960 at 10 frames a
/// second then takes about 1.1 Mbit/s, at a luma PSNR of 41 dB to the JPEG that comes in.
const DEFAULT_QP: u8 = 25;
/// Bits a pixel that a frame may cost on average where no bitrate is given: 4 Mbit/s for 1920x1080 at 10 fps.
const BITS_PER_PIXEL: f64 = 0.2;
/// Bits a pixel from which blocks do not show and the deblocking filter is left out, as in x264's `ultrafast`. Of
/// roadside footage at 0.2 bits a pixel it gives 0.05 dB for a tenth of the time; at 0.1 bits 0.4 dB, at 0.05 0.6 dB.
const FINE_BITS_PER_PIXEL: f64 = 0.15;

/// How well and at what cost to encode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Bits a second at the target rate that are not exceeded on average; by default 0.2 a pixel. Where nearly
    /// every frame is a key frame, as with an overlap almost as large as the buffer, they are exceeded.
    pub bitrate: Option<u32>,
    /// The finest quantiser used, 0 to 51. By default 24, or the finest of all when a bitrate is given.
    pub qp: Option<u8>,
    /// Target frame rate in frames a second, which the bitrate refers to.
    pub fps: f64,
    /// Frames after which a key frame comes at the latest; 0 for none but those at which segments start.
    pub keyframe_interval: u32,
}

impl Quality {
    /// The parameters of OpenH264 for pictures of this size and colour.
    fn parameters(&self, size: Size, colour: Colour) -> Parameters {
        let frame_rate = self.fps.clamp(FRAME_RATES.0, FRAME_RATES.1);
        let pixels = (size.width() * size.height()) as f64;
        let bits_per_frame = match self.bitrate {
            Some(bitrate) => f64::from(bitrate) / self.fps,
            None => BITS_PER_PIXEL * pixels,
        };
        Parameters {
            size,
            colour,
            // OpenH264 keeps the bitrate in a C int, and wants at least a bit a frame.
            bitrate: (bits_per_frame * frame_rate).clamp(frame_rate.ceil(), 288_000_000.0) as i32,
            frame_rate: frame_rate as f32,
            finest_qp: self.qp.unwrap_or(if self.bitrate.is_some() { MIN_QP } else { DEFAULT_QP }),
            deblocking: bits_per_frame < FINE_BITS_PER_PIXEL * pixels,
        }
    }
}

/// Why a picture was not encoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// OpenH264 cannot encode pictures of this size at all.
    #[error(
        "a frame of {width}x{height} cannot be encoded: H.264 by OpenH264 goes from 16x16 to 3840x2160 (or upright); \
         let the source scale it down (--resize-ratio on msight_launch_rtsp)"
    )]
    Size {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// OpenH264 refused or failed; the encoder is of no more use.
    #[error("OpenH264 failed: {0}")]
    Codec(#[from] Refused),
    /// OpenH264 gave no picture, or a stream without parameter sets; the encoder is of no more use.
    #[error("OpenH264 gave {0}")]
    Output(&'static str),
}

/// One encoded picture.
#[derive(Debug)]
pub struct Encoded {
    /// NAL units without parameter sets, each after its length in four bytes, big-endian.
    pub data: Bytes,
    /// Whether decoding can start here (an IDR picture).
    pub key: bool,
}

/// An encoder of pictures of one size and colour.
pub struct Encoder {
    size: Size,
    colour: Colour,
    codec: OpenH264,
    keyframe_interval: u32,
    since_key: u32,
    parameter_sets: Option<Arc<ParameterSets>>,
}

impl Encoder {
    /// An encoder for pictures of this size and colour, which the stream names. 4:2:0 counts pixels in pairs: the last column of an odd width and
    /// the last row of an odd height are left out.
    ///
    /// # Errors
    /// The size is outside of what OpenH264 takes, or it cannot be set up.
    pub fn new(size: Size, colour: Colour, quality: &Quality) -> Result<Self, Error> {
        let (width, height) = (size.width(), size.height());
        let (longer, shorter) = (width.max(height), width.min(height));
        if shorter < MIN_SIDE || longer > MAX_SIDES.0 || shorter > MAX_SIDES.1 {
            return Err(Error::Size { width, height });
        }
        let even = Size::new(width & !1, height & !1).map_err(|_| Error::Size { width, height })?;
        Ok(Self {
            size,
            colour,
            codec: OpenH264::new(&quality.parameters(even, colour))?,
            keyframe_interval: quality.keyframe_interval,
            since_key: 0,
            parameter_sets: None,
        })
    }

    /// Whether it takes such a picture: one of its size and colour.
    pub fn takes(&self, picture: &Planes<'_>) -> bool {
        (picture.size(), picture.colour()) == (self.size, self.colour)
    }

    /// Encodes the picture shown `milliseconds` after the first one, as a key frame if `key` says so.
    ///
    /// # Errors
    /// The picture has another size or colour, or OpenH264 failed or gave no picture. Do not use this encoder again.
    pub fn encode(&mut self, picture: Planes<'_>, milliseconds: u64, key: bool) -> Result<Encoded, Error> {
        let (width, height) = (picture.size().width(), picture.size().height());
        let picture = picture.even().filter(|_| self.takes(&picture)).ok_or(Error::Size { width, height })?;
        let due = self.keyframe_interval > 0 && self.since_key >= self.keyframe_interval;
        if key || due {
            self.codec.force_key_frame()?;
        }
        let output = self.codec.encode(&picture, milliseconds)?.ok_or(Error::Size { width, height })?;
        let is_key = output.is_key().ok_or(Error::Output("no picture"))?;
        if key && !is_key {
            return Err(Error::Output("no key frame where one was asked for"));
        }
        let (data, sets) = length_prefixed(&output, self.colour);
        if let Some(sets) = sets
            && self.parameter_sets.as_deref() != Some(&sets)
        {
            self.parameter_sets = Some(Arc::new(sets));
        }
        self.since_key = if is_key { 1 } else { self.since_key + 1 };
        Ok(Encoded { data, key: is_key })
    }

    /// The parameter sets of the pictures encoded so far; `None` before the first one.
    pub fn parameter_sets(&self) -> Option<&Arc<ParameterSets>> {
        self.parameter_sets.as_ref()
    }
}

/// The NAL units of an Annex B stream (ITU-T H.264, annex B), each after its length instead of a start code;
/// parameter sets apart.
fn length_prefixed(output: &Output<'_>, colour: Colour) -> (Bytes, Option<ParameterSets>) {
    // A length takes at most a byte more than the start code before it.
    let mut data = Vec::with_capacity(output.nal_units().map(|nal| nal.len() + 1).sum());
    let (mut sps, mut pps) = (None, None);
    for nal in output.nal_units() {
        // A start code is at least two zeros and a one, and a NAL unit's header is never zero.
        let zeros = nal.iter().take_while(|&&byte| byte == 0).count();
        let Some((&header, _)) = nal.get(zeros + 1..).and_then(<[u8]>::split_first) else { continue };
        let nal = &nal[zeros + 1..];
        match header & 0x1f {
            7 => sps = Some(nal.to_vec()),
            8 => pps = Some(nal.to_vec()),
            _ => {
                data.extend_from_slice(&u32::try_from(nal.len()).unwrap_or(u32::MAX).to_be_bytes());
                data.extend_from_slice(nal);
            }
        }
    }
    (Bytes::from(data), sps.zip(pps).map(|(sps, pps)| ParameterSets { sps, pps, colour }))
}
