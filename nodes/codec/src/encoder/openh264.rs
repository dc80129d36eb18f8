//! OpenH264's encoder through its C interface.
//!
//! The `openh264` crate wraps the same library, but always switches the deblocking filter on. The filter costs a tenth
//! of the encoder's time even where it changes almost nothing.

use msight_picture::{Colour, Matrix, Planes, Range, Size};
use openh264_sys2::source::APILoader;
use openh264_sys2::{
    CAMERA_VIDEO_REAL_TIME, CM_BT709, CM_SMPTE170M, CONSTANT_ID, CP_BT709, ENCODER_OPTION_TRACE_LEVEL,
    ISVCEncoder, ISVCEncoderVtbl, LOW_COMPLEXITY, RC_QUALITY_MODE, SEncParamExt, SFrameBSInfo,
    SM_SINGLE_SLICE, SSourcePicture, TRC_BT709, WELS_LOG_QUIET, videoFormatI420, videoFrameTypeI,
    videoFrameTypeIDR, videoFrameTypeIPMixed, videoFrameTypeP,
};
use std::ffi::c_int;
use std::ptr::{NonNull, from_mut, null_mut};
use std::slice;

/// The coarsest quantiser of H.264.
pub(super) const COARSEST_QP: u8 = 51;
/// `cmMallocMemeError` of `codec_app_def.h`: OpenH264 is out of memory, or its output buffers are too small.
const MEMORY_ERROR: c_int = 3;

/// Settings of an encoder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters {
    /// Size of every picture; both sides are even.
    pub(super) size: Size,
    /// Colour of every picture, for the VUI (ITU-T H.264, annex E).
    pub(super) colour: Colour,
    /// Maximum of the average bits per second at `frame_rate`.
    pub(super) bitrate: c_int,
    /// Frames a second, 1 to 60.
    pub(super) frame_rate: f32,
    /// The finest quantiser, 0 to 51. OpenH264's rate control raises values below 12 to 12.
    pub(super) finest_qp: u8,
    /// Whether the deblocking filter is on (ITU-T H.264, section 8.7).
    pub(super) deblocking: bool,
    /// Whether the output buffers hold three bytes per pixel instead of one and a half. OpenH264 uses two thirds of
    /// them.
    pub(super) large_output: bool,
}

/// A failed call to OpenH264.
#[derive(Debug, thiserror::Error)]
#[error("OpenH264's {call} returned {code}")]
pub struct OpenH264Error {
    call: &'static str,
    code: c_int,
}

impl OpenH264Error {
    /// Whether a picture did not fit into the output buffers. OpenH264 has then freed its memory, so only a new encoder
    /// can encode the picture.
    pub(super) fn is_overflow(&self) -> bool {
        (self.call, self.code) == ("EncodeFrame", MEMORY_ERROR)
    }
}

fn accepted(call: &'static str, code: c_int) -> Result<(), OpenH264Error> {
    if code == 0 { Ok(()) } else { Err(OpenH264Error { call, code }) }
}

/// An encoder that is set up.
pub(super) struct Library {
    handle: NonNull<ISVCEncoder>,
    size: Size,
    output: Box<SFrameBSInfo>,
}

// SAFETY: the handle belongs to this value alone, and the library keeps nothing that is bound to a thread.
#[expect(unsafe_code, reason = "a C interface")]
unsafe impl Send for Library {}

