//! Any MessagePack value, for data that is passed on without its type.

use std::fmt;

use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::frame_id::serialize_int;
use crate::{DecodeError, EncodeError, Limits, Message, Sample, shared, wire};

/// Any MessagePack value. Decoding and encoding keeps the value and every type. Only the width of a header may shrink to
/// the minimal one, which Python writes as well.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// nil
    Nil,
    /// true or false
    Bool(bool),
    /// An integer, -2^63 ..= 2^64 - 1. A wider one cannot be encoded.
    Int(i128),
    /// A 32-bit float, which Python never writes.
    F32(f32),
    /// A 64-bit float
    F64(f64),
    /// Text
    Str(String),
    /// Bytes, which share the memory of their payload
    Bin(Bytes),
    /// An array
    Array(Vec<Value>),
    /// A map, in its order on the wire
    Map(Vec<(Value, Value)>),
    /// An extension: its number and its bytes
    Ext(i8, Bytes),
}

impl Value {
    /// A message as a value, to nest it in another message. Its map begins with `data_type`.
    pub fn of<M: Message>(sample: &Sample<M>) -> Result<Self, EncodeError> {
        // This can fail only at the limits of depth and count.
        Self::from_payload(&wire::encode(sample)?).map_err(EncodeError::new)
    }

    /// Decodes a nested message of type `M`.
    pub fn decode<M: Message>(&self) -> Result<Sample<M>, DecodeError> {
        wire::decode(&self.to_payload()?)
    }

    /// Decodes any other serde type, such as a [`RoadUserPoint`](crate::RoadUserPoint) from an object list.
    pub fn to<T: de::DeserializeOwned>(&self) -> Result<T, DecodeError> {
        let payload = self.to_payload()?;
        shared::within(&payload, || rmp_serde::from_slice(&payload)).map_err(DecodeError::from)
    }

    /// Any serde type as a value.
    pub fn from<T: Serialize>(of: &T) -> Result<Self, EncodeError> {
        let payload = rmp_serde::to_vec_named(of).map_err(EncodeError::new)?;
        Self::from_payload(&payload.into()).map_err(EncodeError::new)
    }

    /// The value of a text key, if this is a map with that key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let Self::Map(entries) = self else { return None };
        entries.iter().rev().find_map(|(k, v)| matches!(k, Self::Str(k) if k == key).then_some(v))
    }

    /// The `data_type`, if this is a nested message.
    pub fn data_type(&self) -> Option<&str> {
        match self.get("data_type")? {
            Self::Str(tag) => Some(tag),
            _ => None,
        }
    }

    fn from_payload(payload: &Bytes) -> Result<Self, DecodeError> {
        Limits::default().check(payload)?;
        Ok(shared::within(payload, || rmp_serde::from_slice(payload))?)
    }

    fn to_payload(&self) -> Result<Bytes, DecodeError> {
        rmp_serde::to_vec_named(self).map(Bytes::from).map_err(|error| DecodeError::Field(error.to_string()))
    }
}

/// rmp-serde's name for the newtype of an extension.
const EXT: &str = rmp_serde::MSGPACK_EXT_STRUCT_NAME;

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serialize_int(*value, serializer),
            Self::F32(value) => serializer.serialize_f32(*value),
            Self::F64(value) => serializer.serialize_f64(*value),
            Self::Str(value) => serializer.serialize_str(value),
            Self::Bin(value) => serializer.serialize_bytes(value),
            Self::Array(values) => serializer.collect_seq(values),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Self::Ext(tag, data) => serializer.serialize_newtype_struct(EXT, &(*tag, serde_bytes(data))),
        }
    }
}

fn serde_bytes(data: &Bytes) -> impl Serialize + '_ {
    struct Raw<'a>(&'a [u8]);
    impl Serialize for Raw<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }
    Raw(data)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any MessagePack value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }
    fn visit_f32<E>(self, value: f32) -> Result<Value, E> {
        Ok(Value::F32(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::F64(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Str(value.to_owned()))
    }
    fn visit_borrowed_bytes<E: de::Error>(self, value: &'de [u8]) -> Result<Value, E> {
        shared::deserialize(de::value::BorrowedBytesDeserializer::new(value)).map(Value::Bin)
    }
    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bin(Bytes::copy_from_slice(value)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        #[derive(serde::Deserialize)]
        struct Ext(i8, #[serde(with = "shared")] Bytes);
        let Ext(tag, data) = Ext::deserialize(deserializer)?;
        Ok(Value::Ext(tag, data))
    }
}
