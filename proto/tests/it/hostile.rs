//! Payloads with false lengths, deep nesting, overflows or noise give an error or a value, never a panic or a large
//! allocation.

use bytes::Bytes;
use msight_proto::*;
use proptest::prelude::*;

/// An ImageData whose `image` is the given MessagePack.
fn with_image(value: &[u8]) -> Bytes {
    let mut payload = vec![0x82];
    payload.extend(b"\xa9data_type");
    payload.push(0xd9);
    payload.push(ImageData::TYPE.len() as u8);
    payload.extend(ImageData::TYPE.as_bytes());
    payload.extend(b"\xa5image");
    payload.extend(value);
    payload.into()
}

#[test]
fn false_lengths_are_rejected_before_memory_is_allocated() {
    for header in [
        &b"\xc6\xff\xff\xff\xff"[..],    // 4 GiB of bin
        b"\xdb\xff\xff\xff\xff",         // 4 GiB of text
        b"\xdd\xff\xff\xff\xff",         // 4 Gi elements
        b"\xdf\xff\xff\xff\xff",         // 4 Gi entries
        b"\xc9\xff\xff\xff\xff\x01",     // 4 GiB of extension
        b"\xdd\x00\x00\x00\x10\xc0\xc0", // 16 elements, 2 there
    ] {
        let error = decode::<ImageData>(&with_image(header)).unwrap_err();
        assert!(matches!(error, DecodeError::Malformed { .. }), "{error}");
    }
}

#[test]
fn nesting_is_bounded() {
    for depth in [30, 31, 32, 33, 1_000, 1_000_000] {
        let mut value = vec![0x91; depth];
        value.push(0xc0);
        let outcome = decode::<ImageData>(&with_image(&value));
        match depth {
            // The map of the message is one level. An array is not an image.
            ..32 => assert!(matches!(outcome, Err(DecodeError::Field(_))), "{depth}: {outcome:?}"),
            _ => assert!(matches!(outcome, Err(DecodeError::TooLarge { what: "depth", .. })), "{depth}"),
        }
    }
}

#[test]
fn items_and_bytes_are_bounded() {
    let mut many = b"\xdd\x00\x1e\x84\x80".to_vec();
    many.resize(many.len() + 2_000_000, 0xc0);
    let error = decode::<ImageData>(&with_image(&many)).unwrap_err();
    assert!(matches!(error, DecodeError::TooLarge { what: "items", .. }), "{error}");

    let limits = Limits { bytes: 100, ..Limits::default() };
    let error = decode_within::<ImageData>(&vec![0xc0; 101].into(), &limits).unwrap_err();
    assert!(matches!(error, DecodeError::TooLarge { what: "bytes", is: 101, limit: 100 }), "{error}");
}

#[test]
fn a_message_with_many_keys_is_rejected_before_they_are_compared() {
    let mut payload = b"\xdf\x00\x03\x0d\x40".to_vec();
    payload.extend((0..200_000_u32).flat_map(|key| {
        let mut entry = vec![0xa8];
        entry.extend(format!("{key:08}").bytes());
        entry.push(0xc0);
        entry
    }));
    let error = decode::<ImageData>(&payload.into()).unwrap_err();
    assert!(matches!(error, DecodeError::TooLarge { what: "keys", is: 200_000, limit: 256 }), "{error}");
}

#[test]
fn a_body_that_is_not_a_struct_is_rejected() {
    #[derive(serde::Serialize, serde::Deserialize)]
    enum Shape {
        Round(u8),
    }
    impl Message for Shape {
        const TYPE: &'static str = "example.Shape";
    }
    let error = encode(&Sample::new(Head::new(None, 0.0), Shape::Round(1))).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("struct with named fields") && error.contains("an enum"), "{error}");
}

fn decode_as_everything(payload: &Bytes) {
    let _ = data_type(payload);
    let _ = decode::<ImageData>(payload);
    let _ = decode::<VideoData>(payload);
    let _ = decode::<BytesData>(payload);
    let _ = decode::<SensorDataSequence>(payload);
    let _ = decode::<DetectionResultsData>(payload);
    let _ = decode::<RoadUserListData>(payload);
    let _ = decode::<PointCloudData>(payload);
    let _ = decode::<AccessUnitData>(payload);
}

proptest! {
    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
        decode_as_everything(&noise.into());
    }

    #[test]
    fn damaged_messages_never_panic(
        file in prop::sample::select(vec!["video/with_detection", "sequence/mixed", "road_user_list/typical", "image/nested_detection"]),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        keep in any::<prop::sample::Index>(),
    ) {
        let path = format!("{}/tests/golden/messages/{file}.msgpack", env!("CARGO_MANIFEST_DIR"));
        let mut payload = std::fs::read(path).unwrap();
        for (at, byte) in damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        payload.truncate(keep.index(payload.len()) + 1);
        decode_as_everything(&payload.into());
    }

    #[test]
    fn an_encoded_message_decodes_to_the_same_message(
        sensor_name in proptest::option::of(".*"),
        capture_timestamp in any::<f64>(),
        id in any::<u64>(),
        image in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..5_000)),
        is_encoded in any::<bool>(),
        size in proptest::option::of(proptest::collection::vec(any::<u64>(), 0..4)),
    ) {
        let mut head = Head::new(sensor_name, capture_timestamp);
        head.frame_id = Some(id.into());
        let body = ImageData { image: image.map(Image::from), is_encoded, size, ..ImageData::default() };
        let payload = encode(&Sample::new(head.clone(), body.clone())).unwrap();
        let sample = decode::<ImageData>(&payload).unwrap();
        prop_assert_eq!(sample.head.capture_timestamp.to_bits(), capture_timestamp.to_bits());
        prop_assert_eq!(sample.head.sensor_name, head.sensor_name);
        prop_assert_eq!(sample.head.frame_id, head.frame_id);
        prop_assert_eq!(sample.body, body);
    }
}
