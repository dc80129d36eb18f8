//! Units for tests.

use crate::unit_order::Released;
use bytes::Bytes;
use msight_proto::AccessUnitData;

/// Progressive, with 8 bit 4:2:0; by x264.
const SPS: &[u8] =
    b"\x67\x42\xc0\x0b\xda\x05\x06\x7e\x7c\x04\x40\x00\x00\x03\x00\x40\x00\x00\x05\x03\xc5\x0a\xa8";
const PPS: &[u8] = b"\x68\xce\x0f\xc8";

/// A unit of 100 bytes, with times in ticks of a tenth of a second.
pub(crate) fn unit(sequence: u64, pts: i64, dts: i64, key: bool) -> AccessUnitData {
    let slice = [&[if key { 0x65 } else { 0x41 }, 0x88][..], &[0xff; 94]].concat();
    AccessUnitData {
        track: "video".to_owned(),
        codec: "h264".to_owned(),
        key,
        pts,
        dts,
        rate: 10,
        sequence,
        session: "s".to_owned(),
        after_loss: false,
        parameter_sets: key.then(|| vec![Bytes::from_static(SPS), Bytes::from_static(PPS)]),
        size: None,
        channels: None,
        data: [&96_u32.to_be_bytes()[..], &slice].concat().into(),
    }
}

/// The sequence numbers of what is released: units, and pictures.
pub(crate) fn numbers(released: &Released) -> (Vec<u64>, Vec<u64>) {
    let units = released.units.iter().map(|(unit, _)| unit.sequence).collect();
    (units, released.pictures.iter().map(|picture| picture.unit.sequence).collect())
}
