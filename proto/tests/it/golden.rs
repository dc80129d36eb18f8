//! Messages of MSight are decoded, and encoded to the same bytes.
//!
//! `golden/messages` holds messages that MSight_Core 2.0.2 wrote, `golden/decode_only` messages that it only decoded.
//! The JSON file beside each message describes its bytes and how MSight decodes them.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use msight_proto::*;

fn files(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "msgpack") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder), &mut found);
    found.sort();
    found
}

fn name(path: &Path) -> String {
    let parts: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    format!("{}/{}", parts[1], parts[0].trim_end_matches(".msgpack"))
}

fn sidecar(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap()
}

/// Decodes as the type that the message names, and encodes again.
fn through_its_type(payload: &Bytes) -> Result<Bytes, String> {
    fn through<M: Message>(payload: &Bytes) -> Result<Bytes, String> {
        let sample = decode::<M>(payload).map_err(|error| error.to_string())?;
        Ok(encode(&sample).unwrap())
    }
    match data_type(payload).map_err(|error| error.to_string())? {
        ImageData::TYPE => through::<ImageData>(payload),
        VideoData::TYPE => through::<VideoData>(payload),
        BytesData::TYPE => through::<BytesData>(payload),
        SensorData::TYPE => through::<SensorData>(payload),
        SensorDataSequence::TYPE => through::<SensorDataSequence>(payload),
        DetectionResultsData::TYPE => through::<DetectionResultsData>(payload),
        RoadUserListData::TYPE => through::<RoadUserListData>(payload),
        PointCloudData::TYPE => through::<PointCloudData>(payload),
        other => Err(format!("unknown type {other}")),
    }
}

#[test]
fn every_message_of_msight_encodes_back_to_its_bytes() {
    // Two deliberate changes: whole numbers in time fields become floats, and a nil that MSight never writes becomes
    // the field's default.
    let changed = [
        "detection_results/all_nil",
        "detection_results/behaviors_undecodable",
        "detection_results/empty_result",
        "detection_results/map_info_undecodable",
        "detection_results/road_users",
        "image/all_nil",
        "image_floats/capture_ts_int",
        "sequence/nil_list",
        "video/all_nil",
        "video/int_capture_timestamps",
    ];
    let mut differ = Vec::new();
    for path in files("messages") {
        let payload = Bytes::from(std::fs::read(&path).unwrap());
        let again = through_its_type(&payload).unwrap_or_else(|error| panic!("{}: {error}", name(&path)));
        if again != payload {
            differ.push(name(&path));
            let original = value(&payload);
            let ours = value(&again);
            assert_eq!(ours, as_ours(&original, &ours, "").unwrap(), "{}", name(&path));
        }
    }
    assert_eq!(differ, changed);
}

fn value(payload: &Bytes) -> Value {
    rmp_serde::from_slice(payload).unwrap()
}

/// A value of MSight after it was decoded and encoded: unchanged, except for the documented changes.
fn as_ours(original: &Value, ours: &Value, key: &str) -> Result<Value, String> {
    let is_time = key.ends_with("timestamp") || key.ends_with("timestamps");
    Ok(match (original, ours) {
        (Value::Int(int), _) if is_time => Value::F64(*int as f64),
        (Value::Nil, Value::F64(_)) if ["capture_timestamp", "creation_timestamp"].contains(&key) => {
            ours.clone()
        }
        (Value::Nil, Value::Bool(true)) if key == "is_encoded" => Value::Bool(true),
        (Value::Array(original), Value::Array(ours)) if original.len() == ours.len() => Value::Array(
            original
                .iter()
                .zip(ours)
                .map(|(original, ours)| as_ours(original, ours, key))
                .collect::<Result<_, _>>()?,
        ),
        (Value::Map(original), Value::Map(ours)) if original.len() == ours.len() => Value::Map(
            original
                .iter()
                .zip(ours)
                .map(|((key, original), (_, ours))| {
                    let Value::Str(text) = key else { return Err(format!("key {key:?}")) };
                    Ok((key.clone(), as_ours(original, ours, text)?))
                })
                .collect::<Result<_, _>>()?,
        ),
        _ => original.clone(),
    })
}

#[test]
fn opaque_values_keep_every_byte() {
    for path in files("messages") {
        let payload = Bytes::from(std::fs::read(&path).unwrap());
        assert_eq!(rmp_serde::to_vec_named(&value(&payload)).unwrap(), payload, "{}", name(&path));
    }
}

#[test]
fn the_json_form_equals_that_of_msight() {
    let mut compared = 0;
    for path in files("messages") {
        if let Some(json) = sidecar(&path)["to_json"].as_str() {
            let payload = Bytes::from(std::fs::read(&path).unwrap());
            assert_eq!(value(&payload).to_json(), json, "{}", name(&path));
            compared += 1;
        }
    }
    assert!(compared > 50, "only {compared} sidecars have a JSON form");
}

