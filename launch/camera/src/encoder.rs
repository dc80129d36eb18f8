//! Draws and encodes the test picture, while at least one client plays.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Encoder as OpenH264, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile,
    RateControlMode, VuiConfig,
};
use openh264::formats::YUVSlices;

use super::canvas::Canvas;
use super::feed::{CapturedUnit, Feed, ParameterSets};
use super::scene::{Moment, Scene};
use super::{CameraConfig, Error, pacing};

/// Seconds between key frames.
const KEY_FRAME_PERIOD: f32 = 2.0;

/// The minimum time between extra key frames: viewers that start within it share one.
const KEY_FRAME_PAUSE: Duration = Duration::from_millis(500);

/// Draws and encodes pictures one by one.
pub(super) struct Encoder {
    h264: OpenH264,
    scene: Scene,
    interval: Duration,
    started: Instant,
    frame: u64,
}

impl Encoder {
    /// Sets up the encoder and reads its parameter sets from a first picture.
    pub(super) fn new(config: &CameraConfig) -> Result<(Self, ParameterSets), Error> {
        let encoder_config = EncoderConfig::new()
            .profile(Profile::Baseline)
            .rate_control_mode(RateControlMode::Bitrate)
            .bitrate(BitRate::from_bps(config.bitrate))
            .max_frame_rate(FrameRate::from_hz(config.fps))
            .intra_frame_period(IntraFramePeriod::from_num_frames(
                (config.fps * KEY_FRAME_PERIOD).ceil() as u32
            ))
            .skip_frames(false)
            .num_threads(1)
            .vui(VuiConfig::bt709());
        let mut h264 = OpenH264::with_api_config(OpenH264API::from_source(), encoder_config)?;
        disable_trace(&mut h264);
        let mut encoder = Self {
            h264,
            scene: Scene::new(config.width, config.height),
            interval: Duration::from_secs_f32(1.0 / config.fps),
            started: Instant::now(),
            frame: 0,
        };
        let nals = encoder.take_picture(Instant::now(), true)?.map(|drawn| drawn.nals).unwrap_or_default();
        let find = |kind| nals.iter().find(|nal| nal[0] & 0x1f == kind && nal.len() >= 4).cloned();
        match (find(7), find(8)) {
            (Some(sequence), Some(picture)) => Ok((encoder, ParameterSets { sequence, picture })),
            _ => Err(Error::NoParameterSets),
        }
    }

    /// The time between pictures.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Publishes pictures to the feed until it is closed.
    pub(super) fn run(mut self, feed: &Feed) {
        let mut last_key = None;
        pacing::run(feed, self.interval, || {
            let is_key_due = last_key.is_none_or(|key: Instant| key.elapsed() >= KEY_FRAME_PAUSE);
            let captured = Instant::now();
            match self.take_picture(captured, is_key_due && feed.wants_key()) {
                Ok(Some(Encoded { nals, is_key })) => {
                    if is_key {
                        last_key = Some(captured);
                    }
                    Some(CapturedUnit { nals, is_key, captured })
                }
                Ok(None) => None,
                Err(error) => {
                    tracing::warn!(%error, frame = self.frame, "camera dropped a picture: encoder failed");
                    None
                }
            }
        });
    }

    /// Draws and encodes the current picture.
    fn take_picture(&mut self, now: Instant, as_key: bool) -> Result<Option<Encoded>, openh264::Error> {
        let elapsed = now.duration_since(self.started);
        let moment = Moment { elapsed, wall: SystemTime::now(), frame: self.frame };
        self.frame += 1;
        self.draw(&moment, as_key)
    }

    /// Draws and encodes the picture at a moment; `None` if the encoder returned nothing.
    pub(super) fn draw(&mut self, moment: &Moment, as_key: bool) -> Result<Option<Encoded>, openh264::Error> {
        let canvas = self.scene.draw(moment);
        if as_key {
            self.h264.force_intra_frame();
        }
        let at = openh264::Timestamp::from_millis(moment.elapsed.as_millis() as u64);
        let stream = self.h264.encode_at(&planes(canvas), at)?;
        let is_key = stream.frame_type() == FrameType::IDR;
        let mut nals = Vec::new();
        for layer in (0..stream.num_layers()).filter_map(|index| stream.layer(index)) {
            let units = (0..layer.nal_count()).filter_map(|index| layer.nal_unit(index));
            nals.extend(
                units.map(without_start_code).filter(|nal| !nal.is_empty()).map(Bytes::copy_from_slice),
            );
        }
        Ok((!nals.is_empty()).then_some(Encoded { nals, is_key }))
    }
}

/// Keeps a new encoder from writing to standard error.
///
/// During set-up the encoder warns that frames are not skipped, which is intended, before its log level can be set.
/// Call this before the first picture.
#[expect(unsafe_code, reason = "the safe API sets the level only after the messages are out")]
fn disable_trace(h264: &mut OpenH264) {
    let mut level = openh264_sys2::WELS_LOG_QUIET;
    // SAFETY: the pointer is to an int that outlives the call, which is what this option reads
    // (CWelsH264SVCEncoder::SetOption), and the option is allowed before the encoder is initialised.
    unsafe {
        h264.raw_api()
            .set_option(openh264_sys2::ENCODER_OPTION_TRACE_LEVEL, std::ptr::from_mut(&mut level).cast());
    }
}

/// An encoded picture.
pub(super) struct Encoded {
    /// The NAL units, as in [`CapturedUnit`].
    pub(super) nals: Vec<Bytes>,
    /// Whether it is a key frame, as in [`CapturedUnit`].
    pub(super) is_key: bool,
}

fn planes(canvas: &Canvas) -> YUVSlices<'_> {
    let (width, height) = (canvas.width, canvas.height);
    YUVSlices::new((&canvas.y, &canvas.u, &canvas.v), (width, height), (width, width / 2, width / 2))
}

/// The NAL unit after the start code of three or four bytes that Annex B puts before it.
fn without_start_code(nal: &[u8]) -> &[u8] {
    let zeros = nal.iter().take_while(|byte| **byte == 0).count();
    nal.get(zeros + 1..).unwrap_or_default()
}
