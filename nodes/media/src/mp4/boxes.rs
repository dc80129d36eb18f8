//! The boxes at the top of a file (ISO/IEC 14496-12, 4.2): header by header, without reading what is in them.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use shiguredo_mp4::boxes::UnknownBox;
use shiguredo_mp4::{BoxSize, BoxType};

/// Bytes of a header with a size of 32 bits.
pub(super) const HEADER: u64 = 8;
/// Bytes of a header with a size of 64 bits.
pub(super) const LARGE_HEADER: u64 = 16;

/// Largest index of a file or of a fragment that is read, bytes.
pub(super) const MAX_INDEX: usize = 64 << 20;

/// Where a box of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxHeader {
    /// The four characters of its type.
    pub kind: [u8; 4],
    /// Where it begins in the file, in bytes.
    pub start: u64,
    /// Bytes of its header.
    pub header: u64,
    /// Where the next one begins, in bytes. It may be behind the end of a file that is cut off.
    pub end: u64,
}

impl BoxHeader {
    /// Bytes behind the header.
    #[must_use]
    pub fn content(&self) -> u64 {
        self.end - self.start - self.header
    }
}

/// A file that can be cut off, and brought to the disk.
pub trait Storage: Read + Write + Seek {
    /// Cuts the file off at this length.
    ///
    /// # Errors
    /// The file cannot be written.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Brings what was written to the disk, so that a loss of power leaves it.
    ///
    /// # Errors
    /// The disk failed.
    fn sync(&mut self) -> io::Result<()>;
}

impl Storage for File {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Storage for Cursor<Vec<u8>> {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.get_mut().truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The box that begins at `start` in a file of `length` bytes. `None` if no whole header is there, or its size is impossible.
///
/// # Errors
/// The file cannot be read.
pub fn box_at(file: &mut (impl Read + Seek), start: u64, length: u64) -> io::Result<Option<BoxHeader>> {
    let left = length.saturating_sub(start);
    if left < HEADER {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = [0; HEADER as usize];
    file.read_exact(&mut bytes)?;
    let [s0, s1, s2, s3, kind @ ..] = bytes;
    let (header, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
        0 => (HEADER, left),
        1 if left < LARGE_HEADER => return Ok(None),
        1 => {
            file.read_exact(&mut bytes)?;
            (LARGE_HEADER, u64::from_be_bytes(bytes))
        }
        size => (HEADER, size.into()),
    };
    let end = start.checked_add(size).filter(|_| size >= header);
    Ok(end.map(|end| BoxHeader { kind, start, header, end }))
}

/// The content of a box.
///
/// # Errors
/// The content has more than `limit` bytes, or is not whole in the file.
pub(super) fn content(file: &mut (impl Read + Seek), found: &BoxHeader, limit: usize) -> io::Result<Vec<u8>> {
    let length = usize::try_from(found.content()).ok().filter(|length| *length <= limit);
    let length = length.ok_or_else(|| io::Error::other(format!("a box of more than {limit} bytes")))?;
    file.seek(SeekFrom::Start(found.start + found.header))?;
    let mut bytes = Vec::new();
    file.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}

/// The boxes in a box: their types and contents.
pub(super) fn children(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, rest) = bytes.split_first_chunk::<4>()?;
        let (kind, _) = rest.split_first_chunk::<4>()?;
        let end = usize::try_from(u32::from_be_bytes(*size)).ok()?;
        let content = bytes.get(8..end)?;
        bytes = &bytes[end..];
        Some((*kind, content))
    })
}

/// The content of the first box of this type.
pub(super) fn child(bytes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    children(bytes).find(|(found, _)| *found == kind).map(|(_, content)| content)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_be_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_be_bytes)
}

/// The whole box with its header, in memory.
pub(super) fn whole(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind, content.len() as u64);
    bytes.extend_from_slice(content);
    bytes
}

/// A box that the library has no type for.
pub(super) fn unknown(kind: [u8; 4], payload: Vec<u8>) -> UnknownBox {
    let box_size = BoxSize::U32(8 + payload.len() as u32);
    UnknownBox { box_type: BoxType::Normal(kind), box_size, payload }
}

/// The header of a box with this many bytes behind it.
pub(super) fn header(kind: [u8; 4], content: u64) -> Vec<u8> {
    match u32::try_from(HEADER + content) {
        Ok(size) => [size.to_be_bytes(), kind].concat(),
        Err(_) => large_header(kind, content).to_vec(),
    }
}

/// The header with a size of 64 bits.
pub(super) fn large_header(kind: [u8; 4], content: u64) -> [u8; LARGE_HEADER as usize] {
    let mut bytes = [0; LARGE_HEADER as usize];
    bytes[..4].copy_from_slice(&1_u32.to_be_bytes());
    bytes[4..8].copy_from_slice(&kind);
    bytes[8..].copy_from_slice(&(LARGE_HEADER + content).to_be_bytes());
    bytes
}

/// A `uuid` box: content of this extended type, which players skip (ISO/IEC 14496-12, 4.2).
#[must_use]
pub fn uuid_box(extended_type: [u8; 16], content: &[u8]) -> Vec<u8> {
    whole(*b"uuid", &[&extended_type, content].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(bytes: &[u8], start: u64) -> Option<BoxHeader> {
        box_at(&mut Cursor::new(bytes), start, bytes.len() as u64).unwrap()
    }

    #[test]
    fn headers_of_all_sizes_are_read() {
        let small = whole(*b"free", &[7; 5]);
        assert_eq!(at(&small, 0), Some(BoxHeader { kind: *b"free", start: 0, header: 8, end: 13 }));
        let large = large_header(*b"mdat", 1 << 40);
        assert_eq!(at(&large, 0).unwrap().content(), 1 << 40);
        let until_end = [&[0; 4][..], b"mdat", &[1; 9]].concat();
        assert_eq!(at(&until_end, 0).unwrap().end, 17);
        assert_eq!(at(&small, 6), None, "cut off");
        for impossible in [
            [0, 0, 0, 7, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 15],
        ] {
            assert_eq!(at(&impossible, 0), None);
        }
        let endless = [0, 0, 0, 1, 1, 1, 1, 1, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(at(&[[0; 16], endless].concat(), 16), None);
    }

    #[test]
    fn the_content_is_bounded() {
        let bytes = whole(*b"free", &[7; 5]);
        let found = at(&bytes, 0).unwrap();
        assert_eq!(content(&mut Cursor::new(&bytes), &found, 5).unwrap(), [7; 5]);
        assert!(content(&mut Cursor::new(&bytes), &found, 4).is_err());
        assert!(content(&mut Cursor::new(&bytes[..12]), &found, 5).is_err());
    }
}
