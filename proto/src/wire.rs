//! Between a [`Sample`] and its MessagePack.

use bytes::Bytes;
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{Deserialize, DeserializeOwned, DeserializeSeed, MapAccess};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::limits::end_of_value;
use crate::{FrameId, Head, Limits, Message, Sample, Value, device_name, shared, unix_now};

mod fields;

/// A message that cannot be written: a number outside of MessagePack's range, or a body that is no struct.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot encode the message: {0}")]
pub struct EncodeError(pub(crate) String);

impl EncodeError {
    /// The error of a part that could not be encoded, by what it says.
    pub fn new(why: impl std::fmt::Display) -> Self {
        Self(why.to_string())
    }
}

/// A payload that is not the message it should be.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Larger than [`Limits`] allow.
    #[error("the payload has {is} {what}, the limit is {limit}")]
    TooLarge {
        /// What there is too much of: bytes, depth, items or keys.
        what: &'static str,
        /// How much there is, at least.
        is: usize,
        /// How much there may be.
        limit: usize,
    },
    /// Not MessagePack, or not to its end.
    #[error("no message of MSight: at byte {at} it is no MessagePack: {why}")]
    Malformed {
        /// The offset in the payload.
        at: usize,
        /// What stands there.
        why: String,
    },
    /// MessagePack, but not a map with a text `data_type`.
    #[error("no message of MSight: {0}")]
    NotAMessage(&'static str),
    /// A message of another type than the one wanted.
    #[error("the message is a {found:?}, expected {expected}")]
    WrongType {
        /// The type that was asked for.
        expected: &'static str,
        /// The type that the message names, cut to 128 characters.
        found: String,
    },
    /// A field that is missing or of the wrong type.
    #[error("the message does not fit its type: {0}")]
    Field(String),
}

impl From<rmp_serde::decode::Error> for DecodeError {
    fn from(error: rmp_serde::decode::Error) -> Self {
        Self::Field(error.to_string())
    }
}

/// Writes a message. The payload of a picture or a video is copied once, into the buffer that is returned.
pub fn encode<M: Message>(sample: &Sample<M>) -> Result<Bytes, EncodeError> {
    let mut buffer = Buffer(Vec::with_capacity(Buffer::SLACK));
    sample
        .serialize(&mut rmp_serde::Serializer::new(&mut buffer).with_struct_map())
        .map_err(|error| EncodeError(error.to_string()))?;
    Ok(buffer.0.into())
}

/// Grows by what is written and a little more, so that the fields behind a large payload find room: a plain
/// `Vec` would move the payload once more for the first byte behind it.
struct Buffer(Vec<u8>);

impl Buffer {
    const SLACK: usize = 4096;
}

impl std::io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.capacity() - self.0.len() < bytes.len() {
            self.0.reserve(bytes.len() + Self::SLACK);
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How many bytes a part of a message takes in MessagePack. What cannot be encoded counts up to its fault.
pub(crate) fn encoded_len<T: Serialize>(part: &T) -> usize {
    struct Length(usize);
    impl std::io::Write for Length {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut length = Length(0);
    let _ = rmp_serde::encode::write_named(&mut length, part);
    length.0
}

/// Reads a message of type `M`, within the default [`Limits`].
///
/// As MSight's decoder does, it takes keys in any order, ignores unknown ones, lets the last of two equal
/// keys win, and fills in a head that is absent. Unlike MSight's, it checks the type of every field.
pub fn decode<M: Message>(payload: &Bytes) -> Result<Sample<M>, DecodeError> {
    decode_within(payload, &Limits::default())
}

/// [`decode`] within other limits.
pub fn decode_within<M: Message>(payload: &Bytes, limits: &Limits) -> Result<Sample<M>, DecodeError> {
    limits.check(payload)?;
    let map = Map::index(payload)?;
    let found = map.data_type()?;
    if found != M::TYPE {
        return Err(DecodeError::WrongType { expected: M::TYPE, found: found.chars().take(128).collect() });
    }
    shared::within(payload, || {
        let head = map.head()?;
        let body = M::deserialize(MapAccessDeserializer::new(BodyFields { map: &map, next: 0 }))
            .map_err(|error: rmp_serde::decode::Error| DecodeError::Field(error.to_string()))?;
        Ok(Sample::new(head, body))
    })
}

/// The `data_type` of a message, without decoding the rest.
pub fn data_type(payload: &[u8]) -> Result<&str, DecodeError> {
    Limits::default().check(payload)?;
    Map::index(payload)?.data_type()
}

pub(crate) fn decode_value(payload: &Bytes) -> Result<Value, DecodeError> {
    Limits::default().check(payload)?;
    Ok(shared::within(payload, || rmp_serde::from_slice(payload))?)
}

impl<M: Message> Serialize for Sample<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let count = fields::count(&self.body).map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(Some(1 + HEAD.len() + count))?;
        map.serialize_entry("data_type", M::TYPE)?;
        map.serialize_entry(HEAD[0], &self.head.sensor_name)?;
        map.serialize_entry(HEAD[1], &self.head.capture_timestamp)?;
        map.serialize_entry(HEAD[2], &self.head.creation_timestamp)?;
        map.serialize_entry(HEAD[3], &self.head.frame_id)?;
        map.serialize_entry(HEAD[4], &self.head.device_name)?;
        fields::write(&self.body, &mut map)?;
        map.end()
    }
}

