//! Where the bytes of an open segment go: a file in the spool folder, or memory.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use msight_media::mp4::{self, Storage};
use msight_spool::PartFile;

/// The file of an open segment.
#[derive(Debug)]
pub(crate) enum Sink {
    /// In the spool folder.
    Spool(PartFile),
    /// A small segment, which travels as a message.
    Memory(Cursor<Vec<u8>>),
}

impl Sink {
    pub(crate) fn memory() -> Self {
        Self::Memory(Cursor::default())
    }

    /// Copies an MP4 file into one that has its index, which takes its place, and ends it with `tail`. Returns its bytes.
    ///
    /// # Errors
    /// The file is as it was.
    pub(crate) fn rewrite(&mut self, tail: &[u8]) -> Result<u64, mp4::Error> {
        match self {
            Self::Spool(part) => part.rewrite(|old, new| copy(old, new, tail)),
            Self::Memory(old) => {
                let mut new = Cursor::default();
                let bytes = copy(old, &mut new, tail)?;
                *old = new;
                Ok(bytes)
            }
        }
    }
}

fn copy(old: &mut (impl Read + Seek), new: &mut impl Write, tail: &[u8]) -> Result<u64, mp4::Error> {
    let copied = mp4::rewrite(old, new, None)?;
    new.write_all(tail)?;
    Ok(copied.bytes + tail.len() as u64)
}

impl Read for Sink {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Spool(part) => part.file().read(buffer),
            Self::Memory(bytes) => bytes.read(buffer),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Spool(part) => part.file().write(bytes),
            Self::Memory(memory) => memory.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Sink {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Spool(part) => part.file().seek(place),
            Self::Memory(bytes) => bytes.seek(place),
        }
    }
}

impl Storage for Sink {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        match self {
            Self::Spool(part) => part.file().truncate(length),
            Self::Memory(bytes) => bytes.truncate(length),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::Spool(part) => part.file().sync(),
            Self::Memory(_) => Ok(()),
        }
    }
}
