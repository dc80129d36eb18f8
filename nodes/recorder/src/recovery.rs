//! What a dead recorder left in the spool folder is finished, up to its last whole fragment.

use std::collections::HashSet;
use std::io::{self, Seek, SeekFrom};

use msight_media::mp4::{self, Extent, Storage};
use msight_media::{matroska, ts};
use msight_node::Context;
use msight_proto::{FrameId, Sample, Utc, VideoData, VideoFile, unix_now};
use msight_spool::{PartFile, Spool, SpooledSegment};
use serde::Deserialize;
use tracing::{error, info, warn};

use crate::counts::{Counts, SegmentLoss};
use crate::ending::Ending;
use crate::index;
use crate::origin::Origin;
use crate::publication::{CompleteError, complete};
use crate::sink::Sink;
use crate::start::Interrupted;

mod contents;
mod times;

use contents::{capture_times, holds_no_sample, indexed};

/// Most files that are remembered because they cannot be recovered.
const MAX_UNRECOVERABLE: usize = 10_000;

/// The message of a segment and its size in bytes; `None` if it has no whole fragment.
type Recovered = Result<Option<(Sample<VideoData>, u64)>, Failure>;

/// Why a segment was not recovered. It stays in the folder.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The file is damaged. It is not tried again.
    #[error("{0}")]
    Damaged(String),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Mp4(mp4::Error),
    #[error(transparent)]
    Complete(#[from] CompleteError),
}

impl From<mp4::Error> for Failure {
    fn from(error: mp4::Error) -> Self {
        match error {
            mp4::Error::Io(error) => Self::Io(error),
            mp4::Error::Format(reason) => Self::Damaged(reason),
            error => Self::Mp4(error),
        }
    }
}

/// The unfinished segments of a folder.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// The sensors of the segments found at the start.
    interrupted: Interrupted,
    /// No run has ended.
    is_start: bool,
    /// The paths of those that could not be recovered, each reported once.
    reported: HashSet<String>,
    /// Those that are damaged.
    damaged: HashSet<String>,
}

impl Recovery {
    /// Nothing is recovered yet. `interrupted` takes the sensors of unfinished segments.
    pub(crate) fn new(interrupted: Interrupted) -> Self {
        Self { interrupted, is_start: true, reported: HashSet::new(), damaged: HashSet::new() }
    }

    /// Finishes all segments that dead programs left in the folder, and gives their messages to `publish`. Returns whether
    /// nothing is left that may be recovered later.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) fn run(
        &mut self,
        spool: &Spool,
        cx: &Context,
        counts: &Counts,
        mut publish: impl FnMut(Sample<VideoData>),
    ) -> io::Result<bool> {
        loop {
            let found = spool.unfinished()?;
            let mut is_done = found.errors.is_empty();
            for error in found.errors {
                let text = error.to_string();
                if self.is_new(&text) {
                    error!("cannot look for all unfinished segments: {text}");
                }
            }
            let sensors = found.parts.iter().map(|part| Origin::of_path(part.relative_path()).sensor);
            if self.is_start {
                self.interrupted.note(sensors);
            }
            let mut has_progress = !found.completed.is_empty();
            for segment in found.completed {
                match announcement(&segment, cx) {
                    Ok(message) => publish_recovered(message, segment.bytes(), counts, &mut publish),
                    // A scan of the folder finds it.
                    Err(error) => warn!(
                        path = segment.relative_path(),
                        "no message announces a segment in the spool folder: {error}"
                    ),
                }
            }
            for part in found.parts {
                let path = part.relative_path().to_owned();
                if self.damaged.contains(&path) {
                    continue;
                }
                let recovered = recover_one(part, cx);
                has_progress |= recovered.is_ok();
                match recovered {
                    Ok(Some((message, bytes))) => publish_recovered(message, bytes, counts, &mut publish),
                    Ok(None) => {
                        counts.segment_lost(SegmentLoss::Empty);
                        warn!(
                            path,
                            "unfinished segment removed: its recorder died before the first fragment was written"
                        );
                    }
                    Err(failure) => is_done &= self.note_failure(path, &failure, counts),
                }
            }
            // Files that cannot be recovered would be found again and again.
            if !has_progress {
                self.is_start = false;
                return Ok(is_done);
            }
        }
    }

    /// Reports once that a segment was not recovered. Returns whether it is damaged, and not tried again.
    fn note_failure(&mut self, path: String, failure: &Failure, counts: &Counts) -> bool {
        if self.is_new(&path) {
            counts.segment_lost(SegmentLoss::Unrecoverable);
            error!(path, "cannot recover a segment: {failure}; it stays in the spool folder");
        }
        let is_damaged = matches!(failure, Failure::Damaged(_));
        if is_damaged {
            // It may be here since long ago.
            self.interrupted.forget(&Origin::of_path(&path).sensor);
        }
        if is_damaged && self.damaged.len() < MAX_UNRECOVERABLE {
            self.damaged.insert(path);
        }
        is_damaged
    }

    /// Whether this was not reported yet.
    fn is_new(&mut self, what: &str) -> bool {
        self.reported.len() < MAX_UNRECOVERABLE && self.reported.insert(what.to_owned())
    }
}

