//! A segment ready for a bucket: the video, its key, and the content of its `.json`.

use crate::key::{Layout, header_safe, hex, timestamp};
use crate::picture::{Picture, picture};
use crate::sidecar::{Description, message_json, with_keys};
use crate::video::Video;
use bytes::Bytes;
use msight_media::SegmentMetadata;
use msight_proto::{EncodeError, FrameId, Receipt, Sample, Value, VideoData};
use msight_spool::{MAX_NAME, SpooledSegment, encode_sensor};
use sha2::{Digest as _, Sha256};
use std::io;

/// A segment ready for upload. It holds the message's receipt, so dropping it acknowledges the message.
///
/// Of a segment in a spool folder it holds about a kilobyte: video and sidecar are read when they are needed.
#[derive(Debug)]
pub struct Segment {
    /// The object key without extension.
    pub stem: String,
    /// The video, in memory or in the spool folder.
    pub video: Video,
    /// MD5 of the video: S3's `ETag` of an object that is neither multipart nor KMS-encrypted.
    pub md5: String,
    /// SHA-256 of the video.
    pub sha256: String,
    /// Hash of the whole message. It differs between two messages with the same video, and is equal for a message that
    /// is delivered twice.
    pub identity: String,
    /// Values of `x-amz-meta-*` of both objects, in ASCII.
    pub metadata: Vec<(&'static str, String)>,
    sensor_name: String,
    /// JSON of the message, and what it says; `None` if they are in the spool folder.
    message: Option<(String, Description)>,
    picture: Option<Picture>,
    made: Option<SegmentMetadata>,
    receipt: Option<Receipt>,
}

/// Why a message cannot become a segment.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The message has no video. MSight's aggregator publishes such messages when its encoder fails.
    #[error("the message of sensor {sensor:?} has no video; see the aggregator's log")]
    Empty {
        /// The sensor as it is in keys.
        sensor: String,
    },
    /// The metadata has no JSON form.
    #[error("cannot write the segment's metadata as JSON")]
    Metadata(#[from] EncodeError),
    /// The segment's files in the spool folder cannot be read; `NotFound` if they are gone.
    #[error("cannot read the segment: {0}")]
    Unreadable(#[from] io::Error),
    /// The sidecar in the spool folder is not one.
    #[error("the sidecar of {path:?} in the spool folder is not JSON of a message: {problem}")]
    Sidecar {
        /// The video's path below the spool folder.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Segment {
    /// A clone of the message's receipt, if it has one.
    pub fn receipt(&self) -> Option<Receipt> {
        self.receipt.clone()
    }

    /// The sensor as the message names it; empty if it names none.
    pub fn sensor_name(&self) -> &str {
        &self.sensor_name
    }

    /// A value of [`metadata`](Self::metadata).
    pub fn metadata(&self, name: &str) -> Option<&str> {
        self.metadata.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Prepares a message for upload. Hashes its video, which takes about 3 ms a megabyte.
    ///
    /// # Errors
    /// The message has no video, or its metadata has no JSON form.
    pub fn new(mut sample: Sample<VideoData>, layout: &Layout, device: &str) -> Result<Self, SegmentError> {
        let video = Video::InMemory(sample.body.video.take().unwrap_or_default());
        let message = (message_json(&sample)?, Description::of(&sample.head, &sample.body));
        let mut segment = Self::of(video, &message.0, &message.1, layout, device)?;
        (segment.message, segment.receipt) = (Some(message), sample.take_receipt());
        Ok(segment)
    }

    /// Prepares a segment in a spool folder for upload. Key, identity and metadata follow from its sidecar and the content of
    /// its video, so they are the same however often and however the segment is found. Blocks while it reads the video, in a
    /// bounded buffer.
    ///
    /// # Errors
    /// The segment is gone, empty, or cannot be read, or its sidecar is not JSON of a message.
    pub fn spooled(file: SpooledSegment, layout: &Layout, device: &str) -> Result<Self, SegmentError> {
        let (text, description) = read_sidecar(&file)?;
        Self::of(Video::Spooled(file), &text, &description, layout, device)
    }

    fn of(
        video: Video,
        text: &str,
        description: &Description,
        layout: &Layout,
        device: &str,
    ) -> Result<Self, SegmentError> {
        let sensor = encode_sensor(description.sensor_name.as_deref());
        if video.is_empty() {
            return Err(SegmentError::Empty { sensor });
        }
        let times = description.times;
        let hashes = video.hash()?;
        let identity = hex(&Sha256::digest(format!("{}{text}", hashes.sha256).as_bytes()));
        let metadata = vec![
            ("sensor", header_safe(&sensor)),
            ("device", header_safe(device).chars().take(MAX_NAME).collect()),
            ("start", rfc3339(times.begin)),
            ("end", rfc3339(times.end)),
            ("frames", description.capture_timestamps.as_ref().map_or(0, Vec::len).to_string()),
            ("sha256", hashes.sha256.clone()),
            (IDENTITY, identity.clone()),
        ];
        let boxes = video.describing_boxes()?;
        let (picture, made) = (picture(&boxes), SegmentMetadata::read(&boxes));
        drop(boxes);
        Ok(Self {
            stem: layout.stem(description.sensor_name.as_deref(), times),
            video,
            md5: hashes.md5,
            sha256: hashes.sha256,
            identity,
            metadata,
            sensor_name: description.sensor_name.clone().unwrap_or_default(),
            message: None,
            picture,
            made,
            receipt: None,
        })
    }

    /// The content of the `.json` beside the video of this key. Blocks while it reads the sidecar of a spooled segment.
    ///
    /// # Errors
    /// The sidecar in the spool folder is gone or cannot be read.
    pub fn sidecar(&self, video_key: &str) -> Result<Bytes, SegmentError> {
        let (text, description) = match (&self.message, &self.video) {
            (None, Video::Spooled(file)) => read_sidecar(file)?,
            (message, _) => message.clone().ok_or_else(|| io::Error::other("the message is missing"))?,
        };
        let of_video = [
            ("video_key", Value::Str(video_key.to_owned())),
            ("video_bytes", Value::Int(self.video.len().into())),
            ("video_sha256", Value::Str(self.sha256.clone())),
        ];
        Ok(with_keys(text, of_video.into_iter().chain(self.facts(&description))).into())
    }

    /// The stem for a segment whose own stem is taken by another one. It depends only on the content, so a retry finds
    /// the object of the first try.
    #[must_use]
    pub fn suffixed_stem(&self) -> String {
        format!("{}_{}", self.stem, &self.identity[..crate::key::SUFFIX])
    }

    /// Values that readers would otherwise compute from MSight's keys and the video. An unknown value has no key.
    fn facts(&self, description: &Description) -> impl Iterator<Item = (&'static str, Value)> {
        // Frame ids have up to 64 bits; JavaScript and jq keep only 53.
        let id = |id: FrameId| Value::Str(id.to_string());
        let time = |seconds| timestamp(seconds).map(|time| Value::Str(format!("{time:.3}")));
        let number = |number: f64| {
            Some((number * 1000.0).round() / 1000.0).filter(|number| number.is_finite()).map(Value::F64)
        };
        let frames = description.capture_timestamps.as_deref().unwrap_or_default();
        let ids = description.frame_ids.as_ref();
        let ids = ids.map(|ids| Value::Array(ids.iter().map(|found| found.map_or(Value::Nil, id)).collect()));
        let gaps = frames.windows(2).map(|pair| pair[1] - pair[0]);
        let (times, found, made) = (description.times, self.picture.as_ref(), self.made.as_ref());
        let span = times.end - times.begin;
        let lost = |frames: u64| Value::Int(frames.into());
        let facts = [
            ("frame_id_string", description.frame_id.map(id)),
            ("frame_id_strings", ids),
            ("start_time", time(times.begin)),
            ("end_time", time(times.end)),
            ("frame_count", (!frames.is_empty()).then(|| Value::Int(frames.len() as i128))),
            (
                "frame_rate",
                (frames.len() > 1 && span > 0.0).then(|| (frames.len() - 1) as f64 / span).and_then(number),
            ),
            ("longest_frame_gap", gaps.reduce(f64::max).and_then(number)),
            ("video_codec", found.map(|found| Value::Str(found.codec.clone()))),
            ("video_width", found.map(|found| Value::Int(found.width.into()))),
            ("video_height", found.map(|found| Value::Int(found.height.into()))),
            ("frames_lost_before", made.map(|made| lost(made.frames_lost_before))),
            ("frames_lost_within", made.map(|made| lost(made.frames_lost_within))),
            ("copied", made.map(|made| Value::Bool(made.copied))),
            ("frames_hidden", made.map(|made| lost(made.frames_hidden))),
            ("ended_by", made.map(|made| Value::Str(made.ending.clone()))),
        ];
        facts.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

fn read_sidecar(file: &SpooledSegment) -> Result<(String, Description), SegmentError> {
    let broken = |problem: String| SegmentError::Sidecar { path: file.relative_path().to_owned(), problem };
    let text = String::from_utf8(file.sidecar()?).map_err(|error| broken(error.to_string()))?;
    let description = Description::parse(&text).map_err(|error| broken(error.to_string()))?;
    Ok((text, description))
}

/// Name of the object metadata with [`Segment::identity`].
pub const IDENTITY: &str = "segment";

fn rfc3339(seconds: f64) -> String {
    timestamp(seconds).map_or_else(|| "unknown".to_owned(), |time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests;
