//! Turns decoded pictures into messages. `--gap` and `--fps` select first, so only selected pictures are scaled and
//! encoded.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use msight_codec::{DeferredPicture, DeferredSink, PictureSink};
use msight_media::{DropReason, PictureTimes, TargetRate};
use msight_node::Gap;
use msight_picture::{
    DecodedImages, ImageEncoder, JpegDecoder, PendingPicture, Picture, Planes, Size, WireForm,
};
use msight_proto::{AccessUnitData, ImageData};
use tokio::sync::mpsc;

use crate::counts::{Counts, LeftOut};
use crate::unit::Encoded;

/// More units than a decoder holds back (ITU-T H.264, section A.3.1: 16 pictures).
const MAX_UNITS: usize = 32;

/// The form of published frames.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    /// The form of the picture in messages.
    pub(crate) wire: WireForm,
    /// Whether other nodes of this process get the picture itself, which is then encoded only if a node needs its
    /// bytes.
    pub(crate) handed_over: bool,
    /// Whether only nodes of this process get the frames: a picture is decoded when one of them asks for it.
    pub(crate) deferred: bool,
    /// The factor for width and height.
    pub(crate) resize: Option<f64>,
    /// Maximum frame rate in frames per second.
    pub(crate) fps: Option<f64>,
}

/// A frame ready to be published.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The body of the message.
    pub(crate) image: ImageData,
    /// Capture time, seconds since 1970.
    pub(crate) captured: f64,
}