const HEAD: [&str; 5] = ["sensor_name", "capture_timestamp", "creation_timestamp", "frame_id", "device_name"];

/// More keys than any message has; they are looked through once for each of them.
const MAX_KEYS: u32 = 256;

/// Where the entries of a message's map are.
struct Map<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Map<'a> {
    /// Finds the entries of a payload that has passed [`Limits::check`].
    fn index(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = payload;
        let count = rmp::decode::read_map_len(&mut rest)
            .map_err(|_| DecodeError::NotAMessage("the payload is no map"))?;
        if count > MAX_KEYS {
            return Err(DecodeError::TooLarge { what: "keys", is: count as usize, limit: MAX_KEYS as usize });
        }
        let mut entries = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let key_end = end_of_value(rest, 0)?;
            let value_end = end_of_value(rest, key_end)?;
            let key =
                text(&rest[..key_end]).ok_or(DecodeError::NotAMessage("a key of the map is no text"))?;
            entries.push((key, &rest[key_end..value_end]));
            rest = &rest[value_end..];
        }
        Ok(Self(entries))
    }

    fn get(&self, key: &str) -> Option<&'a [u8]> {
        self.0.iter().rev().find_map(|(k, value)| (*k == key).then_some(*value))
    }

    fn data_type(&self) -> Result<&'a str, DecodeError> {
        let tag = self.get("data_type").ok_or(DecodeError::NotAMessage("it has no data_type"))?;
        match text(tag) {
            Some("") => Err(DecodeError::NotAMessage("its data_type is empty")),
            Some(tag) => Ok(tag),
            None => Err(DecodeError::NotAMessage("its data_type is no text")),
        }
    }

    fn head(&self) -> Result<Head, DecodeError> {
        Ok(Head {
            sensor_name: self.field("sensor_name", || None)?,
            capture_timestamp: self.field("capture_timestamp", || None)?.unwrap_or_else(unix_now),
            creation_timestamp: self.field("creation_timestamp", || None)?.unwrap_or_else(unix_now),
            frame_id: self.field("frame_id", || Some(FrameId::next()))?,
            device_name: self.field("device_name", || device_name().map(str::to_owned))?,
        })
    }

    fn field<T: DeserializeOwned>(&self, key: &str, absent: impl FnOnce() -> T) -> Result<T, DecodeError> {
        match self.get(key) {
            Some(value) => {
                rmp_serde::from_slice(value).map_err(|e| DecodeError::Field(format!("{key}: {e}")))
            }
            None => Ok(absent()),
        }
    }

    /// Whether the entry at `index` is the body's, and the last of its name.
    fn is_of_body(&self, index: usize) -> bool {
        let key = self.0[index].0;
        key != "data_type"
            && !HEAD.contains(&key)
            && self.0[index + 1..].iter().all(|(later, _)| *later != key)
    }
}

/// A MessagePack str. serde would take bin for text as well, which MSight does not.
fn text(value: &[u8]) -> Option<&str> {
    use rmp::Marker::{FixStr, Str8, Str16, Str32};
    match rmp::Marker::from_u8(*value.first()?) {
        FixStr(_) | Str8 | Str16 | Str32 => rmp_serde::from_slice(value).ok(),
        _ => None,
    }
}

/// The entries of the map that are not the head's, for serde.
struct BodyFields<'m, 'a> {
    map: &'m Map<'a>,
    next: usize,
}

impl<'a> MapAccess<'a> for BodyFields<'_, 'a> {
    type Error = rmp_serde::decode::Error;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Self::Error> {
        while self.next < self.map.0.len() && !self.map.is_of_body(self.next) {
            self.next += 1;
        }
        match self.map.0.get(self.next) {
            Some((key, _)) => seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        let (key, value) = self.map.0[self.next];
        self.next += 1;
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(value);
        seed.deserialize(&mut deserializer)
            .map_err(|error| serde::de::Error::custom(format!("{key}: {error}")))
    }
}

/// Reads a value that may be nil as its default, for fields that MSight never leaves out.
pub(crate) fn nil_as_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: serde::Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
