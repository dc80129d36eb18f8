//! Whole segments become messages.

use std::io;

use msight_node::Context;
use msight_node::sensors::{NotPublished, ThreadPublisher};
use msight_proto::{EncodeError, Receipt, Sample, Utc, VideoData, VideoFile, to_json, unix_now};
use msight_spool::{PartFile, SpooledSegment};
use tracing::{error, info};

use crate::counts::{Counts, SegmentLoss};
use crate::files::Files;
use crate::message_size::{MAX_MESSAGE, message_bytes};
use crate::segment::Ended;
use crate::sink::Sink;

/// Why a segment in the spool folder could not be completed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompleteError {
    #[error(transparent)]
    Sidecar(#[from] EncodeError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Completes a segment in the spool folder, and adds its file to its message.
///
/// # Errors
/// The segment stays unfinished in the folder.
pub(crate) fn complete(
    part: PartFile,
    message: &mut Sample<VideoData>,
) -> Result<SpooledSegment, CompleteError> {
    let segment = part.complete(to_json(message)?.as_bytes())?;
    let (path, bytes) = (segment.relative_path().to_owned(), segment.bytes());
    message.body.video_file = Some(VideoFile { path, bytes });
    Ok(segment)
}

/// Publishes the segments of a sensor.
pub(crate) struct SegmentPublisher {
    pub(crate) cx: Context,
    pub(crate) out: ThreadPublisher<VideoData>,
    pub(crate) files: Files,
}

impl SegmentPublisher {
    /// Publishes a segment, and waits while the bus is behind.
    pub(crate) fn publish(&self, ended: Ended, label: &str, counts: &Counts) {
        let (frames, duration_s) = (ended.frames.count(), (ended.duration * 1e3).round() / 1e3);
        let (bytes, reason) = (ended.bytes, ended.ending.as_str());
        let (lost_before, lost_within) = (some(ended.origin.frames_lost_before), some(ended.lost_within));
        let (capture_timestamps, frame_ids) = ended.frames.finish();
        let from = Utc(capture_timestamps.first().copied().unwrap_or(ended.origin.start));
        let to = Utc(capture_timestamps.last().copied().unwrap_or(ended.origin.start));
        let head = self.cx.head(ended.origin.sensor.clone(), unix_now());
        let body =
            VideoData { frame_ids, capture_timestamps: Some(capture_timestamps), ..VideoData::default() };
        let mut message = Sample::new(head, body);
        let lost = |why, reason: &dyn std::fmt::Display| {
            counts.segment_lost(why);
            error!(sensor = label, frames, bytes, %from, %to, "segment lost: {reason}");
        };
        let path = match ended.sink {
            Sink::Spool(part) => match complete(part, &mut message) {
                Ok(segment) => Some(segment.relative_path().to_owned()),
                Err(error) => {
                    error!(sensor = label, frames, bytes, %from, %to, "segment left unfinished in the spool folder: {error}; it is recovered later");
                    counts.postponed();
                    self.files.leave_unfinished();
                    self.files.failed(&error.to_string());
                    return;
                }
            },
            Sink::Memory(_) if message_bytes(bytes, frames) > MAX_MESSAGE => {
                ended.receipts.iter().for_each(Receipt::abandon);
                counts.segment(ended.ending);
                let reason = "it is larger than the 28 MiB that Redis delivers in a message; add --spool DIR, or lower the bitrate \
                              of the camera";
                return lost(SegmentLoss::TooLarge, &reason);
            }
            Sink::Memory(file) => {
                message.body.video = Some(file.into_inner().into());
                message = message.with_receipt(Receipt::join(ended.receipts));
                None
            }
        };
        // One that is left unfinished is counted when it is recovered.
        counts.segment(ended.ending);
        let published = self.out.publish(message);
        let event = if published.is_ok() { "segment published" } else { "segment recorded" };
        let path = path.as_deref();
        match published {
            Err(NotPublished::Refused(error)) if path.is_none() => {
                lost(SegmentLoss::Publish, &format_args!("{error:#}"));
            }
            Err(NotPublished::Stopped) if path.is_none() => {
                lost(SegmentLoss::Stopped, &"the node stopped before it was published");
            }
            // A segment in the folder is found there, also without its message.
            _ => info!(
                sensor = label,
                frames, duration_s, bytes, %from, %to, lost_before, lost_within, reason, path, "{event}"
            ),
        }
    }
}

/// Without such losses a log line has no such fields.
fn some(frames: u64) -> Option<u64> {
    (frames > 0).then_some(frames)
}
