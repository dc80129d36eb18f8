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
