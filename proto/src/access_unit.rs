//! What a camera has encoded, unit by unit, as a message.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Message, shared};

/// One unit of a camera's stream as the camera has encoded it: a picture, a piece of sound, or metadata. Nothing in it is
/// decoded.
///
/// The head has the time at which the unit was captured, as for a picture. The units of a track are published in the
/// order in which they are decoded. MSight in Python has no such type: its nodes end at a message of a type that they do
/// not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessUnitData {
    /// The track of the session: `video`, `audio` or `metadata`. From the second track of a kind on, a number follows:
    /// `audio2`.
    pub track: String,
    /// How `data` is encoded. A reader skips units of a codec that it does not know.
    ///
    /// | codec | `data` |
    /// |---|---|
    /// | `h264`, `h265` | NAL units without parameter sets, each after its length in 4 bytes, big-endian, as in MP4 (ISO/IEC 14496-15) |
    /// | `jpeg` | a whole JFIF file |
    /// | `aac` | one frame without a header (ISO/IEC 14496-3) |
    /// | `opus` | one packet (RFC 6716) |
    /// | `pcma`, `pcmu` | samples of 8 bits, G.711 with the A-law or the µ-law |
    /// | `l16` | samples of 16 bits, big-endian (RFC 3551, section 4.5.11) |
    /// | `metadata` | what the camera sends: XML (ONVIF Streaming Specification), or anything else |
    pub codec: String,
    /// Whether decoding can start here. In video the unit is a key frame; of sound and metadata every unit is one.
    pub key: bool,
    /// When the unit is presented, in ticks of `rate`. The zero is arbitrary, and the same for all units of a track in a
    /// session.
    pub pts: i64,
    /// When the unit is decoded, on the clock of `pts`. It never goes back in a session. It is before `pts` where
    /// pictures refer to later ones (B-frames), and otherwise equals it.
    pub dts: i64,
    /// Ticks per second of `pts` and `dts`, such as 90000 for video.
    pub rate: u32,
    /// The number of the unit in its session and track, from 0. The publisher counts what it publishes, so a gap means
    /// that messages were lost on the way.
    pub sequence: u64,
    /// The session with the camera, a random id. Times and numbers of another session do not continue those of this one.
    pub session: String,
    /// Whether units before this one are missing, because they were lost in the network or discarded. After a loss, only
    /// units that can be decoded follow.
    pub after_loss: bool,
    /// What a decoder needs before the data, without start codes or lengths. H.264: the sequence parameter sets, then the
    /// picture parameter sets. H.265: video, sequence and picture parameter sets. AAC: the AudioSpecificConfig.
    ///
    /// Every key unit of such a codec has them, so that a subscriber can begin at any of these. Between two of them, a
    /// unit has them where they change.
    #[serde(with = "shared::list", default)]
    pub parameter_sets: Option<Vec<Bytes>>,
    /// `[height, width]` of the video in pixels, if known; in the units that have `parameter_sets`, and in every `jpeg`.
    #[serde(default)]
    pub size: Option<Vec<u64>>,
    /// The number of channels of sound, if known.
    #[serde(default)]
    pub channels: Option<u32>,
    /// The unit, in the format of `codec`.
    #[serde(with = "shared")]
    pub data: Bytes,
}

impl Message for AccessUnitData {
    const TYPE: &'static str = "msight_rs.access_unit.AccessUnitData";

    fn share(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// The unit in an image, which travels with it by reference within a process.
pub(crate) mod nested {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::AccessUnitData;

    pub(crate) fn serialize<S: Serializer>(
        unit: &Option<Arc<AccessUnitData>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        unit.as_deref().serialize(serializer)
    }

    /// A unit that cannot be read is `None`. Every field of a message is decoded from a slice of its own, so the fields
    /// after this one are unaffected.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<AccessUnitData>>, D::Error> {
        Ok(Option::deserialize(deserializer).ok().flatten().map(Arc::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DecodeError, Head, Sample, Value, decode, encode};

    fn unit() -> AccessUnitData {
        AccessUnitData {
            track: "video".to_owned(),
            codec: "h264".to_owned(),
            key: true,
            pts: 9_000,
            dts: 6_000,
            rate: 90_000,
            sequence: 7,
            session: "c0ffee".to_owned(),
            after_loss: false,
            parameter_sets: Some(vec![Bytes::from_static(b"\x67sps"), Bytes::from_static(b"\x68pps")]),
            size: Some(vec![1080, 1920]),
            channels: None,
            data: Bytes::from_static(b"\0\0\0\x04\x65abc"),
        }
    }

    fn sample() -> Sample<AccessUnitData> {
        Sample::new(Head::new("gate".to_owned(), 1.0), unit())
    }

    /// A unit's message with another value for one field, or without it.
    fn with(name: &str, value: Option<Value>) -> Result<AccessUnitData, DecodeError> {
        let Value::Map(mut entries) = Value::of(&sample()).unwrap() else { panic!("a message is a map") };
        let key = Value::Str(name.to_owned());
        entries.retain(|(one, _)| *one != key);
        entries.extend(value.map(|value| (key, value)));
        let payload = rmp_serde::to_vec_named(&Value::Map(entries)).unwrap();
        decode(&payload.into()).map(|sample| sample.body)
    }

    #[test]
    fn a_unit_comes_back_without_a_copy_of_its_bytes() {
        let payload = encode(&sample()).unwrap();
        let sample = decode::<AccessUnitData>(&payload).unwrap();
        assert_eq!(sample.body, unit());
        let sets = sample.body.parameter_sets.iter().flatten();
        for bytes in sets.chain([&sample.body.data]) {
            assert!(payload.as_ptr_range().contains(&bytes.as_ptr()), "{bytes:?} is copied");
        }
        let second = sample.share().unwrap().body;
        assert_eq!(second.data.as_ptr(), sample.body.data.as_ptr());
    }

    #[test]
    fn the_weight_counts_the_bytes() {
        let weight = |bytes| AccessUnitData { data: vec![0; bytes].into(), ..unit() }.weight();
        assert_eq!(weight(1_000_000) - weight(500_000), 500_000);
    }

    #[test]
    fn absent_options_are_none_and_later_fields_are_ignored() {
        assert_eq!(with("later", Some(Value::Bool(true))).unwrap(), unit());
        let without = AccessUnitData { parameter_sets: None, ..unit() };
        assert_eq!(with("parameter_sets", None).unwrap(), without);
        assert_eq!(with("parameter_sets", Some(Value::Nil)).unwrap(), without);
        assert_eq!(with("size", None).unwrap(), AccessUnitData { size: None, ..unit() });
        assert_eq!(with("channels", None).unwrap(), unit());
    }

    #[test]
    fn an_unusable_field_is_named() {
        for name in
            ["track", "codec", "key", "pts", "dts", "rate", "sequence", "session", "after_loss", "data"]
        {
            let error = with(name, None).unwrap_err().to_string();
            assert!(error.contains(&format!("missing field `{name}`")), "{error}");
        }
        for (name, value) in [
            ("rate", Value::Int(-1)),
            ("sequence", Value::Str("7".to_owned())),
            ("parameter_sets", Value::Array(vec![Value::Int(3)])),
            ("parameter_sets", Value::Array(vec![Value::Nil])),
            ("data", Value::Nil),
        ] {
            let error = with(name, Some(value)).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}: ")), "{error}");
        }
    }
}
