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
    let cases: Cases = serde_json::from_str(include_str!("../../tests/data/s3_keys.json")).unwrap();
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
                    .replace("\"creation_timestamp\": 1700000000,", "\"creation_timestamp\": 1700000000.0,")
                    .replace("\"capture_timestamps\": [5, 6]", "\"capture_timestamps\": [5.0, 6.0]");
                assert_eq!(expected.pop(), Some('}'));
                expected
                    .push_str(", \"video_key\": \"k\\u00fc.mp4\", \"video_bytes\": 3, \"video_sha256\": ");
                let sidecar = String::from_utf8(made.sidecar("kü.mp4").unwrap().to_vec()).unwrap();
                let msights = format!("{expected}\"{}\"", made.sha256);
                let ours = sidecar.strip_prefix(&msights);
                let ours = ours.unwrap_or_else(|| panic!("case {index}: {sidecar} and not {msights}"));
                let ours: serde_json::Value = serde_json::from_str(&ours.replacen(',', "{", 1)).unwrap();
                let id = made.message.as_ref().and_then(|(_, says)| says.frame_id).map(|id| id.to_string());
                assert_eq!(ours.get("frame_id_string").and_then(|id| id.as_str()), id.as_deref());
                assert!(ours["start_time"].as_str().is_some_and(|time| time.ends_with('Z')), "case {index}");
            }
        }
    }
}

#[test]
fn utc_folders_have_the_hour_of_the_first_frame() {
    let cases: Cases = serde_json::from_str(include_str!("../../tests/data/s3_keys.json")).unwrap();
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

/// An MP4 file that says how it was recorded.
fn file_of_a_recorder() -> Vec<u8> {
    let mut file = crate::picture::tests::file(b"avc1", 1280, 960, &[1, 0x42, 0xc0, 0x1f]);
    let made = SegmentMetadata {
        ending: "gap".to_owned(),
        frames_lost_before: 3,
        copied: true,
        frames_hidden: 12,
        ..SegmentMetadata::default()
    };
    made.append_to(&mut file);
    file
}

#[test]
fn the_sidecar_has_times_codec_and_losses() {
    let head = Head::new("cam".to_owned(), 1_700_000_000.25);
    let body = VideoData {
        video: Some(file_of_a_recorder().into()),
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
    assert_eq!(segment.metadata("sensor"), Some("cam %C3%BC"));
    assert_eq!(segment.metadata("start"), Some("2023-11-14T22:13:20.250Z"));
    assert_eq!(segment.metadata("frames"), Some("2"));
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
    let body = VideoData {
        detection_results: Some(Value::F64(f64::NAN)),
        frame_ids: Some(vec![Some(FrameId::from(u64::MAX)), None]),
        capture_timestamps: Some(vec![1_700_000_000.25, 1_700_000_000.75]),
        ..VideoData::default()
    };
    let mut sample = Sample::new(Head::new("north/gate ü".to_owned(), 1_700_000_000.25), body);
    let spool = Spool::open(folder.path()).unwrap();
    let mut part = spool.create(sample.head.sensor_name.as_deref(), 1_700_000_000.25, extension).unwrap();
    let file = file_of_a_recorder();
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
