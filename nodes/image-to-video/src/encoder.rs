//! H.264 through OpenH264: planes in, access units out, one thread, no picture ever left out.

use crate::mp4::ParameterSets;
use bytes::Bytes;
use msight_picture::{Planes, Size};
use openh264::encoder::{
    BitRate, ColorPrimaries, Complexity, EncodedBitStream, EncoderConfig, FrameRate, FrameType, QpRange,
    RateControlMode, TransferCharacteristics, UsageType, VuiConfig,
};
use openh264::formats::YUVSource;
use openh264::{OpenH264API, Timestamp};
use std::sync::Arc;

/// The longer and the shorter side that OpenH264 takes at most.
const MAX_SIDES: (usize, usize) = (3840, 2160);
/// The shortest side that OpenH264 takes.
const MIN_SIDE: usize = 16;
/// Frame rates that OpenH264's rate control takes, in frames a second.
const FRAME_RATES: (f64, f64) = (1.0, 60.0);
/// The best quantiser of OpenH264's rate control.
const MIN_QP: u8 = 12;
/// The coarsest quantiser of H.264.
pub const MAX_QP: u8 = 51;
/// The quantiser that is not undercut unless a bitrate is asked for. A roadside camera of 1280x960 at 10 frames a
/// second then takes about 0.9 Mbit/s, at a luma PSNR of 41 dB.
const DEFAULT_QP: u8 = 24;
/// Bits a pixel that a frame may cost on average where no bitrate is given: 4 Mbit/s for 1920x1080 at 10 fps.
const BITS_PER_PIXEL: f64 = 0.2;

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
    /// The configuration of OpenH264 for pictures of this size.
    fn config(&self, size: Size) -> EncoderConfig {
        let rate = self.fps.clamp(FRAME_RATES.0, FRAME_RATES.1);
        let bits_per_frame = match self.bitrate {
            Some(bitrate) => f64::from(bitrate) / self.fps,
            None => BITS_PER_PIXEL * (size.width() * size.height()) as f64,
        };
        // OpenH264 keeps the bitrate in a C int, and wants at least a bit a frame.
        let bitrate = (bits_per_frame * rate).clamp(rate.ceil(), 288_000_000.0) as u32;
        let qp = self.qp.unwrap_or(if self.bitrate.is_some() { MIN_QP } else { DEFAULT_QP });
        EncoderConfig::new()
            .usage_type(UsageType::CameraVideoRealTime)
            .complexity(Complexity::Low)
            .rate_control_mode(RateControlMode::Quality)
            .skip_frames(false)
            .bitrate(BitRate::from_bps(bitrate))
            .max_frame_rate(FrameRate::from_hz(rate as f32))
            .qp(QpRange::new(qp.min(MAX_QP), MAX_QP))
            .scene_change_detect(false)
            .num_threads(1)
            .vui(
                VuiConfig::bt601()
                    .color_primaries(ColorPrimaries::Bt709)
                    .transfer_characteristics(TransferCharacteristics::Bt709),
            )
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
    Codec(#[from] openh264::Error),
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

/// An encoder of pictures of one size.
pub struct Encoder {
    size: Size,
    codec: openh264::encoder::Encoder,
    keyframe_interval: u32,
    since_key: u32,
    parameter_sets: Option<Arc<ParameterSets>>,
}

impl Encoder {
    /// An encoder for pictures of this size. 4:2:0 counts pixels in pairs: the last column of an odd width and
    /// the last row of an odd height are left out.
    ///
    /// # Errors
    /// The size is outside of what OpenH264 takes, or it cannot be set up.
    pub fn new(size: Size, quality: &Quality) -> Result<Self, Error> {
        let (width, height) = (size.width(), size.height());
        let (longer, shorter) = (width.max(height), width.min(height));
        if shorter < MIN_SIDE || longer > MAX_SIDES.0 || shorter > MAX_SIDES.1 {
            return Err(Error::Size { width, height });
        }
        let api = OpenH264API::from_source();
        let mut codec = openh264::encoder::Encoder::with_api_config(api, quality.config(size))?;
        silence(&mut codec);
        Ok(Self {
            size,
            codec,
            keyframe_interval: quality.keyframe_interval,
            since_key: 0,
            parameter_sets: None,
        })
    }

    /// The size of the pictures it takes.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Encodes the picture shown `milliseconds` after the first one, as a key frame if `key` says so.
    ///
    /// # Errors
    /// The picture has another size, or OpenH264 failed or gave no picture. Do not use this encoder again.
    pub fn encode(&mut self, picture: Planes<'_>, milliseconds: u64, key: bool) -> Result<Encoded, Error> {
        let (width, height) = (picture.size().width(), picture.size().height());
        let picture =
            picture.even().filter(|_| picture.size() == self.size).ok_or(Error::Size { width, height })?;
        let due = self.keyframe_interval > 0 && self.since_key >= self.keyframe_interval;
        if key || due {
            self.codec.force_intra_frame();
        }
        let stream = self.codec.encode_at(&Even(picture), Timestamp::from_millis(milliseconds))?;
        let is_key = match stream.frame_type() {
            FrameType::IDR => true,
            FrameType::I | FrameType::P | FrameType::IPMixed => false,
            FrameType::Skip | FrameType::Invalid => return Err(Error::Output("no picture")),
        };
        if key && !is_key {
            return Err(Error::Output("no key frame where one was asked for"));
        }
        let (data, sets) = length_prefixed(&stream);
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

/// Keeps a new OpenH264 encoder from writing to standard error.
///
/// It does so when it is set up, before it can be configured to be quiet: that frames are not skipped, which is
/// what we ask for. Call this before the first picture.
#[expect(unsafe_code, reason = "the safe API sets the level only after the messages are out")]
pub fn silence(codec: &mut openh264::encoder::Encoder) {
    let mut level = openh264_sys2::WELS_LOG_QUIET;
    // SAFETY: the pointer is to an int that outlives the call, which is what this option reads
    // (CWelsH264SVCEncoder::SetOption), and the option is allowed before the encoder is initialised.
    unsafe {
        codec
            .raw_api()
            .set_option(openh264_sys2::ENCODER_OPTION_TRACE_LEVEL, std::ptr::from_mut(&mut level).cast());
    }
}

/// The NAL units of an Annex B stream (ITU-T H.264, annex B), each after its length instead of a start code;
/// parameter sets apart.
fn length_prefixed(stream: &EncodedBitStream<'_>) -> (Bytes, Option<ParameterSets>) {
    let mut data = Vec::new();
    let (mut sps, mut pps) = (None, None);
    for layer in (0..stream.num_layers()).filter_map(|l| stream.layer(l)) {
        for nal in (0..layer.nal_count()).filter_map(|n| layer.nal_unit(n)) {
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
    }
    (Bytes::from(data), sps.zip(pps).map(|(sps, pps)| ParameterSets { sps, pps }))
}

/// Planes as OpenH264 takes them. It reads them through bare pointers, so only planes whose sizes are checked
/// come here: of an even size, each `stride * rows` bytes or more.
struct Even<'a>(Planes<'a>);

impl YUVSource for Even<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.0.size().width(), self.0.size().height())
    }

    fn strides(&self) -> (usize, usize, usize) {
        self.0.strides().into()
    }

    fn y(&self) -> &[u8] {
        self.0.y()
    }

    fn u(&self) -> &[u8] {
        self.0.u()
    }

    fn v(&self) -> &[u8] {
        self.0.v()
    }
}
