//! Messages with access units, as `golden/ours` has them: packed by msgpack-python, with what MSight_Core makes of them.

use bytes::Bytes;
use msight_proto::*;

/// A message of `golden/ours`, and whether MSight_Core decodes it.
fn golden(name: &str) -> (Bytes, bool) {
    let path = format!("{}/tests/golden/ours/{name}", env!("CARGO_MANIFEST_DIR"));
    let payload = std::fs::read(format!("{path}.msgpack")).unwrap().into();
    let sidecar = std::fs::read(format!("{path}.json")).unwrap();
    let sidecar: serde_json::Value = serde_json::from_slice(&sidecar).unwrap();
    (payload, sidecar["python_decode"]["ok"].as_bool().unwrap())
}

/// The unit of the key frame.
fn key_frame() -> AccessUnitData {
    AccessUnitData {
        track: "video".to_owned(),
        codec: "h264".to_owned(),
        key: true,
        pts: 1_234_567,
        dts: 1_231_564,
        rate: 90_000,
        sequence: 42,
        session: "5f3c9a0b7d21e846".to_owned(),
        after_loss: false,
        parameter_sets: Some(vec![
            Bytes::from_static(b"\x67\x42\xc0\x1e\x95\xa0\x28\x0b\xfe\x54"),
            Bytes::from_static(b"\x68\xce\x3c\x80"),
        ]),
        size: Some(vec![1080, 1920]),
        channels: None,
        data: Bytes::from_static(b"\0\0\0\x04\x65\x88\x84\0"),
    }
}

#[test]
fn units_have_the_bytes_of_the_golden_messages() {
    let sound = AccessUnitData {
        track: "audio2".to_owned(),
        codec: "pcma".to_owned(),
        pts: -160,
        dts: -160,
        rate: 8_000,
        sequence: 0,
        after_loss: true,
        parameter_sets: None,
        size: None,
        channels: Some(1),
        data: Bytes::from_static(&[0xd5; 4]),
        ..key_frame()
    };
    for (name, unit) in [("access_unit_key", key_frame()), ("access_unit_audio", sound)] {
        let (payload, python_decodes) = golden(name);
        let sample = decode::<AccessUnitData>(&payload).unwrap();
        assert_eq!(sample.head.sensor_name.as_deref(), Some("gate"));
        assert_eq!(sample.body, unit, "{name}");
        assert_eq!(encode(&sample).unwrap(), payload, "{name}");
        assert!(!python_decodes, "a Python node ends at {name}, which msight check reports");
    }
}

#[test]
fn a_picture_with_its_unit_is_an_ordinary_picture_to_python() {
    let (payload, python_decodes) = golden("image_with_access_unit");
    assert!(python_decodes);
    let sample = decode::<ImageData>(&payload).unwrap();
    let unit = sample.body.access_unit.as_deref().expect("it has a unit");
    assert_eq!(unit, &key_frame());
    assert_eq!(encode(&sample).unwrap(), payload);
    for bytes in unit.parameter_sets.iter().flatten().chain([&unit.data]) {
        assert!(payload.as_ptr_range().contains(&bytes.as_ptr()), "{bytes:?} is copied");
    }
    // Without a unit the field is absent, as in a message of MSight.
    let without = ImageData { access_unit: None, ..sample.body.clone() };
    let encoded = encode(&Sample::new(sample.head.clone(), without.clone())).unwrap();
    assert!(!encoded.windows(11).any(|name| name == b"access_unit"));
    assert_eq!(sample.body.weight() - without.weight(), unit.weight());
    let shared = sample.share().unwrap().body.access_unit.unwrap();
    assert!(std::sync::Arc::ptr_eq(&shared, sample.body.access_unit.as_ref().unwrap()));
}

#[test]
fn a_unit_that_cannot_be_read_costs_no_picture() {
    let (payload, _) = golden("image_with_access_unit");
    let Value::Map(mut entries) = rmp_serde::from_slice(&payload).unwrap() else { panic!("it is a map") };
    for unit in [Value::Int(7), Value::Map(vec![(Value::Str("track".to_owned()), Value::Nil)]), Value::Nil] {
        let key = Value::Str("access_unit".to_owned());
        entries.retain(|(name, _)| *name != key);
        // In front, so that all other fields follow it.
        entries.insert(0, (key, unit));
        let payload = rmp_serde::to_vec_named(&Value::Map(entries.clone())).unwrap();
        let body = decode::<ImageData>(&payload.into()).unwrap().body;
        assert_eq!((body.access_unit, body.size), (None, Some(vec![1080, 1920, 3])));
    }
}
