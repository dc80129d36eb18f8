//! A segment that has ended: its frames, and the file that is made of them.

use crate::camera_stream::Unit;
use crate::copied_video::CopiedVideo;
use crate::ending::Ending;
use bytes::Bytes;
use msight_media::mp4::{self, SampleData};
use msight_media::{AccessUnit, SegmentMetadata, TIMESCALE};
use msight_proto::{Receipt, Sample};
use std::sync::Arc;
use std::time::Duration;

/// One frame of a segment.
#[derive(Debug)]
pub(crate) struct SegmentFrame {
    /// The head of the frame's message, and the receipt that acknowledges it once the last segment with this frame is
    /// published.
    pub(crate) message: Sample<()>,
    /// When it was captured, in seconds since 1970.
    pub(crate) captured: f64,
    /// Its capture time does not follow that of the frame before it, which is therefore shown for the usual interval.
    pub(crate) leap: bool,
    /// Frames of the sensor lost between the frame before it and this one.
    pub(crate) lost: u64,
    /// The picture as it was encoded here; only if a segment needs it.
    pub(crate) encoded: Option<AccessUnit>,
    /// The picture as the camera encoded it, if the frame came with that.
    pub(crate) unit: Option<Arc<Unit>>,
}

impl SegmentFrame {
    /// Bytes of the picture as it was encoded here.
    pub(crate) fn encoded_bytes(&self) -> usize {
        self.encoded.as_ref().map_or(0, |unit| unit.data.len())
    }

    /// Bytes of the picture as the camera encoded it.
    pub(crate) fn unit_bytes(&self) -> usize {
        self.unit.as_ref().map_or(0, |unit| unit.data.len())
    }
}

/// A segment that has ended, with all that its file needs.
#[derive(Debug)]
pub(crate) struct EndedSegment {
    /// Its frames in order, at least one.
    pub(crate) frames: Vec<Arc<SegmentFrame>>,
    /// How long each of them is shown, in ticks of [`TIMESCALE`].
    pub(crate) durations: Vec<u32>,
    /// Why it ended.
    pub(crate) ending: Ending,
    /// The video, if it is copied; otherwise it is that of the encoded frames, of which the first is a key frame.
    pub(crate) copy: Option<CopiedVideo>,
    /// Seconds between frames at the target rate.
    pub(crate) interval: f64,
}

impl EndedSegment {
    /// The segment as an MP4 file.
    ///
    /// # Errors
    /// The samples do not make a file; see [`mp4::Error`].
    pub(crate) fn to_mp4(&self) -> Result<Bytes, mp4::Error> {
        let created = Duration::try_from_secs_f64(self.frames[0].captured).unwrap_or_default();
        let mut file = match (&self.copy, &self.frames[0].unit) {
            (Some(copy), Some(first)) => copy.to_mp4(created, first, &self.durations, self.interval)?,
            _ => self.encoded(created)?,
        };
        let metadata = SegmentMetadata {
            ending: self.ending.as_str().to_owned(),
            frames_lost_before: self.lost_before(),
            frames_lost_within: self.lost_within(),
            copied: self.is_copied(),
            frames_hidden: self.hidden() as u64,
        };
        metadata.append_to(&mut file);
        Ok(Bytes::from(file))
    }

    fn encoded(&self, created: Duration) -> Result<Vec<u8>, mp4::Error> {
        let units = self.frames.iter().filter_map(|frame| frame.encoded.as_ref());
        let sets = units.clone().next_back().and_then(|unit| unit.parameter_sets.clone()).unwrap_or_default();
        let samples: Vec<_> = (units.zip(&self.durations))
            .map(|(unit, &duration)| SampleData {
                data: &unit.data,
                key: unit.key,
                duration,
                composition_offset: 0,
            })
            .collect();
        mp4::mux(&sets, created, &samples, None)
    }

    /// Whether its video is copied from the camera's stream.
    pub(crate) fn is_copied(&self) -> bool {
        self.copy.is_some()
    }

    /// Pictures in the file that are not shown.
    pub(crate) fn hidden(&self) -> usize {
        self.copy.as_ref().map_or(0, CopiedVideo::hidden)
    }

    /// One receipt for all its frames. Dropping it acknowledges each frame that no other segment needs. It does not
    /// hold their data.
    pub(crate) fn receipt(&self) -> Receipt {
        let receipts: Vec<_> =
            self.frames.iter().filter_map(|frame| frame.message.clone().take_receipt()).collect();
        Receipt::join(receipts)
    }

    /// Frames of the sensor lost before its first frame, since the frame before that one.
    pub(crate) fn lost_before(&self) -> u64 {
        self.frames[0].lost
    }

    /// Frames of the sensor lost between its first frame and its last one.
    pub(crate) fn lost_within(&self) -> u64 {
        self.frames[1..].iter().map(|frame| frame.lost).sum()
    }

    /// How long it plays, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.durations.iter().map(|&d| f64::from(d)).sum::<f64>() / f64::from(TIMESCALE.get())
    }
}