#[test]
fn pictures_and_videos_are_not_copied() {
    for path in files("messages/image").into_iter().chain(files("messages/video")) {
        let payload = Bytes::from(std::fs::read(&path).unwrap());
        let body = match data_type(&payload).unwrap() {
            ImageData::TYPE => {
                let image = decode::<ImageData>(&payload).unwrap().body.image;
                image.map(|image| image.bytes().unwrap().clone())
            }
            _ => decode::<VideoData>(&payload).unwrap().body.video,
        };
        if let Some(body) = body.filter(|body| !body.is_empty()) {
            assert!(payload.as_ptr_range().contains(&body.as_ptr()), "{}", name(&path));
        }
    }
}

/// The outcome for each file of `decode_only`: `Ok`, or a part of the error.
const OUTCOMES: [(&str, Result<(), &str>); 42] = [
    ("alias_tag", Err("unknown type msight_core.data.ImageData")),
    ("bin_keys", Err("key of the map is not text")),
    ("bin_tag", Err("data_type is not text")),
    // MSight accepts text in a field for bytes. Here such a field always has bytes.
    ("bytes_str_payload", Err("expected bytes")),
    ("bytes_without_data", Err("missing field `data`")),
    ("det_no_object_type", Err("missing field `object_data_type`")),
    // Accepted: an unknown type is a plain name and is not imported.
    ("det_raw_untagged", Ok(())),
    ("det_unimportable", Ok(())),
    ("duplicate_key", Ok(())),
    ("empty", Err("at byte 0")),
    ("empty_tag", Err("empty data_type")),
    // MSight decodes a Timestamp object, which its nodes cannot use.
    ("ext_timestamp", Err("capture_timestamp: ")),
    ("extra_fields", Ok(())),
    ("float32_timestamp", Ok(())),
    ("header_wrong_types", Err("sensor_name: ")),
    ("image_det_other_class", Ok(())),
    ("image_det_plain", Ok(())),
    ("image_det_unknown", Ok(())),
    ("int_key", Err("key of the map is not text")),
    ("invalid_utf8_str", Err("")),
    ("map32_header", Ok(())),
    ("nil_tag", Err("data_type is not text")),
    ("no_tag", Err("missing data_type")),
    ("non_minimal_ints", Ok(())),
    ("not_a_map", Err("not a map")),
    // Text that is not UTF-8 is decoded as bytes, because senders with the old MessagePack specification write pictures
    // as text.
    ("old_spec_raw_image", Ok(())),
    ("only_tag", Ok(())),
    ("reserved_c1", Err("0xc1")),
    ("road_user_list_absent", Err("missing field `road_user_list`")),
    ("road_user_list_nil", Err("road_user_list: ")),
    ("seq_absent", Ok(())),
    ("seq_plain_elems", Ok(())),
    ("seq_unknown_elem", Ok(())),
    ("str32_tag", Ok(())),
    ("tag_data", Err("unknown type msight_core.data.base.Data")),
    ("tag_last", Ok(())),
    // MSight recurses endlessly.
    ("tag_sensordata", Ok(())),
    ("trailing_byte", Err("1 bytes after the end")),
    ("truncated", Err("more bytes")),
    ("unknown_tag", Err("unknown type")),
    ("video_frame_ids_int", Err("frame_ids: ")),
    ("video_lists_mixed", Err("frame_ids: ")),
];

#[test]
fn unusual_payloads_have_a_defined_outcome() {
    let files = files("decode_only");
    let names: Vec<_> = files.iter().map(|path| name(path).replace("decode_only/", "")).collect();
    assert_eq!(names, OUTCOMES.map(|(name, _)| name));
    for (path, (name, expected)) in files.iter().zip(OUTCOMES) {
        let outcome = through_its_type(&Bytes::from(std::fs::read(path).unwrap()));
        match (&outcome, expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{name}: {error}"),
            _ => panic!("{name}: {outcome:?}"),
        }
    }
}

#[test]
fn absent_fields_get_the_defaults_of_msight() {
    let path = files("decode_only").into_iter().find(|path| name(path).ends_with("/only_tag")).unwrap();
    let before = unix_now();
    let sample = decode::<ImageData>(&Bytes::from(std::fs::read(path).unwrap())).unwrap();
    assert_eq!(sample.head.sensor_name, None);
    assert!((before..=unix_now()).contains(&sample.head.capture_timestamp));
    assert!((before..=unix_now()).contains(&sample.head.creation_timestamp));
    assert!(sample.head.frame_id.is_some());
    assert_eq!(sample.head.device_name.as_deref(), device_name());
    assert_eq!(sample.body, ImageData::default());
}
