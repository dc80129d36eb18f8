//! From a decoded picture to the message: chosen by `--gap` and `--fps` first, scaled and encoded only then.

use std::sync::Arc;

use anyhow::Result;
use msight_node::Gap;
use msight_picture::{JpegDecoder, Picture, Planes, WireForm};
use msight_proto::ImageData;
use tokio::sync::mpsc;

use crate::counts::{Counts, LeftOut};
use crate::images::Images;
use crate::select::TargetRate;

/// How pictures are published.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    /// What a picture is in a message.
    pub(crate) wire: WireForm,
    /// It is handed to the other nodes of the process as it is, and becomes that only where bytes are asked for.
    pub(crate) handed_over: bool,
    /// Width and height are multiplied by this.
    pub(crate) resize: Option<f64>,
    /// At most this many frames a second.
    pub(crate) fps: Option<f64>,
}

/// A picture ready to be published.
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
    /// The receiver of frames is gone: the source was dropped.
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
    images: Images,
    counts: Arc<Counts>,
    frames: mpsc::Sender<Result<Frame>>,
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
            images: Images::new(form.wire, form.handed_over, form.resize)?,
            form,
            counts,
            frames,
        })
    }

    /// Publishes a decoded picture, unless `--gap` or `--fps` leaves it out.
    pub(crate) fn picture(&mut self, planes: &Planes<'_>, captured: f64) -> Result<(), Stop> {
        if !self.chosen(captured) {
            return Ok(());
        }
        let image = self.images.message(planes)?;
        self.send(image, captured)
    }

    /// Publishes a picture that came as JPEG, as it is where nothing else was asked for.
    pub(crate) fn jpeg(
        &mut self,
        data: Vec<u8>,
        size: Option<(u32, u32)>,
        captured: f64,
        decoder: &mut JpegDecoder,
        picture: &mut Picture,
    ) -> Result<(), Stop> {
        if !self.chosen(captured) {
            return Ok(());
        }
        let image = if self.form.wire == WireForm::Raw || self.form.resize.is_some() {
            decoder.decode(&data, picture)?;
            self.images.message(&picture.planes())?
        } else {
            let size = size.map(|(width, height)| vec![height.into(), width.into(), 3]);
            ImageData { image: Some(data.into()), is_encoded: true, detection_results: None, size }
        };
        self.send(image, captured)
    }

    /// Ends the stream of frames with what went wrong.
    pub(crate) fn fail(&self, error: anyhow::Error) {
        // Without a receiver nobody is left to tell.
        let _ = self.frames.blocking_send(Err(error));
    }

    fn chosen(&mut self, captured: f64) -> bool {
        let reason = if !self.gap.passes() {
            LeftOut::Gap
        } else if !self.rate.as_mut().is_none_or(|rate| rate.take(captured)) {
            LeftOut::Fps
        } else {
            return true;
        };
        self.counts.decoded.inc();
        self.counts.left_out(reason).inc();
        false
    }

    /// Waits while the publisher is busy: what comes meanwhile stays encoded, where it is small.
    fn send(&self, image: ImageData, captured: f64) -> Result<(), Stop> {
        let sent = self.frames.blocking_send(Ok(Frame { image, captured }));
        // Only now, so that a picture still at work when the counters are read counts nowhere.
        self.counts.decoded.inc();
        sent.map_err(|_| {
            self.counts.left_out(LeftOut::Stopped).inc();
            Stop::Gone
        })
    }
}
