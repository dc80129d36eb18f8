//! The fields of a body, written into the map of its message.
//!
//! serde's `flatten` writes a map of unknown length, and MessagePack needs the length first. The writer would have to
//! buffer the whole body with its payload. Therefore the fields are counted first and then written.

use std::fmt::Display;

use serde::ser::{Error, Impossible, Serialize, SerializeMap, SerializeStruct, Serializer};

/// The number of fields of the body.
pub(super) fn count<M: Serialize>(body: &M) -> Result<usize, NotAStruct> {
    body.serialize(Body(Count))
}

/// Writes the body's fields as entries of a map.
pub(super) fn write<M: Serialize, S: SerializeMap>(body: &M, map: &mut S) -> Result<(), S::Error> {
    body.serialize(Body(Entries(map)))
}

/// An operation on the fields of a struct.
trait Fields: Sized {
    type Ok;
    type Error: Error;
    type Struct: SerializeStruct<Ok = Self::Ok, Error = Self::Error>;
    fn begin(self, len: usize) -> Self::Struct;
}

struct Count;

impl Fields for Count {
    type Ok = usize;
    type Error = NotAStruct;
    type Struct = Counted;
    fn begin(self, len: usize) -> Counted {
        Counted(len)
    }
}

struct Counted(usize);

impl SerializeStruct for Counted {
    type Ok = usize;
    type Error = NotAStruct;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, _: &T) -> Result<(), NotAStruct> {
        Ok(())
    }
    fn end(self) -> Result<usize, NotAStruct> {
        Ok(self.0)
    }
}

struct Entries<'a, S>(&'a mut S);

impl<S: SerializeMap> Fields for Entries<'_, S> {
    type Ok = ();
    type Error = S::Error;
    type Struct = Self;
    fn begin(self, _: usize) -> Self {
        self
    }
}

impl<S: SerializeMap> SerializeStruct for Entries<'_, S> {
    type Ok = ();
    type Error = S::Error;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), S::Error> {
        self.0.serialize_entry(key, value)
    }
    fn end(self) -> Result<(), S::Error> {
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotAStruct(String);

impl Error for NotAStruct {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// A serializer that accepts only structs.
struct Body<F>(F);

fn reject<T, E: Error>(what: &str) -> Result<T, E> {
    Err(E::custom(format_args!("the body must be a struct with named fields, not {what}")))
}

/// Defines methods of `Serializer` that return an error: name, types of the arguments, and what the value is.
macro_rules! rejecting {
    ($($method:ident($($argument:ty),*) -> $ok:ty, $what:literal;)*) => {
        $(rejecting!(@one $method ($($argument),*) $ok, $what);)*
    };
    (@one $method:ident () $ok:ty, $what:literal) => {
        fn $method(self) -> Result<$ok, F::Error> { reject($what) }
    };
    (@one $method:ident ($a:ty) $ok:ty, $what:literal) => {
        fn $method(self, _: $a) -> Result<$ok, F::Error> { reject($what) }
    };
    (@one $method:ident ($a:ty, $b:ty) $ok:ty, $what:literal) => {
        fn $method(self, _: $a, _: $b) -> Result<$ok, F::Error> { reject($what) }
    };
    (@one $method:ident ($a:ty, $b:ty, $c:ty) $ok:ty, $what:literal) => {
        fn $method(self, _: $a, _: $b, _: $c) -> Result<$ok, F::Error> { reject($what) }
    };
    (@one $method:ident ($a:ty, $b:ty, $c:ty, $d:ty) $ok:ty, $what:literal) => {
        fn $method(self, _: $a, _: $b, _: $c, _: $d) -> Result<$ok, F::Error> { reject($what) }
    };
}

impl<F: Fields> Serializer for Body<F> {
    type Ok = F::Ok;
    type Error = F::Error;
    type SerializeSeq = Impossible<F::Ok, F::Error>;
    type SerializeTuple = Impossible<F::Ok, F::Error>;
    type SerializeTupleStruct = Impossible<F::Ok, F::Error>;
    type SerializeTupleVariant = Impossible<F::Ok, F::Error>;
    type SerializeMap = Impossible<F::Ok, F::Error>;
    type SerializeStruct = F::Struct;
    type SerializeStructVariant = Impossible<F::Ok, F::Error>;

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<F::Struct, F::Error> {
        Ok(self.0.begin(len))
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<F::Ok, F::Error> {
        self.0.begin(0).end()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<F::Ok, F::Error> {
        value.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<F::Ok, F::Error> {
        reject("an option")
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<F::Ok, F::Error> {
        reject("an enum")
    }

    rejecting! {
        serialize_bool(bool) -> F::Ok, "a bool";
        serialize_i8(i8) -> F::Ok, "a number";
        serialize_i16(i16) -> F::Ok, "a number";
        serialize_i32(i32) -> F::Ok, "a number";
        serialize_i64(i64) -> F::Ok, "a number";
        serialize_u8(u8) -> F::Ok, "a number";
        serialize_u16(u16) -> F::Ok, "a number";
        serialize_u32(u32) -> F::Ok, "a number";
        serialize_u64(u64) -> F::Ok, "a number";
        serialize_f32(f32) -> F::Ok, "a number";
        serialize_f64(f64) -> F::Ok, "a number";
        serialize_char(char) -> F::Ok, "a character";
        serialize_str(&str) -> F::Ok, "text";
        serialize_bytes(&[u8]) -> F::Ok, "bytes";
        serialize_none() -> F::Ok, "an option";
        serialize_unit() -> F::Ok, "a unit";
        serialize_unit_variant(&'static str, u32, &'static str) -> F::Ok, "an enum";
        serialize_seq(Option<usize>) -> Self::SerializeSeq, "a sequence";
        serialize_tuple(usize) -> Self::SerializeTuple, "a tuple";
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct, "a tuple";
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant, "an enum";
        serialize_map(Option<usize>) -> Self::SerializeMap, "a map";
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant, "an enum";
    }
}
