//! Binary fields that share the buffer of their payload, for `#[serde(with = "msight_proto::shared")]`
//! on fields of type [`Bytes`], `Option<Bytes>` or `Option<`[`Image`](crate::Image)`>`, and with [`list`] on
//! `Option<Vec<Bytes>>`.
//!
//! serde gives slices to a decoder, not reference-counted buffers. While [`decode`](crate::decode) runs, a thread-local
//! variable holds the payload. A slice within that payload becomes a [`Bytes`] of the same allocation.

use std::cell::RefCell;
use std::fmt;

use bytes::Bytes;
use serde::de::{self, Deserializer, Visitor};
use serde::ser::{self, Serializer};

use crate::EncodeError;

thread_local! {
    static PAYLOAD: RefCell<Option<Bytes>> = const { RefCell::new(None) };
}

/// Runs `decode` with `payload` as the buffer to share.
pub(crate) fn within<R>(payload: &Bytes, decode: impl FnOnce() -> R) -> R {
    struct Restore(Option<Bytes>);
    impl Drop for Restore {
        fn drop(&mut self) {
            PAYLOAD.set(self.0.take());
        }
    }
    let _restore = Restore(PAYLOAD.replace(Some(payload.clone())));
    decode()
}

/// The slice as `Bytes`, without a copy if it is part of the payload that is being decoded.
fn share(slice: &[u8]) -> Bytes {
    PAYLOAD.with_borrow(|payload| match payload {
        Some(payload)
            if payload.as_ptr_range().start <= slice.as_ptr_range().start
                && slice.as_ptr_range().end <= payload.as_ptr_range().end =>
        {
            payload.slice_ref(slice)
        }
        _ => Bytes::copy_from_slice(slice),
    })
}

/// A binary field that can share the buffer of its payload.
pub trait Shared: Sized {
    /// The bytes, or `None` for nil.
    ///
    /// # Errors
    /// The bytes have to be encoded first, and that fails.
    fn bytes(&self) -> Result<Option<&Bytes>, EncodeError>;
    /// The field from its bytes. `None` stands for nil, which not every field accepts.
    fn from_bytes(bytes: Option<Bytes>) -> Option<Self>;
}

impl Shared for Bytes {
    fn bytes(&self) -> Result<Option<&Bytes>, EncodeError> {
        Ok(Some(self))
    }
    fn from_bytes(bytes: Option<Bytes>) -> Option<Self> {
        bytes
    }
}

impl Shared for Option<Bytes> {
    fn bytes(&self) -> Result<Option<&Bytes>, EncodeError> {
        Ok(self.as_ref())
    }
    fn from_bytes(bytes: Option<Bytes>) -> Option<Self> {
        Some(bytes)
    }
}

/// Writes the field as MessagePack bin, or nil.
pub fn serialize<T: Shared, S: Serializer>(field: &T, serializer: S) -> Result<S::Ok, S::Error> {
    match field.bytes().map_err(ser::Error::custom)? {
        Some(bytes) => serializer.serialize_bytes(bytes),
        None => serializer.serialize_none(),
    }
}

/// Reads the field. It shares the payload's allocation.
pub fn deserialize<'de, T: Shared, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let bytes = deserializer.deserialize_any(BytesVisitor)?;
    T::from_bytes(bytes).ok_or_else(|| de::Error::custom("found nil, expected bytes"))
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Option<Bytes>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes (MessagePack bin) or nil")
    }
    fn visit_borrowed_bytes<E>(self, slice: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Some(share(slice)))
    }
    fn visit_bytes<E>(self, slice: &[u8]) -> Result<Self::Value, E> {
        Ok(Some(Bytes::copy_from_slice(slice)))
    }
    fn visit_byte_buf<E>(self, buffer: Vec<u8>) -> Result<Self::Value, E> {
        Ok(Some(buffer.into()))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Lists of binary fields, for `#[serde(with = "msight_proto::shared::list")]`.
pub mod list {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Element(#[serde(with = "super")] Bytes);

    /// Writes the field as an array of MessagePack bin, or nil.
    pub fn serialize<S: Serializer>(field: &Option<Vec<Bytes>>, serializer: S) -> Result<S::Ok, S::Error> {
        match field {
            Some(list) => serializer.collect_seq(list.iter().cloned().map(Element)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the field. Its elements share the payload's allocation.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Bytes>>, D::Error> {
        let list = Option::<Vec<Element>>::deserialize(deserializer)?;
        Ok(list.map(|list| list.into_iter().map(|Element(bytes)| bytes).collect()))
    }
}
