//! Limits of a payload, checked before memory is allocated for it.

use rmp::Marker;

use crate::DecodeError;

/// Limits of size, depth and number of values in a payload. Every MSight message is within the defaults, and a hostile
/// payload cannot take more memory than it has bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the whole payload; by default 64 MiB.
    pub bytes: usize,
    /// Nested arrays and maps; by default 32.
    pub depth: usize,
    /// Values, including keys; by default one million.
    pub items: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 20, depth: 32, items: 1_000_000 }
    }
}

impl Limits {
    /// Checks that a payload is one well-formed MessagePack document within the limits. It detects a false length
    /// before a buffer of that length is allocated.
    pub(crate) fn check(&self, payload: &[u8]) -> Result<(), DecodeError> {
        if payload.len() > self.bytes {
            return Err(DecodeError::TooLarge { what: "bytes", is: payload.len(), limit: self.bytes });
        }
        let mut cursor = Cursor { payload, at: 0, items: 0, limits: self };
        cursor.value()?;
        match payload.len() - cursor.at {
            0 => Ok(()),
            more => Err(DecodeError::Malformed {
                at: cursor.at,
                why: format!("{more} bytes after the end of the message"),
            }),
        }
    }
}

/// The end of the value that begins at `at`. The payload has passed [`Limits::check`].
pub(crate) fn end_of_value(payload: &[u8], at: usize) -> Result<usize, DecodeError> {
    let limits = Limits { bytes: usize::MAX, depth: usize::MAX, items: usize::MAX };
    let mut cursor = Cursor { payload, at, items: 0, limits: &limits };
    cursor.value()?;
    Ok(cursor.at)
}

struct Cursor<'a> {
    payload: &'a [u8],
    at: usize,
    items: usize,
    limits: &'a Limits,
}

impl Cursor<'_> {
    /// Skips one value of any depth. A `Vec` that `depth` bounds counts the values left at each level, so a deep
    /// payload cannot overflow the thread's stack.
    fn value(&mut self) -> Result<(), DecodeError> {
        let mut open: Vec<usize> = vec![1];
        while let Some(left) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            self.items += 1;
            if self.items > self.limits.items {
                return Err(DecodeError::TooLarge {
                    what: "items",
                    is: self.items,
                    limit: self.limits.items,
                });
            }
            let children = self.header()?;
            if children > 0 {
                if open.len() > self.limits.depth {
                    return Err(DecodeError::TooLarge {
                        what: "depth",
                        is: open.len(),
                        limit: self.limits.depth,
                    });
                }
                open.push(children);
            }
        }
        Ok(())
    }

    /// Skips a header and its bytes. Returns the number of values nested in it.
    fn header(&mut self) -> Result<usize, DecodeError> {
        let marker = Marker::from_u8(self.take(1)?[0]);
        let (skip, children) = match marker {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => (0, 0),
            Marker::U8 | Marker::I8 => (1, 0),
            Marker::U16 | Marker::I16 => (2, 0),
            Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
            Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
            Marker::FixStr(len) => (len.into(), 0),
            Marker::Str8 | Marker::Bin8 => (self.length(1)?, 0),
            Marker::Str16 | Marker::Bin16 => (self.length(2)?, 0),
            Marker::Str32 | Marker::Bin32 => (self.length(4)?, 0),
            Marker::FixExt1 => (2, 0),
            Marker::FixExt2 => (3, 0),
            Marker::FixExt4 => (5, 0),
            Marker::FixExt8 => (9, 0),
            Marker::FixExt16 => (17, 0),
            Marker::Ext8 => (self.length(1)?.saturating_add(1), 0),
            Marker::Ext16 => (self.length(2)?.saturating_add(1), 0),
            Marker::Ext32 => (self.length(4)?.saturating_add(1), 0),
            Marker::FixArray(len) => (0, len.into()),
            Marker::Array16 => (0, self.length(2)?),
            Marker::Array32 => (0, self.length(4)?),
            Marker::FixMap(len) => (0, 2 * usize::from(len)),
            Marker::Map16 => (0, self.length(2)?.saturating_mul(2)),
            Marker::Map32 => (0, self.length(4)?.saturating_mul(2)),
            Marker::Reserved => {
                return Err(DecodeError::Malformed {
                    at: self.at - 1,
                    why: "0xc1 is a reserved byte".to_owned(),
                });
            }
        };
        self.take(skip)?;
        // Each value has at least one byte, so a larger count is false.
        if children > self.payload.len() - self.at {
            return Err(self.truncated(children));
        }
        Ok(children)
    }

    fn length(&mut self, bytes: usize) -> Result<usize, DecodeError> {
        Ok(self.take(bytes)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn take(&mut self, bytes: usize) -> Result<&[u8], DecodeError> {
        let Some(taken) = self.payload[self.at..].get(..bytes) else { return Err(self.truncated(bytes)) };
        self.at += bytes;
        Ok(taken)
    }

    fn truncated(&self, wanted: usize) -> DecodeError {
        let left = self.payload.len() - self.at;
        DecodeError::Malformed { at: self.at, why: format!("expected {wanted} more bytes, found {left}") }
    }
}
