//! The heads of the fragments that a finished file had, which stay in its sample data.

use std::io::{self, Read, Seek};

use super::boxes::{BoxHeader, box_at};
use super::read::{FIRST_BOXES, Movie};

/// Bytes of sample data that are heads of former fragments: boxes up to the header of an `mdat` box, behind which a sample
/// begins. [`finish`](super::finish) and [`rewrite`](super::rewrite) leave them in the first `mdat` box of the file, as
/// other programs do. Only the headers of boxes are read.
///
/// # Errors
/// The file cannot be read.
pub fn former_heads(file: &mut (impl Read + Seek), movie: &Movie) -> io::Result<u64> {
    let Some(data) = movie.data.filter(|_| !movie.is_fragmented) else { return Ok(0) };
    let mut heads = 0;
    let mut place = data.start + data.header;
    for (start, end) in runs(movie, &data) {
        if start > place && is_head(file, place, start)? {
            heads += start - place;
        }
        place = place.max(end);
    }
    Ok(heads)
}

/// Where samples of the box are one behind the other, from start to end, in the order of the file.
fn runs(movie: &Movie, data: &BoxHeader) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (start, sample) in movie.tracks.iter().flat_map(|track| track.tables.placed()) {
        let end = start.saturating_add(sample.size.into());
        match runs.last_mut() {
            Some((_, last)) if *last == start => *last = end,
            _ => runs.push((start, end)),
        }
    }
    runs.retain(|(start, _)| (data.start..data.end.min(movie.length)).contains(start));
    runs.sort_unstable();
    runs
}

/// Whether the bytes from `place` to `end` are boxes of a fragment and the header of its data.
fn is_head(file: &mut (impl Read + Seek), mut place: u64, end: u64) -> io::Result<bool> {
    while let Some(found) = box_at(file, place, end)? {
        if found.kind == *b"mdat" {
            return Ok(found.start + found.header == end);
        }
        if !FIRST_BOXES.contains(&found.kind) || found.end > end {
            break;
        }
        place = found.end;
    }
    Ok(false)
}