#[expect(unsafe_code, reason = "a C interface")]
impl Library {
    /// Sets up an encoder with one thread. It skips no picture and writes nothing to standard error.
    ///
    /// # Errors
    /// The library rejects the parameters, or is out of memory.
    pub(super) fn new(parameters: &Parameters) -> Result<Self, OpenH264Error> {
        let mut handle = null_mut();
        // SAFETY: the pointer to write to is valid; the handle is checked before it is used.
        accepted("WelsCreateSVCEncoder", unsafe { APILoader::WelsCreateSVCEncoder(&raw mut handle) })?;
        let handle = NonNull::new(handle).ok_or(OpenH264Error { call: "WelsCreateSVCEncoder", code: 0 })?;
        let this = Self { handle, size: parameters.size, output: Box::default() };
        let calls = this.calls();
        let mut level = WELS_LOG_QUIET;
        let mut settings = SEncParamExt::default();
        // SAFETY: the handle is live, the level and the settings outlive the calls that read or write them, and
        // each is of the type that its call expects.
        unsafe {
            // Set this first: otherwise the set-up warns that frames are not skipped, which is intended.
            let set = calls.SetOption.expect("a function of the library");
            accepted(
                "SetOption",
                set(handle.as_ptr(), ENCODER_OPTION_TRACE_LEVEL, from_mut(&mut level).cast()),
            )?;
            let defaults = calls.GetDefaultParams.expect("a function of the library");
            accepted("GetDefaultParams", defaults(handle.as_ptr(), &raw mut settings))?;
            parameters.write(&mut settings);
            let initialize = calls.InitializeExt.expect("a function of the library");
            accepted("InitializeExt", initialize(handle.as_ptr(), &raw const settings))?;
        }
        Ok(this)
    }

    /// The functions of the encoder, all of which the library fills in.
    fn calls(&self) -> ISVCEncoderVtbl {
        // SAFETY: a live handle points to a pointer to the library's table of functions.
        unsafe { **self.handle.as_ptr() }
    }

    /// Makes the next picture a key frame with parameter sets (IDR).
    ///
    /// # Errors
    /// The library is not set up.
    pub(super) fn force_key_frame(&mut self) -> Result<(), OpenH264Error> {
        let force = self.calls().ForceIntraFrame.expect("a function of the library");
        // SAFETY: the handle is live and set up.
        accepted("ForceIntraFrame", unsafe { force(self.handle.as_ptr(), true) })
    }

    /// Encodes a picture shown `milliseconds` after the first one; [`output`](Self::output) has the result. Returns
    /// `false` for a picture of another size than was set up.
    ///
    /// # Errors
    /// The library failed; its next output is undefined.
    pub(super) fn encode(&mut self, picture: &Planes<'_>, milliseconds: u64) -> Result<bool, OpenH264Error> {
        if picture.size() != self.size {
            return Ok(false);
        }
        let stride = |plane: usize| c_int::try_from(picture.strides()[plane]).unwrap_or(c_int::MAX);
        let plane = |plane: &[u8]| plane.as_ptr().cast_mut();
        let source = SSourcePicture {
            iColorFormat: videoFormatI420,
            iStride: [stride(0), stride(1), stride(2), 0],
            pData: [plane(picture.y()), plane(picture.u()), plane(picture.v()), null_mut()],
            iPicWidth: self.size.width() as c_int,
            iPicHeight: self.size.height() as c_int,
            uiTimeStamp: milliseconds.cast_signed(),
            ..Default::default()
        };
        let encode = self.calls().EncodeFrame.expect("a function of the library");
        // SAFETY: the planes have at least stride * rows bytes of the size set up (an invariant of `Planes`), are
        // only read, and not after the call; the output outlives the call.
        accepted("EncodeFrame", unsafe {
            encode(self.handle.as_ptr(), &raw const source, from_mut(&mut *self.output))
        })?;
        Ok(true)
    }

    /// The output of the last call of [`encode`](Self::encode) that returned `true`.
    pub(super) fn output(&self) -> Output<'_> {
        Output(&self.output)
    }
}

#[expect(unsafe_code, reason = "a C interface")]
impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the handle is live and not used again.
        unsafe {
            if let Some(uninitialize) = self.calls().Uninitialize {
                uninitialize(self.handle.as_ptr());
            }
            APILoader::WelsDestroySVCEncoder(self.handle.as_ptr());
        }
    }
}