fn publish_recovered(
    message: Sample<VideoData>,
    bytes: u64,
    counts: &Counts,
    publish: &mut impl FnMut(Sample<VideoData>),
) {
    counts.segment(Ending::Recovered);
    let times = message.body.capture_timestamps.as_deref().unwrap_or_default();
    let from = Utc(times.first().copied().unwrap_or(f64::NAN));
    let to = Utc(times.last().copied().unwrap_or(f64::NAN));
    let sensor = message.head.sensor_name.as_deref();
    let path = message.body.video_file.as_ref().map(|file| file.path.as_str());
    info!(sensor, path, bytes, %from, %to, reason = "recovered", "segment recovered");
    publish(message);
}

/// Finishes one segment.
fn recover_one(part: PartFile, cx: &Context) -> Recovered {
    let path = part.relative_path().to_owned();
    let mut sink = Sink::Spool(part);
    let (whole, is_ts) = match path.rsplit_once('.') {
        Some((_, "ts")) => (Some(ts::whole_length(&mut sink)?), true),
        Some((_, "mkv")) => (matroska::whole_length(&mut sink)?, false),
        _ => return recover_mp4(sink, &path, cx),
    };
    let Some(whole) = whole else { return discard(sink) };
    let origin = Origin::of_path(&path);
    sink.truncate(whole)?;
    let times = match is_ts {
        true => times::of_transport_stream(&mut sink, origin.start)?,
        false => times::of_matroska(&mut sink, origin.start)?,
    };
    if times.is_empty() {
        return discard(sink);
    }
    finish(sink, origin, times, cx)
}

fn recover_mp4(mut sink: Sink, path: &str, cx: &Context) -> Recovered {
    let length = sink.seek(SeekFrom::End(0))?;
    let origin = Origin::read(&mut sink, length)?.unwrap_or_else(|| Origin::of_path(path));
    let times = match mp4::read_fragments(&mut sink, length) {
        Ok(fragmented) => {
            index::write(&mut sink, &origin, Ending::Recovered, 0, Extent::Readable)?;
            capture_times(&fragmented, origin.start)
        }
        Err(mp4::Error::Indexed) => {
            let (indexed, has_ending) = indexed(&mut sink, length)?;
            if !has_ending {
                // `msight repair` wrote the index, and not why the segment ended.
                index::mark_recovered(&mut sink, &origin)?;
            }
            capture_times(&indexed, origin.start)
        }
        Err(mp4::Error::Format(_)) if holds_no_sample(&mut sink, length)? => return discard(sink),
        Err(error) => return Err(error.into()),
    };
    finish(sink, origin, times, cx)
}

/// What a message can say of a segment again.
#[derive(Deserialize)]
struct Sidecar {
    sensor_name: Option<String>,
    device_name: Option<String>,
    #[serde(default)]
    capture_timestamps: Option<Vec<f64>>,
    #[serde(default)]
    frame_ids: Option<Vec<Option<FrameId>>>,
}

/// The message of a segment that was whole but for its name.
fn announcement(
    segment: &SpooledSegment,
    cx: &Context,
) -> Result<Sample<VideoData>, Box<dyn std::error::Error>> {
    let sidecar: Sidecar = serde_json::from_slice(&segment.sidecar()?)?;
    let mut head = cx.head(sidecar.sensor_name, unix_now());
    head.device_name = sidecar.device_name.or(head.device_name);
    let body = VideoData {
        video_file: Some(VideoFile { path: segment.relative_path().to_owned(), bytes: segment.bytes() }),
        frame_ids: sidecar.frame_ids,
        capture_timestamps: sidecar.capture_timestamps,
        ..VideoData::default()
    };
    Ok(Sample::new(head, body))
}

fn finish(sink: Sink, origin: Origin, capture_timestamps: Vec<f64>, cx: &Context) -> Recovered {
    let Sink::Spool(part) = sink else { return Ok(None) };
    let mut head = cx.head(origin.sensor, unix_now());
    head.device_name = Some(origin.device).filter(|device| !device.is_empty()).or(head.device_name);
    let body = VideoData { capture_timestamps: Some(capture_timestamps), ..VideoData::default() };
    let mut message = Sample::new(head, body);
    let segment = complete(part, &mut message)?;
    Ok(Some((message, segment.bytes())))
}

fn discard(sink: Sink) -> Recovered {
    if let Sink::Spool(part) = sink {
        part.discard()?;
    }
    Ok(None)
}
