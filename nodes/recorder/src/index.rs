//! The index of an MP4 file that is whole: its room at the beginning of the file, and how it is written.

use std::io::{self, Seek, SeekFrom, Write};

use msight_media::mp4::{self, Extent, Storage};
use msight_media::{Codec, SegmentMetadata};

use crate::ending::Ending;
use crate::origin::Origin;
use crate::segment::WriteRules;
use crate::sink::Sink;
use crate::track::Track;

/// Bytes of the index for each sample and for each fragment of a track, at most.
const SAMPLE_ENTRY: f64 = 24.0;
const CHUNK_ENTRY: f64 = 20.0;
/// Bytes of the index without samples, at most.
const EMPTY_INDEX: f64 = 16_384.0;

/// Bytes for the index, from the number of samples so far.
pub(crate) fn room(tracks: &[Track], rules: &WriteRules) -> u32 {
    let seconds = |track: &Track| {
        let mut units = track.units();
        let first = units.next()?;
        Some(units.last().unwrap_or(first).seconds_since(first.dts).max(0.04))
    };
    let per_second = |track: &Track| {
        let units = track.units().count() as f64;
        let rate = seconds(track).map_or(50.0, |seconds| units / seconds);
        let is_plain = matches!(track.encoding.codec, Codec::Pcma | Codec::Pcmu | Codec::L16);
        (if is_plain { 0.0 } else { rate.clamp(1.0, 240.0) * SAMPLE_ENTRY }) + CHUNK_ENTRY / rules.fragment
    };
    let sets = tracks.iter().filter_map(|track| track.encoding.sets.as_deref());
    let sets: usize = sets.flat_map(|sets| sets.all()).map(bytes::Bytes::len).sum();
    let samples: f64 = tracks.iter().map(per_second).sum();
    (EMPTY_INDEX + sets as f64 + samples * rules.room) as u32
}

/// Writes the index into its room or, if that is too small, into a copy that takes the place of the file. Returns the bytes
/// of the file.
///
/// # Errors
/// The file has fewer fragments than it should, or cannot be written. It stays unfinished.
pub(crate) fn write(
    sink: &mut Sink,
    origin: &Origin,
    ending: Ending,
    lost_within: u64,
    extent: Extent,
) -> Result<u64, mp4::Error> {
    let tail = tail(origin, ending, lost_within);
    match mp4::finish(sink, extent, &tail) {
        Ok(finished) => Ok(finished.bytes),
        Err(mp4::Error::Room { .. }) => sink.rewrite(&tail),
        Err(error) => Err(error),
    }
}

/// Appends to a file with its index that its writer died.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn mark_recovered(sink: &mut Sink, origin: &Origin) -> io::Result<()> {
    sink.seek(SeekFrom::End(0))?;
    sink.write_all(&tail(origin, Ending::Recovered, 0))?;
    sink.sync()
}

/// The boxes at the end of a file.
fn tail(origin: &Origin, ending: Ending, lost_within: u64) -> Vec<u8> {
    let metadata = SegmentMetadata {
        ending: ending.as_str().to_owned(),
        frames_lost_before: origin.frames_lost_before,
        frames_lost_within: lost_within,
        copied: true,
        frames_hidden: 0,
    };
    let mut tail = Vec::new();
    metadata.append_to(&mut tail);
    // That at the beginning becomes a part of the sample data.
    tail.extend(origin.to_box());
    tail
}
