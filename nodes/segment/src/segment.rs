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
mod tests {
    use super::*;
    use crate::key::Folders;
    use jiff::tz::TimeZone;
    use msight_proto::{Head, decode};
    use msight_spool::Spool;
    use serde::Deserialize;
    use std::io::Write as _;

    /// Recorded from MSight's Python program, with a recording client in place of boto3's.
    #[derive(Deserialize)]
    struct Cases {
        #[serde(rename = "MSIGHT_EDGE_DEVICE_NAME")]
        device: String,
        video_pusher: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        #[serde(rename = "TZ")]
        zone: String,
        prefix: String,
        message_msgpack_hex: String,
        puts: Vec<Put>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Put {
        key: String,
        #[serde(rename = "Body_utf8")]
        body_utf8: Option<String>,
    }

    fn unhex(text: &str) -> Bytes {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    /// Zones as POSIX rules, so that the test needs no zone files.
    fn zone(name: &str) -> TimeZone {
        TimeZone::posix(match name {
            "UTC" => "UTC0",
            "America/Detroit" => "EST5EDT,M3.2.0,M11.1.0",
            "Asia/Kolkata" => "IST-5:30",
            "Pacific/Kiritimati" => "<+14>-14",
            other => panic!("a new zone in the cases: {other}"),
        })
        .unwrap()
    }

    fn segment(case: &Case, device: &str, folders: Folders) -> Result<Segment, SegmentError> {
        let sample = decode::<VideoData>(&unhex(&case.message_msgpack_hex)).unwrap();
        Segment::new(sample, &Layout::new(&case.prefix, device, folders).unwrap(), device)
    }

    #[test]
    fn local_folders_equal_those_of_msight() {
        let cases: Cases = serde_json::from_str(include_str!("../tests/data/s3_keys.json")).unwrap();
        assert_eq!(cases.video_pusher.len(), 25);
        for (index, case) in cases.video_pusher.iter().enumerate() {
            let made = segment(case, &cases.device, Folders::Local(zone(&case.zone)));
            match index {
                // MSight uploads empty objects; we reject them.
                16 | 17 => assert!(matches!(made, Err(SegmentError::Empty { .. })), "case {index}"),
                // MSight's process exits here; our keys use the head's capture time instead of the missing one.
                19 | 20 => assert!(made.unwrap().stem.ends_with("/1700000003_1700000003"), "case {index}"),
                21 => assert!(made.unwrap().stem.ends_with("/1699999993_1700000003"), "case {index}"),
                22 => assert!(made.unwrap().stem.ends_with("/1700000003_1"), "case {index}"),
                _ => {
                    let made = made.unwrap();
                    assert_eq!(format!("{}.mp4", made.stem), case.puts[0].key, "case {index}");
                    let Some(json) = case.puts.get(1) else {
                        // MSight's process exits on bytes in the metadata, after it has uploaded the video.
                        assert_eq!(index, 24);
                        assert!(made.sidecar("k").unwrap().starts_with(b"{\"data_type\": "));
                        continue;
                    };
                    assert_eq!(format!("{}.json", made.stem), json.key, "case {index}");
                    let mut expected = json.body_utf8.clone().unwrap();
                    // Our times are always floats, and our keys follow those of MSight.
                    expected = expected
                        .replace(
                            "\"creation_timestamp\": 1700000000,",
                            "\"creation_timestamp\": 1700000000.0,",
                        )
                        .replace("\"capture_timestamps\": [5, 6]", "\"capture_timestamps\": [5.0, 6.0]");
                    assert_eq!(expected.pop(), Some('}'));
                    expected.push_str(
                        ", \"video_key\": \"k\\u00fc.mp4\", \"video_bytes\": 3, \"video_sha256\": ",
                    );
                    let sidecar = String::from_utf8(made.sidecar("kü.mp4").unwrap().to_vec()).unwrap();
                    let msights = format!("{expected}\"{}\"", made.sha256);
                    let ours = sidecar.strip_prefix(&msights);
                    let ours = ours.unwrap_or_else(|| panic!("case {index}: {sidecar} and not {msights}"));
                    let ours: serde_json::Value = serde_json::from_str(&ours.replacen(',', "{", 1)).unwrap();
                    let id =
                        made.message.as_ref().and_then(|(_, says)| says.frame_id).map(|id| id.to_string());
                    assert_eq!(ours.get("frame_id_string").and_then(|id| id.as_str()), id.as_deref());
                    assert!(
                        ours["start_time"].as_str().is_some_and(|time| time.ends_with('Z')),
                        "case {index}"
                    );
                }
            }
        }
    }

    #[test]
    fn utc_folders_have_the_hour_of_the_first_frame() {
        let cases: Cases = serde_json::from_str(include_str!("../tests/data/s3_keys.json")).unwrap();
        let keys: Vec<_> = cases
            .video_pusher
            .iter()
            .filter_map(|case| Some(segment(case, &cases.device, Folders::Utc).ok()?.stem))
            .collect();
        // For any time zone (6 to 8) and any creation time (9 and 10).
        for key in &keys[6..=10] {
            assert_eq!(key, "p/edge1/rtsp_sensor/2023-11-14/22/1699999993_1700000003");
        }
        assert!(keys.contains(&"p/edge1/rtsp_sensor/1970-01-01/00/5_6".to_owned()));
        assert!(keys.contains(&"p/edge1/rtsp_sensor/2017-07-14/02/1500000000_9007199254740992".to_owned()));
    }

    fn video(video: &'static [u8], capture: f64) -> Segment {
        let head = Head::new("cam ü".to_owned(), capture);
        let body = VideoData {
            video: Some(Bytes::from_static(video)),
            detection_results: None,
            frame_ids: None,
            capture_timestamps: Some(vec![capture, capture + 0.5]),
            video_file: None,
        };
        Segment::new(Sample::new(head, body), &Layout::new("p", "d", Folders::Utc).unwrap(), "d").unwrap()
    }

    #[test]
    fn the_sidecar_has_times_codec_and_losses() {
        let head = Head::new("cam".to_owned(), 1_700_000_000.25);
        let mut file = crate::picture::tests::file(b"avc1", 1280, 960, &[1, 0x42, 0xc0, 0x1f]);
        let made = SegmentMetadata {
            ending: "gap".to_owned(),
            frames_lost_before: 3,
            copied: true,
            frames_hidden: 12,
            ..SegmentMetadata::default()
        };
        made.append_to(&mut file);
        let body = VideoData {
            video: Some(file.into()),
            detection_results: None,
            frame_ids: Some(vec![Some(FrameId::from(u64::MAX)), None]),
            capture_timestamps: Some(vec![1_700_000_000.25, 1_700_000_000.75]),
            video_file: None,
        };
        let layout = Layout::new("p", "d", Folders::Utc).unwrap();
        let segment = Segment::new(Sample::new(head, body), &layout, "d").unwrap();
        let facts: serde_json::Value = serde_json::from_slice(&segment.sidecar("k").unwrap()).unwrap();
        assert_eq!(facts["frame_id_strings"], serde_json::json!(["18446744073709551615", null]));
        assert_eq!(facts["start_time"], "2023-11-14T22:13:20.250Z");
        assert_eq!(facts["end_time"], "2023-11-14T22:13:20.750Z");
        assert_eq!((&facts["frame_count"], &facts["frame_rate"]), (&2.into(), &2.0.into()));
        assert_eq!(facts["longest_frame_gap"], 0.5);
        assert_eq!((&facts["video_codec"], &facts["video_width"]), (&"avc1.42c01f".into(), &1280.into()));
        assert_eq!((&facts["ended_by"], &facts["frames_lost_before"]), (&"gap".into(), &3.into()));
        assert_eq!(facts["frames_lost_within"], 0);
        assert_eq!((&facts["copied"], &facts["frames_hidden"]), (&true.into(), &12.into()));
        assert!(facts["frame_id_string"].is_string() && facts["frame_id"].is_u64());
    }

    #[test]
    fn object_metadata_is_ascii() {
        let segment = video(b"abc", 1_700_000_000.25);
        let get = |name| segment.metadata.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
        assert_eq!(get("sensor"), Some("cam %C3%BC"));
        assert_eq!(get("start"), Some("2023-11-14T22:13:20.250Z"));
        assert_eq!(get("frames"), Some("2"));
        assert_eq!(segment.md5, "900150983cd24fb0d6963f7d28e17f72");
        assert!(segment.sha256.starts_with("ba7816bf8f01cfea414140de5dae2223"));
    }

    #[test]
    fn two_messages_of_the_same_second_and_video_have_different_suffixes() {
        let (a, b) = (video(b"abc", 1.0), video(b"abc", 1.0));
        assert_eq!(a.stem, b.stem);
        assert_ne!(a.suffixed_stem(), b.suffixed_stem());
        assert!(a.suffixed_stem().starts_with("p/d/cam ü/1970-01-01/00/1_1_"));
    }

    /// The same message by value, and by reference as a recorder leaves it in a spool folder.
    fn both_ways(folder: &tempfile::TempDir, extension: &str) -> (Segment, Segment) {
        let mut file = crate::picture::tests::file(b"avc1", 1280, 960, &[1, 0x42, 0xc0, 0x1f]);
        let made = SegmentMetadata {
            ending: "gap".to_owned(),
            frames_lost_before: 3,
            copied: true,
            frames_hidden: 12,
            ..SegmentMetadata::default()
        };
        made.append_to(&mut file);
        let body = VideoData {
            detection_results: Some(Value::F64(f64::NAN)),
            frame_ids: Some(vec![Some(FrameId::from(u64::MAX)), None]),
            capture_timestamps: Some(vec![1_700_000_000.25, 1_700_000_000.75]),
            ..VideoData::default()
        };
        let mut sample = Sample::new(Head::new("north/gate ü".to_owned(), 1_700_000_000.25), body);
        let spool = Spool::open(folder.path()).unwrap();
        let mut part = spool.create(sample.head.sensor_name.as_deref(), 1_700_000_000.25, extension).unwrap();
        part.file().write_all(&file).unwrap();
        let spooled = part.complete(message_json(&sample).unwrap().as_bytes()).unwrap();
        sample.body.video = Some(file.into());
        let layout = Layout::new("p", "d", Folders::Utc).unwrap();
        (Segment::new(sample, &layout, "d").unwrap(), Segment::spooled(spooled, &layout, "d").unwrap())
    }

    #[test]
    fn a_spooled_segment_is_what_its_message_would_be() {
        let folder = tempfile::tempdir().unwrap();
        let (by_value, by_reference) = both_ways(&folder, "mp4");
        assert_eq!(by_value.stem, by_reference.stem);
        assert_eq!(by_value.metadata, by_reference.metadata);
        assert_eq!((&by_value.md5, &by_value.identity), (&by_reference.md5, &by_reference.identity));
        assert_eq!(by_value.sidecar("k").unwrap(), by_reference.sidecar("k").unwrap());
        assert_eq!(by_reference.sensor_name(), "north/gate ü");
    }

    #[test]
    fn unusable_files_of_a_spool_folder_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (_, spooled) = both_ways(&folder, "ts");
        assert_eq!(spooled.picture, None, "not an MP4 file");
        let file = spooled.video.spooled().unwrap().clone();
        let layout = Layout::new("p", "d", Folders::Utc).unwrap();
        let again = || Segment::spooled(file.clone(), &layout, "d");
        std::fs::write(file.path().with_extension("json"), [0xff]).unwrap();
        assert!(matches!(again(), Err(SegmentError::Sidecar { .. })));
        std::fs::write(file.path().with_extension("json"), "[]").unwrap();
        assert!(again().unwrap_err().to_string().contains("north%2Fgate"));
        file.clone().delete().unwrap();
        let Err(SegmentError::Unreadable(error)) = again() else { panic!("it is gone") };
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(matches!(spooled.sidecar("k"), Err(SegmentError::Unreadable(_))));
    }
}
