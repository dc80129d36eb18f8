//! Any bytes as a message of each type: no panic, and what decodes encodes to the same again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use msight_proto::{
    AccessUnitData, BytesData, DetectionResultsData, ImageData, Message, PointCloudData, RoadUserListData,
    SensorDataSequence, VideoData, data_type, decode, encode, to_json,
};

fuzz_target!(|data: &[u8]| {
    let payload = Bytes::copy_from_slice(data);
    let _ = data_type(&payload);
    there_and_back::<ImageData>(&payload);
    there_and_back::<VideoData>(&payload);
    there_and_back::<BytesData>(&payload);
    there_and_back::<SensorDataSequence>(&payload);
    there_and_back::<DetectionResultsData>(&payload);
    there_and_back::<RoadUserListData>(&payload);
    there_and_back::<PointCloudData>(&payload);
    there_and_back::<AccessUnitData>(&payload);
});

fn there_and_back<M: Message>(payload: &Bytes) {
    let Ok(sample) = decode::<M>(payload) else { return };
    let Ok(once) = encode(&sample) else { return };
    let again = decode::<M>(&once).expect("what was encoded here decodes");
    assert_eq!(encode(&again).expect("it was encoded before"), once);
    if let Ok(json) = to_json(&sample) {
        // Python's NaN and Infinity are no JSON to serde.
        let _ = serde_json::from_str::<serde_json::Value>(&json);
    }
}
