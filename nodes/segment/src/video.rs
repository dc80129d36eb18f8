//! The bytes of a segment's video, in memory or in a spooled file.

use bytes::Bytes;
use md5::Md5;
use msight_spool::SpooledSegment;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::key::hex;

/// Bytes that are hashed at a time: they stay in the processor's cache for both hashes.
const CHUNK: usize = 256 << 10;

/// Maximum size of an index (`moov`) that is read from a file. An hour at 30 frames a second has 2 MB.
const MAX_MOVIE: u64 = 64 << 20;

/// Maximum size of a `uuid` box that is read from a file; that of a segment's metadata is smaller.
const MAX_UUID: u64 = 8 << 10;

/// Maximum number of boxes of a file; a fragmented file has two a second.
const MAX_BOXES: usize = 1 << 16;

/// The video of a segment. A clone shares it.
#[derive(Debug, Clone)]
pub enum Video {
    /// It shares the memory of its message.
    InMemory(Bytes),
    /// A file in the spool folder, which is read in parts.
    Spooled(SpooledSegment),
}

/// Hashes of a video, in lower-case hexadecimal digits.
#[derive(Debug)]
pub(crate) struct Hashes {
    pub(crate) md5: String,
    pub(crate) sha256: String,
}

impl Video {
    /// Its size in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::InMemory(bytes) => bytes.len() as u64,
            Self::Spooled(file) => file.bytes(),
        }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file in the spool folder, if it is one.
    #[must_use]
    pub fn spooled(&self) -> Option<&SpooledSegment> {
        match self {
            Self::InMemory(_) => None,
            Self::Spooled(file) => Some(file),
        }
    }

    /// Extension of its object key: that of the file, or by the first bytes.
    #[must_use]
    pub fn extension(&self) -> &str {
        match self {
            Self::Spooled(file) => file.extension(),
            // RFC 9559, and ISO/IEC 13818-1, 2.4.3.2.
            Self::InMemory(bytes) if bytes.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) => {
                let head = &bytes[..bytes.len().min(64)];
                if head.windows(4).any(|found| found == b"webm") { "webm" } else { "mkv" }
            }
            Self::InMemory(bytes) if [0, 188, 376].iter().all(|at| bytes.get(*at) == Some(&0x47)) => "ts",
            Self::InMemory(_) => "mp4",
        }
    }

    /// Media type of its extension.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match self.extension() {
            "ts" => "video/mp2t",
            "mkv" => "video/x-matroska",
            "webm" => "video/webm",
            _ => "video/mp4",
        }
    }

    /// Reads `bytes` bytes from `from` on, or up to the end. A video in memory is not copied. Blocks if it is a file.
    ///
    /// # Errors
    /// The file is gone (`NotFound`), or shorter than it was (`UnexpectedEof`), or cannot be read.
    pub fn read(&self, from: u64, bytes: usize) -> io::Result<Bytes> {
        let wanted = self.len().saturating_sub(from).min(bytes as u64);
        // At most `bytes`.
        let wanted = usize::try_from(wanted).unwrap_or(bytes);
        match self {
            Self::InMemory(all) => {
                let from = usize::try_from(from).unwrap_or(usize::MAX).min(all.len());
                Ok(all.slice(from..from + wanted))
            }
            Self::Spooled(file) => {
                let mut read = vec![0; wanted];
                file.open()?.read_exact_at(&mut read, from)?;
                Ok(read.into())
            }
        }
    }

    /// Hashes the video in one pass, with bounded memory.
    pub(crate) fn hash(&self) -> io::Result<Hashes> {
        let (mut md5, mut sha256) = (Md5::new(), Sha256::new());
        let mut update = |chunk: &[u8]| {
            md5.update(chunk);
            sha256.update(chunk);
        };
        match self {
            Self::InMemory(bytes) => bytes.chunks(CHUNK).for_each(update),
            Self::Spooled(spooled) => {
                let (file, mut buffer, mut at) = (spooled.open()?, vec![0; CHUNK], 0);
                loop {
                    let count = read_at_most(&file, at, &mut buffer)?;
                    if count == 0 {
                        break;
                    }
                    update(&buffer[..count]);
                    at += count as u64;
                }
                if at != spooled.bytes() {
                    let text = format!("{:?} changed after it was found", spooled.relative_path());
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
        }
        Ok(Hashes { md5: hex(&md5.finalize()), sha256: hex(&sha256.finalize()) })
    }

    /// The boxes of an MP4 file that describe it. Of a file, `moov` and the small `uuid` boxes are read alone.
    pub(crate) fn describing_boxes(&self) -> io::Result<Cow<'_, [u8]>> {
        match self {
            Self::InMemory(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::Spooled(spooled) if spooled.extension() != "mp4" => Ok(Cow::Borrowed(&[])),
            Self::Spooled(spooled) => describing_boxes(&spooled.open()?, spooled.bytes()).map(Cow::Owned),
        }
    }
}

fn describing_boxes(file: &File, size: u64) -> io::Result<Vec<u8>> {
    let (mut found, mut at) = (Vec::new(), 0);
    for _ in 0..MAX_BOXES {
        let mut header = [0; 16];
        if read_at_most(file, at, &mut header)? < 8 {
            break;
        }
        let [a, b, c, d, e, f, g, h, large @ ..] = header;
        let bytes = match u32::from_be_bytes([a, b, c, d]) {
            // The box extends to the end of the file.
            0 => size.saturating_sub(at),
            1 => u64::from_be_bytes(large),
            short => short.into(),
        };
        if bytes < 8 || bytes > size.saturating_sub(at) {
            break;
        }
        let limit = match &[e, f, g, h] {
            b"moov" => MAX_MOVIE,
            b"uuid" => MAX_UUID,
            _ => 0,
        };
        if bytes <= limit && (found.len() as u64) < 2 * MAX_MOVIE {
            let begin = found.len();
            // At most `limit`.
            found.resize(begin + bytes as usize, 0);
            file.read_exact_at(&mut found[begin..], at)?;
        }
        at += bytes;
    }
    Ok(found)
}

/// Reads until the buffer is full or the file ends.
fn read_at_most(file: &File, from: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], from + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use msight_spool::Spool;
    use proptest::prelude::*;
    use std::io::Write as _;

    fn spooled(folder: &tempfile::TempDir, extension: &str, content: &[u8]) -> SpooledSegment {
        let mut part = Spool::open(folder.path()).unwrap().create(Some("s"), 1.0, extension).unwrap();
        part.file().write_all(content).unwrap();
        part.complete(b"{}").unwrap()
    }

    #[test]
    fn a_file_hashes_and_reads_as_memory_does() {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..CHUNK * 2 + 77).map(|at| (at % 251) as u8).collect();
        let (memory, file) =
            (Video::InMemory(content.clone().into()), Video::Spooled(spooled(&folder, "mp4", &content)));
        let (one, other) = (memory.hash().unwrap(), file.hash().unwrap());
        assert_eq!((one.md5, one.sha256), (other.md5, other.sha256));
        for (from, bytes) in
            [(0, 10), (5, usize::MAX), (CHUNK as u64, CHUNK), (u64::MAX, 1), (content.len() as u64, 1)]
        {
            assert_eq!(memory.read(from, bytes).unwrap(), file.read(from, bytes).unwrap());
        }
    }

    #[test]
    fn a_file_that_changed_or_vanished_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let found = spooled(&folder, "mp4", b"video");
        let video = Video::Spooled(found.clone());
        std::fs::write(found.path(), "vid").unwrap();
        assert_eq!(video.hash().unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(video.read(0, 5).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        found.delete().unwrap();
        assert_eq!(video.hash().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn extension_and_type_follow_the_content() {
        let mut ts = vec![0; 400];
        [0, 188, 376].iter().for_each(|at| ts[*at] = 0x47);
        let ebml = |kind: &[u8]| [&[0x1a, 0x45, 0xdf, 0xa3, 0x9f, 0x42, 0x82, 0x84], kind].concat();
        for (content, extension, media_type) in [
            (b"ftyp".to_vec(), "mp4", "video/mp4"),
            (ts, "ts", "video/mp2t"),
            (ebml(b"matroska"), "mkv", "video/x-matroska"),
            (ebml(b"webm"), "webm", "video/webm"),
        ] {
            let video = Video::InMemory(content.into());
            assert_eq!((video.extension(), video.content_type()), (extension, media_type));
        }
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Video::Spooled(spooled(&folder, "mkv", b"")).content_type(), "video/x-matroska");
    }

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&u32::try_from(content.len() + 8).unwrap().to_be_bytes()[..], kind, content].concat()
    }

    #[test]
    fn only_describing_boxes_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let (moov, uuid) = (boxed(b"moov", b"index"), boxed(b"uuid", &[7; 40]));
        let large = [&[0, 0, 0, 1][..], b"mdat", &[0, 0, 0, 0, 0, 0, 0, 20], b"data"].concat();
        let file = [&boxed(b"ftyp", b"isom")[..], &moov, &large, &boxed(b"uuid", &[0; 9000]), &uuid].concat();
        let video = Video::Spooled(spooled(&folder, "mp4", &file));
        assert_eq!(video.describing_boxes().unwrap().as_ref(), [moov, uuid].concat());
        let ts = Video::Spooled(spooled(&folder, "ts", &file));
        assert_eq!(ts.describing_boxes().unwrap().as_ref(), b"");
    }

    proptest! {
        #[test]
        fn any_file_is_walked(file in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(8), any::<u8>()], 0..200)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            std::fs::write(&path, &file).unwrap();
            let found = describing_boxes(&File::open(path).unwrap(), file.len() as u64).unwrap();
            prop_assert!(found.len() <= file.len());
        }
    }
}
