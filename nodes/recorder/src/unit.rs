//! An access unit on its way through the node.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use msight_media::{Codec, Kind, ParameterSets, TIMESCALE, to_timescale};
use msight_proto::{AccessUnitData, FrameId, Receipt, Sample};

/// One access unit, with its times on the clock of its track.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    /// The track of the session, such as `video`.
    pub(crate) track: String,
    /// How `data` is encoded.
    pub(crate) codec: Codec,
    /// Whether decoding can start here.
    pub(crate) key: bool,
    /// Presentation time in ticks of `rate`.
    pub(crate) pts: i64,
    /// Decoding time in ticks of `rate`.
    pub(crate) dts: i64,
    /// Ticks a second; 90000 for video.
    pub(crate) rate: NonZeroU32,
    /// Capture time in seconds since 1970.
    pub(crate) captured: f64,
    /// Number of the unit in its session and track.
    pub(crate) sequence: u64,
    /// The session with the camera.
    pub(crate) session: String,
    /// Units of its track that were lost before it.
    pub(crate) lost_before: u64,
    /// The parameter sets in force: the same `Arc` until they change.
    pub(crate) sets: Option<Arc<ParameterSets>>,
    /// Width and height in pixels, if known.
    pub(crate) size: Option<(u32, u32)>,
    /// The number of channels of sound, if known.
    pub(crate) channels: Option<u32>,
    /// The unit.
    pub(crate) data: Bytes,
    /// The id of the message.
    pub(crate) frame_id: Option<FrameId>,
    /// Acknowledges the message once the unit is safe.
    pub(crate) receipt: Option<Receipt>,
}

/// Why a message is not a unit that can be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// The node does not know its codec.
    Codec,
    /// Its rate is 0, or its capture time is invalid.
    Malformed,
}

impl Unit {
    /// The unit of a message.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub(crate) fn of(mut sample: Sample<AccessUnitData>) -> Result<Self, Unusable> {
        let receipt = sample.take_receipt();
        let (head, body) = (sample.head, sample.body);
        let codec = codec_named(&body.codec).ok_or(Unusable::Codec)?;
        let rate = NonZeroU32::new(body.rate).ok_or(Unusable::Malformed)?;
        let captured = head.capture_timestamp;
        if !(0.0..1e11).contains(&captured) {
            return Err(Unusable::Malformed);
        }
        let is_video = codec.kind() == Kind::Video;
        let on_clock = |ticks: i64| if is_video { to_timescale(ticks, rate.get()) } else { ticks };
        let (pts, dts) = (on_clock(body.pts), on_clock(body.dts));
        Ok(Self {
            track: body.track,
            codec,
            key: body.key || !is_video,
            pts,
            dts: if is_video { dts.min(pts) } else { pts },
            rate: if is_video { TIMESCALE } else { rate },
            captured,
            sequence: body.sequence,
            session: body.session,
            lost_before: u64::from(body.after_loss),
            sets: body.parameter_sets.map(|sets| Arc::new(ParameterSets::new(sets))),
            size: body.size.as_deref().and_then(size),
            channels: body.channels,
            data: body.data,
            frame_id: head.frame_id,
            receipt,
        })
    }

    /// Pictures, sound or metadata.
    pub(crate) fn kind(&self) -> Kind {
        self.codec.kind()
    }

    /// Seconds from an earlier decoding time of its track to this one.
    pub(crate) fn seconds_since(&self, dts: i64) -> f64 {
        self.dts.saturating_sub(dts) as f64 / f64::from(self.rate.get())
    }

    /// Ticks from its decoding time to its presentation time.
    pub(crate) fn composition_offset(&self) -> i32 {
        i32::try_from(self.pts.saturating_sub(self.dts)).unwrap_or(i32::MAX)
    }
}

/// `[height, width]` of a message as width and height.
fn size(size: &[u64]) -> Option<(u32, u32)> {
    let &[height, width, ..] = size else { return None };
    Some((u32::try_from(width).ok()?, u32::try_from(height).ok()?))
}

fn codec_named(name: &str) -> Option<Codec> {
    use Codec::{Aac, H264, H265, Jpeg, L16, Metadata, Opus, Pcma, Pcmu};
    [H264, H265, Jpeg, Aac, Opus, Pcma, Pcmu, L16, Metadata].into_iter().find(|codec| codec.name() == name)
}