/// Why the decoding thread ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The receiver of frames was dropped with the source.
    Gone,
    /// The stream cannot be published.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<msight_picture::Error> for Stop {
    fn from(error: msight_picture::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// The last part of the decoding thread.
pub(crate) struct Outlet {
    form: Form,
    gap: Gap,
    rate: Option<TargetRate>,
    encoder: ImageEncoder,
    /// Makes the messages of pictures that are not decoded yet.
    images: DecodedImages,
    counts: Arc<Counts>,
    frames: mpsc::Sender<Result<Frame>>,
    /// The units in the decoder that their pictures are to carry, with their presentation times.
    units: VecDeque<(i64, Arc<AccessUnitData>)>,
}

impl Outlet {
    pub(crate) fn new(
        form: Form,
        gap: Gap,
        counts: Arc<Counts>,
        frames: mpsc::Sender<Result<Frame>>,
    ) -> Result<Self> {
        Ok(Self {
            gap,
            rate: form.fps.map(TargetRate::new),
            encoder: ImageEncoder::new(form.wire, form.handed_over, form.resize)?,
            images: DecodedImages::new(form.wire)?,
            form,
            counts,
            frames,
            units: VecDeque::new(),
        })
    }

    /// A unit enters the decoder. Its picture will carry its message, if it has one. A resized picture carries none: the unit
    /// is for a node that records or copies what is shown.
    pub(crate) fn remember(&mut self, encoded: &Encoded) {
        let Some(message) = encoded.message.as_ref().filter(|_| self.form.resize.is_none()) else { return };
        if self.units.len() == MAX_UNITS {
            // The decoder has returned no picture for this unit.
            self.units.pop_front();
        }
        self.units.push_back((encoded.unit.pts, Arc::clone(message)));
    }

    fn recall(&mut self, pts: i64) -> Option<Arc<AccessUnitData>> {
        let at = self.units.iter().position(|(other, _)| *other == pts)?;
        self.units.remove(at).map(|(_, message)| message)
    }

    /// Whether pictures are decoded only if a node asks for them.
    pub(crate) fn is_deferred(&self) -> bool {
        self.form.deferred
    }

    /// Publishes a received JPEG picture, unchanged unless it is resized or published raw.
    pub(crate) fn jpeg(
        &mut self,
        encoded: Encoded,
        decoder: &mut JpegDecoder,
        picture: &mut Picture,
    ) -> Result<(), Stop> {
        let Encoded { unit, message } = encoded;
        let message = message.filter(|_| self.form.resize.is_none());
        let size = unit.size.filter(|_| self.form.deferred);
        let is_unchanged = self.form.wire != WireForm::Raw && self.form.resize.is_none();
        if !self.choose(unit.captured, is_unchanged || size.is_none()) {
            return Ok(());
        }
        let image = if is_unchanged {
            let size = unit.size.map(|(width, height)| vec![height.into(), width.into(), 3]);
            ImageData {
                image: Some(unit.data.into()),
                is_encoded: true,
                detection_results: None,
                size,
                access_unit: None,
            }
        } else if let Some((width, height)) = size {
            let size = self.resized(Size::new(width as usize, height as usize)?)?;
            let image = self.deferred_jpeg(unit.data, size);
            return self.send(ImageData { access_unit: message, ..image }, unit.captured);
        } else {
            decoder.decode(&unit.data, picture)?;
            self.encoder.encode(&picture.planes())?
        };
        self.send_decoded(ImageData { access_unit: message, ..image }, unit.captured)
    }

    /// The message of a JPEG picture that is decoded when a node asks for it.
    fn deferred_jpeg(&self, data: Bytes, size: Size) -> ImageData {
        let counts = Arc::clone(&self.counts);
        let decode = move |place: &PendingPicture| {
            let mut picture = Picture::default();
            match JpegDecoder::new().and_then(|mut decoder| decoder.decode(&data, &mut picture)) {
                Ok(()) => {
                    counts.decoded.inc();
                    place.fill(&picture.planes());
                }
                Err(error) => place.fail(&error.to_string()),
            }
        };
        self.images.deferred(size, decode).0
    }

    /// The size of published frames.
    fn resized(&self, size: Size) -> Result<Size, msight_picture::Error> {
        self.form.resize.map_or(Ok(size), |ratio| size.scaled(ratio))
    }

    /// Ends the stream of frames with an error.
    pub(crate) fn fail(&self, error: anyhow::Error) {
        // This fails only if the source was dropped, which no longer needs the error.
        let _ = self.frames.blocking_send(Err(error));
    }

    /// Whether to publish the picture captured at this time. Counts a picture that is left out.
    fn choose(&mut self, captured: f64, is_decoded: bool) -> bool {
        let reason = if !self.gap.passes() {
            LeftOut::Gap
        } else if !self.rate.as_mut().is_none_or(|rate| rate.keep(captured)) {
            LeftOut::Fps
        } else {
            return true;
        };
        self.counts.decoded.inc_by(is_decoded.into());
        self.counts.left_out(reason).inc();
        false
    }

    fn send_decoded(&self, image: ImageData, captured: f64) -> Result<(), Stop> {
        let sent = self.send(image, captured);
        // Count last, so that a picture in progress is in no counter.
        self.counts.decoded.inc();
        sent
    }

    /// Waits while the publisher is busy. Meanwhile the next pictures stay in the queue as access units, which are
    /// small.
    fn send(&self, image: ImageData, captured: f64) -> Result<(), Stop> {
        self.frames.blocking_send(Ok(Frame { image, captured })).map_err(|_| {
            self.counts.left_out(LeftOut::Stopped).inc();
            Stop::Gone
        })
    }
}

impl PictureSink for Outlet {
    type Error = Stop;

    /// Publishes a decoded picture, unless `--gap` or `--fps` leaves it out.
    fn picture(&mut self, planes: &Planes<'_>, times: PictureTimes) -> Result<(), Stop> {
        let message = self.recall(times.pts);
        if !self.choose(times.captured, true) {
            return Ok(());
        }
        let image = self.encoder.encode(planes)?;
        self.send_decoded(ImageData { access_unit: message, ..image }, times.captured)
    }

    fn dropped(&mut self, reason: DropReason, units: u64) {
        self.counts.dropped(reason).inc_by(units);
    }
}

impl DeferredSink for Outlet {
    /// Publishes a picture that is not decoded yet, unless `--gap` or `--fps` leaves it out.
    fn deferred(&mut self, picture: DeferredPicture) -> Result<(), Stop> {
        let times = picture.times();
        let message = self.recall(times.pts);
        if !self.choose(times.captured, false) {
            return Ok(());
        }
        let size = self.resized(picture.size())?;
        let image = picture.into_image(&self.images, size);
        self.send(ImageData { access_unit: message, ..image }, times.captured)
    }
}
