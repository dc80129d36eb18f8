//! A [`Sample`] to MessagePack and back.

use bytes::Bytes;
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, MapAccess};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::error::{DecodeError, EncodeError};
use crate::limits::end_of_value;
use crate::{FrameId, Head, Limits, Message, Sample, device_name, shared, unix_now};

mod fields;

/// Encodes a message. The bytes of a picture or a video are copied once, into the returned buffer.
pub fn encode<M: Message>(sample: &Sample<M>) -> Result<Bytes, EncodeError> {
    let mut buffer = Buffer(Vec::with_capacity(Buffer::HEADROOM));
    sample
        .serialize(&mut rmp_serde::Serializer::new(&mut buffer).with_struct_map())
        .map_err(EncodeError::new)?;
    Ok(buffer.0.into())
}

/// A buffer that keeps headroom for the fields after a large payload. A plain `Vec` would copy the payload again for
/// the first byte after it.
struct Buffer(Vec<u8>);

impl Buffer {
    const HEADROOM: usize = 4096;
}

impl std::io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.capacity() - self.0.len() < bytes.len() {
            self.0.reserve(bytes.len() + Self::HEADROOM);
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Decodes a message of type `M`, within the default [`Limits`].
///
/// Like MSight's decoder, it accepts keys in any order, ignores unknown keys, uses the last of two equal keys, and
/// fills in a missing head. Unlike MSight's, it checks the type of every field.
pub fn decode<M: Message>(payload: &Bytes) -> Result<Sample<M>, DecodeError> {
    decode_within(payload, &Limits::default())
}

/// Like [`decode`], with other limits.
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

/// The head of a message of any type, without decoding the rest.
pub fn head(payload: &[u8]) -> Result<Head, DecodeError> {
    Limits::default().check(payload)?;
    Map::index(payload)?.head()
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

/// Maximum number of keys, more than any message has. It bounds the search for duplicate keys, which is quadratic.
const MAX_KEYS: u32 = 256;

/// The entries of a message's map, each value still encoded.
struct Map<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Map<'a> {
    /// Finds the entries. The payload has passed [`Limits::check`].
    fn index(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = payload;
        let count = rmp::decode::read_map_len(&mut rest)
            .map_err(|_| DecodeError::NotAMessage("the payload is not a map"))?;
        if count > MAX_KEYS {
            return Err(DecodeError::TooLarge { what: "keys", is: count as usize, limit: MAX_KEYS as usize });
        }
        let mut entries = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let key_end = end_of_value(rest, 0)?;
            let value_end = end_of_value(rest, key_end)?;
            let key =
                text(&rest[..key_end]).ok_or(DecodeError::NotAMessage("a key of the map is not text"))?;
            entries.push((key, &rest[key_end..value_end]));
            rest = &rest[value_end..];
        }
        Ok(Self(entries))
    }

    fn get(&self, key: &str) -> Option<&'a [u8]> {
        self.0.iter().rev().find_map(|(k, value)| (*k == key).then_some(*value))
    }

    fn data_type(&self) -> Result<&'a str, DecodeError> {
        let tag = self.get("data_type").ok_or(DecodeError::NotAMessage("missing data_type"))?;
        match text(tag) {
            Some("") => Err(DecodeError::NotAMessage("empty data_type")),
            Some(tag) => Ok(tag),
            None => Err(DecodeError::NotAMessage("data_type is not text")),
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

    /// Whether the entry at `index` belongs to the body and is the last one with its key.
    fn is_of_body(&self, index: usize) -> bool {
        let key = self.0[index].0;
        key != "data_type"
            && !HEAD.contains(&key)
            && self.0[index + 1..].iter().all(|(later, _)| *later != key)
    }
}

/// The text of a MessagePack str. serde would accept bin as well; MSight does not.
fn text(value: &[u8]) -> Option<&str> {
    use rmp::Marker::{FixStr, Str8, Str16, Str32};
    match rmp::Marker::from_u8(*value.first()?) {
        FixStr(_) | Str8 | Str16 | Str32 => rmp_serde::from_slice(value).ok(),
        _ => None,
    }
}

/// The entries of the body, for serde.
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