impl Parameters {
    fn write(&self, to: &mut SEncParamExt) {
        let (width, height) = (self.size.width() as c_int, self.size.height() as c_int);
        to.iUsageType = CAMERA_VIDEO_REAL_TIME;
        to.iComplexityMode = LOW_COMPLEXITY;
        (to.iPicWidth, to.iPicHeight) = (width, height);
        to.fMaxFrameRate = self.frame_rate;
        to.iRCMode = RC_QUALITY_MODE;
        to.iTargetBitrate = self.bitrate;
        (to.iMinQp, to.iMaxQp) = (self.finest_qp.into(), COARSEST_QP.into());
        to.bEnableFrameSkip = false;
        to.eSpsPpsIdStrategy = CONSTANT_ID;
        to.iMultipleThreadIdc = 1;
        // With one slice, this affects only the size of the output buffers.
        to.bUseLoadBalancing = !self.large_output;
        to.uiIntraPeriod = 0;
        to.iLoopFilterDisableIdc = (!self.deblocking).into();
        // Encode every picture completely. Background detection would keep parts of it unchanged until the next key
        // frame: that costs half a decibel or more at the same bitrate, and saves no time for noisy pictures.
        to.bEnableBackgroundDetection = false;
        to.bEnableSceneChangeDetect = false;
        to.bEnableAdaptiveQuant = false;
        to.iSpatialLayerNum = 1;
        let layer = &mut to.sSpatialLayers[0];
        (layer.iVideoWidth, layer.iVideoHeight) = (width, height);
        layer.fFrameRate = self.frame_rate;
        (layer.iSpatialBitrate, layer.iMaxSpatialBitrate) = (self.bitrate, self.bitrate);
        layer.sSliceArgument.uiSliceMode = SM_SINGLE_SLICE;
        layer.sSliceArgument.uiSliceNum = 1;
        layer.bVideoSignalTypePresent = true;
        layer.bFullRange = self.colour.range == Range::Full;
        layer.bColorDescriptionPresent = true;
        layer.uiColorPrimaries = CP_BT709 as u8;
        layer.uiTransferCharacteristics = TRC_BT709 as u8;
        layer.uiColorMatrix = match self.colour.matrix {
            Matrix::Bt601 => CM_SMPTE170M as u8,
            Matrix::Bt709 => CM_BT709 as u8,
        };
    }
}

/// One encoded picture, in the encoder's memory.
pub(super) struct Output<'a>(&'a SFrameBSInfo);

#[expect(unsafe_code, reason = "a C interface")]
impl<'a> Output<'a> {
    /// Whether it is a key frame (IDR); `None` if there is no picture.
    pub(super) fn is_key(&self) -> Option<bool> {
        #[expect(non_upper_case_globals, reason = "the library's names")]
        match self.0.eFrameType {
            videoFrameTypeIDR => Some(true),
            videoFrameTypeI | videoFrameTypeP | videoFrameTypeIPMixed => Some(false),
            _ => None,
        }
    }

    /// The NAL units, each with its start code (ITU-T H.264, annex B).
    pub(super) fn nal_units(&self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let layers = usize::try_from(self.0.iLayerNum).unwrap_or(0);
        let layers = self.0.sLayerInfo.iter().take(layers);
        let written = layers.filter(|layer| !layer.pNalLengthInByte.is_null() && !layer.pBsBuf.is_null());
        written.flat_map(|layer| {
            let count = usize::try_from(layer.iNalCount).unwrap_or(0);
            // SAFETY: the library fills in `iNalCount` lengths, and bytes for all of them, one NAL unit after the
            // other. Both stay valid until the next call, which borrows the encoder mutably.
            let lengths = unsafe { slice::from_raw_parts(layer.pNalLengthInByte, count) };
            let mut at = 0;
            lengths.iter().map(move |&length| {
                let length = usize::try_from(length).unwrap_or(0);
                // SAFETY: as above.
                let nal = unsafe { slice::from_raw_parts(layer.pBsBuf.add(at), length) };
                at += length;
                nal
            })
        })
    }
}
