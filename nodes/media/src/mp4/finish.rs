//! A fragmented file becomes one whose index comes first.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::Duration;

use shiguredo_mp4::Encode;

use super::boxes::{self, HEADER, LARGE_HEADER, Storage};
use super::error::Error;
use super::fragments::file_type;
use super::read::read;
use super::reader::{FragmentedFile, read_fragments};
use crate::segment_metadata::SegmentMetadata;

/// What a file should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// So many whole fragments, because the caller wrote them.
    Written(u64),
    /// What can be read: its writer died.
    Readable,
}

/// What a finished file has.
#[derive(Debug)]
pub struct Finished {
    /// The tracks and their samples.
    pub fragmented: FragmentedFile,
    /// The length of the file, in bytes.
    pub bytes: u64,
}

impl Finished {
    /// The duration of the longest track.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let seconds = self
            .fragmented
            .tracks
            .iter()
            .map(|track| track.tables.duration() as f64 / f64::from(track.format.timescale().get()));
        Duration::try_from_secs_f64(seconds.fold(0.0, f64::max)).unwrap_or_default()
    }
}

/// Writes the index of all whole fragments into the room at the beginning of the file, and `tail`, whole boxes, at its end.
/// What is behind the last whole fragment is cut off, so this recovers the file of a writer that was killed as well.
///
/// A loss of power at any moment leaves a file that plays: the last write turns the free space into an index at once.
///
/// # Errors
/// The file is not a fragmented one, has fewer fragments than were written ([`Error::Unread`]) or none, has no room for its
/// index, or cannot be written. It is as before then; only if it cannot be written, it may be cut off behind the last whole
/// fragment.
pub fn finish(file: &mut impl Storage, extent: Extent, tail: &[u8]) -> Result<Finished, Error> {
    let length = file.seek(SeekFrom::End(0))?;
    let fragmented = read_fragments(file, length)?;
    let read = u64::from(fragmented.fragments);
    if let Extent::Written(written) = extent
        && read < written
    {
        return Err(Error::Unread { read, written });
    }
    let index = fragmented.index(0)?;
    let room = fragmented.room.filter(|room| room.end <= fragmented.start);
    let (start, end) = room.map_or((0, 0), |room| (room.start, room.end));
    let space = (end - start).saturating_sub(LARGE_HEADER);
    let rest = space.checked_sub(index.len() as u64).filter(|rest| *rest == 0 || *rest >= HEADER);
    let Some(rest) = rest else {
        return Err(Error::Room { needed: index.len() as u64, room: space });
    };
    file.truncate(fragmented.end)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(tail)?;

    let (first, others) = index.split_at(HEADER as usize);
    file.seek(SeekFrom::Start(start + HEADER))?;
    file.write_all(others)?;
    if rest > 0 {
        file.write_all(&boxes::header(*b"free", rest - HEADER))?;
    }
    file.seek(SeekFrom::Start(end - LARGE_HEADER))?;
    file.write_all(&boxes::large_header(*b"mdat", fragmented.end - end))?;
    file.sync()?;
    file.seek(SeekFrom::Start(start))?;
    file.write_all(first)?;
    file.sync()?;
    let bytes = fragmented.end + tail.len() as u64;
    Ok(Finished { fragmented, bytes })
}

/// Copies a fragmented file, up to its last whole fragment, into one whose index comes first. Needs no room in the file. Of a
/// file that has its index and is cut off, it copies the samples that are there.
///
/// # Errors
/// The file is a whole one ([`Error::Indexed`]), has no index or no whole fragment, or one of the files fails.
pub fn rewrite(
    file: &mut (impl Read + Seek),
    out: &mut impl Write,
    metadata: Option<&SegmentMetadata>,
) -> Result<Finished, Error> {
    let length = file.seek(SeekFrom::End(0))?;
    let movie = read(file, length)?;
    let fragmented = if !movie.is_fragmented && movie.has_missing_samples() {
        FragmentedFile::cut_off(movie)?
    } else {
        FragmentedFile::of_fragments(movie)?
    };
    let mut head = file_type().encode_to_vec().map_err(Error::mux)?;
    let data = fragmented.end - fragmented.start;
    // The places of the samples depend on the length of the index, which grows if they need more bits.
    let mut index = fragmented.index(0)?;
    loop {
        let before = head.len() as u64 + index.len() as u64 + LARGE_HEADER;
        let shifted = fragmented.index(before.cast_signed() - fragmented.start.cast_signed())?;
        let is_settled = shifted.len() == index.len();
        index = shifted;
        if is_settled {
            break;
        }
    }
    head.extend(index);
    head.extend(boxes::large_header(*b"mdat", data));
    out.write_all(&head)?;
    file.seek(SeekFrom::Start(fragmented.start))?;
    let copied = io::copy(&mut file.take(data), out)?;
    if copied < data {
        return Err(Error::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    let mut tail = Vec::new();
    metadata.iter().for_each(|metadata| metadata.append_to(&mut tail));
    out.write_all(&tail)?;
    Ok(Finished { bytes: head.len() as u64 + data + tail.len() as u64, fragmented })
}

#[cfg(test)]
mod tests;
