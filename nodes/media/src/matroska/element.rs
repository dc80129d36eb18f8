//! Elements: an id, a length and a content (RFC 8794, sections 4 to 6).

use std::io::{self, Read};

/// Bytes of the longest id and length.
pub(super) const MAX_HEADER: usize = 12;

/// The beginning of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The id with its marker.
    pub(super) id: u64,
    /// Bytes of the content. `None`: the element ends where its parent does, or one that cannot be in it begins.
    pub(super) size: Option<u64>,
    /// Bytes of id and length.
    pub(super) length: u64,
}

impl Header {
    /// Reads the next header. `None` if it is cut off or invalid.
    pub(super) fn read(file: &mut impl Read) -> io::Result<Option<Self>> {
        let mut bytes = Vec::with_capacity(MAX_HEADER);
        file.take(MAX_HEADER as u64).read_to_end(&mut bytes)?;
        Ok(Self::parse(&bytes))
    }

    /// Reads the header that some bytes begin with. `None` if it is cut off or invalid.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (id, after_id) = integer(bytes, 4)?;
        let (size, after_size) = integer(&bytes[after_id..], 8)?;
        // The marker of the length is not a part of it. A length whose bits are all set is unknown.
        let marker = 1 << (7 * after_size);
        let size = (size ^ marker != marker - 1).then_some(size ^ marker);
        Some(Self { id, size, length: (after_id + after_size) as u64 })
    }
}

/// A variable-length integer with its marker, and its length.
pub(super) fn integer(bytes: &[u8], max: usize) -> Option<(u64, usize)> {
    let length = bytes.first()?.leading_zeros() as usize + 1;
    let bytes = bytes.get(..length).filter(|_| length <= max)?;
    Some((bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)), length))
}

/// The elements of some bytes: ids and contents, up to one that is cut off.
pub(super) fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let header = Header::parse(bytes)?;
        let rest = bytes.get(header.length as usize..)?;
        let (content, after) = rest.split_at_checked(usize::try_from(header.size?).ok()?)?;
        bytes = after;
        Some((header.id, content))
    })
}

/// An unsigned integer (RFC 8794, section 7.2). `None` if it has more than 8 bytes.
pub(super) fn unsigned(content: &[u8]) -> Option<u64> {
    (content.len() <= 8).then(|| content.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

/// A floating-point number (RFC 8794, section 7.3).
pub(super) fn float(content: &[u8]) -> Option<f64> {
    match content.len() {
        4 => content.first_chunk().map(|bytes| f32::from_be_bytes(*bytes).into()),
        8 => content.first_chunk().map(|bytes| f64::from_be_bytes(*bytes)),
        _ => None,
    }
}

/// A string, which may be filled up with zeros (RFC 8794, section 7.4).
pub(super) fn string(content: &[u8]) -> String {
    let end = content.iter().position(|byte| *byte == 0).unwrap_or(content.len());
    String::from_utf8_lossy(&content[..end]).into_owned()
}
