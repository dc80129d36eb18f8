//! Units for tests: video of 10 frames a second, and sound of 8 kHz with 50 units a second.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use msight_media::{Codec, ParameterSets, TIMESCALE};

use crate::unit::Unit;

/// The capture time of the first unit: a full hour.
pub(crate) const START: f64 = 1_800_000_000.0;

/// A picture of 1000 bytes, by its number.
pub(crate) fn video(number: u64, key: bool) -> Unit {
    let sets = ["\x67sps", "\x68pps"].map(|set| Bytes::from_static(set.as_bytes())).to_vec();
    let pts = number as i64 * 9000;
    Unit {
        track: "video".to_owned(),
        codec: Codec::H264,
        key,
        pts,
        dts: pts,
        rate: TIMESCALE,
        captured: START + number as f64 / 10.0,
        sequence: number,
        session: "a".to_owned(),
        lost_before: 0,
        sets: Some(Arc::new(ParameterSets::new(sets))),
        size: Some((64, 48)),
        channels: None,
        data: Bytes::from(vec![number as u8; 1000]),
        frame_id: None,
        receipt: None,
    }
}

/// A piece of sound, by its number.
pub(crate) fn audio(number: u64) -> Unit {
    let pts = number as i64 * 160;
    Unit {
        track: "audio".to_owned(),
        codec: Codec::Pcmu,
        key: true,
        pts,
        dts: pts,
        rate: NonZeroU32::new(8000).expect("not zero"),
        captured: START + number as f64 / 50.0,
        sets: None,
        size: None,
        channels: Some(1),
        data: Bytes::from(vec![number as u8; 160]),
        ..video(number, true)
    }
}
