//! The work of the decoding thread without the thread, for benchmarks and tests.

use std::sync::Arc;

use anyhow::Result;
use msight_media::{AccessUnit, Codec};
use msight_node::Gap;
use msight_node::metrics::Metrics;
use msight_picture::{DEFAULT_JPEG_QUALITY, WireForm};
use msight_proto::ImageData;
use tokio::sync::mpsc;

use crate::counts::Counts;
use crate::decoding::Decoding;
use crate::outlet::{Form, Frame, Outlet, Stop};

/// The value of `--gap` that leaves out all frames.
const NOTHING: i64 = -2;
/// The value of `--gap` that leaves out no frame.
const EVERYTHING: i64 = -1;

/// More pictures than one access unit can yield: its own, and those in the decoder when it is drained.
const MAX_PICTURES: usize = 32;

/// Turns access units of H.264 into messages.
pub struct Steps {
    decoding: Decoding,
    outlet: Outlet,
    frames: mpsc::Receiver<Result<Frame>>,
    counts: Arc<Counts>,
    taken: u32,
}

/// What the messages of [`Steps`] hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// A JPEG file, as for programs.
    Bytes,
    /// The decoded picture, as for nodes of the process and programs.
    Decoded,
    /// The picture, undecoded, as for nodes of the process alone.
    Deferred,
}

impl Steps {
    /// Works as the source does without flags. With `publish` false, pictures are decoded and left out, as by `--gap`.
    ///
    /// # Errors
    /// The decoder or the encoder cannot be set up.
    pub fn new(publish: bool) -> Result<Self> {
        Self::start(Handover::Bytes, publish)
    }

    /// Makes messages for the nodes of the source's own process, and for others.
    ///
    /// # Errors
    /// The decoder or the encoder cannot be set up.
    pub fn for_process(handover: Handover) -> Result<Self> {
        Self::start(handover, true)
    }

    fn start(handover: Handover, publish: bool) -> Result<Self> {
        let counts = Arc::new(Counts::new(&Metrics::default()));
        let deferred = handover == Handover::Deferred;
        let form = Form {
            wire: WireForm::Jpeg(DEFAULT_JPEG_QUALITY),
            handed_over: handover != Handover::Bytes,
            deferred,
            resize: None,
            fps: None,
        };
        let (sender, frames) = mpsc::channel(MAX_PICTURES);
        let gap = Gap::new(if publish { EVERYTHING } else { NOTHING });
        let outlet = Outlet::new(form, gap, counts.clone(), sender)?;
        let decoding = Decoding::new(Codec::H264, false, deferred, counts.clone())?;
        Ok(Self { decoding, outlet, frames, counts, taken: 0 })
    }

    /// Number of pictures decoded so far.
    pub fn decoded(&self) -> u64 {
        self.counts.decoded.get()
    }

    /// Decodes an access unit (Annex B; a key frame with its parameter sets), and returns its messages.
    ///
    /// # Errors
    /// The stream cannot be decoded.
    pub fn access_unit(&mut self, data: &[u8], key: bool) -> Result<Vec<ImageData>> {
        self.taken += 1;
        let (pts, captured) = (i64::from(self.taken) * 3000, f64::from(self.taken) / 30.0);
        let unit = AccessUnit { pts, captured, ..AccessUnit::from_annex_b(data, key) };
        if let Err(Stop::Failed(error)) = self.decoding.decode(unit.into(), &mut self.outlet) {
            return Err(error);
        }
        std::iter::from_fn(|| self.frames.try_recv().ok()).map(|frame| Ok(frame?.image)).collect()
    }
}
