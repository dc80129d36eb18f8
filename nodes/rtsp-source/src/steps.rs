//! The decoding thread's work without the thread, for benchmarks and tests.

use std::sync::Arc;

use anyhow::Result;
use msight_node::Gap;
use msight_node::metrics::Metrics;
use msight_picture::{DEFAULT_JPEG_QUALITY, WireForm};
use msight_proto::ImageData;
use tokio::sync::mpsc;

use crate::counts::Counts;
use crate::decode::{Decode as _, H264};
use crate::outlet::{Form, Frame, Outlet, Stop};
use crate::unit::AccessUnit;

/// A gap that nothing passes.
const NOTHING: i64 = -2;
/// A gap that everything passes.
const EVERYTHING: i64 = -1;

/// More pictures than one access unit can bring out: those inside the decoder, when it is emptied, and its own.
const MOST_PICTURES: usize = 32;

/// From access units of H.264 to messages.
pub struct Steps {
    decoder: H264,
    outlet: Outlet,
    frames: mpsc::Receiver<Result<Frame>>,
    taken: u32,
}

impl Steps {
    /// As the source is without flags; with `publish` false pictures are decoded and left out, as by `--gap`.
    ///
    /// # Errors
    /// There is no decoder or no encoder.
    pub fn new(publish: bool) -> Result<Self> {
        let counts = Arc::new(Counts::new(&Metrics::default()));
        let form =
            Form { wire: WireForm::Jpeg(DEFAULT_JPEG_QUALITY), handed_over: false, resize: None, fps: None };
        let (sender, frames) = mpsc::channel(MOST_PICTURES);
        let gap = Gap::new(if publish { EVERYTHING } else { NOTHING });
        let outlet = Outlet::new(form, gap, counts.clone(), sender)?;
        Ok(Self { decoder: H264::new(counts)?, outlet, frames, taken: 0 })
    }

    /// Works on an access unit (Annex B, with its parameter sets if it is a key frame), and gives the messages that came
    /// out.
    ///
    /// # Errors
    /// The stream cannot be decoded.
    pub fn access_unit(&mut self, data: Vec<u8>, key: bool) -> Result<Vec<ImageData>> {
        self.taken += 1;
        let (rtp, captured) = (i64::from(self.taken) * 3000, f64::from(self.taken) / 30.0);
        let unit = AccessUnit { data, rtp, captured, key, ..AccessUnit::default() };
        if let Err(Stop::Failed(error)) = self.decoder.unit(unit, &mut self.outlet) {
            return Err(error);
        }
        std::iter::from_fn(|| self.frames.try_recv().ok()).map(|frame| Ok(frame?.image)).collect()
    }
}
