//! Reads any MP4 file: indexed or fragmented, whole or damaged. No sample is read, and of the file's boxes one at a time is in
//! memory.

use std::io::{self, Read, Seek};
use std::num::NonZeroU32;
use std::time::Duration;

use shiguredo_mp4::boxes::MoofBox;

use super::boxes::{BoxHeader, MAX_INDEX, box_at, content};
use super::error::Error;
use super::moof::{add_fragment, read_moof};
use super::movie::MOVIE_TIMESCALE;
use super::track::{Index, Track};
use crate::access_unit::Kind;
use crate::segment_metadata::{self, SegmentMetadata};

/// Largest `ftyp` box, bytes.
const MAX_FILE_TYPE: usize = 4096;
/// Largest box with metadata of a segment, bytes.
const MAX_METADATA: usize = 16 + segment_metadata::MAX_CONTENT;
/// Most faults that are listed.
const MAX_FAULTS: usize = 100;
/// The types of box that an MP4 or QuickTime file may begin with.
pub(super) const FIRST_BOXES: [[u8; 4]; 12] = [
    *b"ftyp", *b"moov", *b"mdat", *b"free", *b"skip", *b"wide", *b"styp", *b"moof", *b"sidx", *b"uuid",
    *b"pnot", *b"emsg",
];

/// What an MP4 file has, without the data of its samples.
#[derive(Debug)]
pub struct Movie {
    /// What kinds of MP4 the file is, the major brand first (ISO/IEC 14496-12, 4.3).
    pub brands: Vec<[u8; 4]>,
    /// When the file was made, since 1970, if it says so.
    pub created: Option<Duration>,
    /// Ticks a second of the durations of edits.
    pub timescale: NonZeroU32,
    /// The tracks, with the samples of the index and of all whole fragments.
    pub tracks: Vec<Track>,
    /// Whether the index is before the samples. `None`: there is no index, or no sample data.
    pub is_index_first: Option<bool>,
    /// Whether the index says that fragments follow.
    pub is_fragmented: bool,
    /// The number of whole fragments.
    pub fragments: u32,
    /// Why the segment ended, if the program that wrote it says so.
    pub metadata: Option<SegmentMetadata>,
    /// Bytes of the file.
    pub length: u64,
    /// Where the last whole box, or the last whole fragment of a fragmented file, ends, in bytes.
    pub end: u64,
    /// Bytes of sample data (`mdat`) in the file, of samples and of anything else.
    pub data_bytes: u64,
    /// What is wrong with the file.
    pub faults: Vec<Fault>,
    /// Where the first fragment begins, in bytes.
    pub(super) fragments_start: Option<u64>,
    /// The free space before the index.
    pub(super) room: Option<BoxHeader>,
    /// Where the first box with samples begins, and where the index does.
    pub(super) data_start: Option<u64>,
    /// The first box of sample data.
    pub(super) data: Option<BoxHeader>,
    index_start: Option<u64>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file ends within a box.
    #[error("the file ends within a box '{}', of which {missing} bytes are missing", .kind.escape_ascii())]
    CutOff {
        /// The type of the box.
        kind: [u8; 4],
        /// Bytes that are missing.
        missing: u64,
    },
    /// Bytes that are no box follow the last one.
    #[error("{bytes} bytes at the end are not part of an MP4 file")]
    Trailing {
        /// Their number.
        bytes: u64,
    },
    /// The file has no index, so that its samples cannot be found.
    #[error("it has no index ('moov')")]
    NoIndex,
    /// The index is damaged.
    #[error("the index ('moov') is damaged: {0}")]
    Index(String),
    /// The tables of a track are damaged.
    #[error("track {track}: {fault}")]
    Tables {
        /// The track's number in the file.
        track: u32,
        /// What is wrong.
        fault: String,
    },
    /// Samples are behind the end of the file.
    #[error("track {track}: {missing} of {samples} samples are not in the file")]
    SamplesMissing {
        /// The track's number in the file.
        track: u32,
        /// The samples behind the first one that is missing, and that one.
        missing: u32,
        /// All samples of the index.
        samples: u32,
    },
    /// A fragment is damaged. It and those after it are not read.
    #[error("the fragment at byte {0} is damaged")]
    Fragment(u64),
}

impl Movie {
    fn new(length: u64) -> Self {
        Self {
            brands: vec![],
            created: None,
            timescale: MOVIE_TIMESCALE,
            tracks: vec![],
            is_index_first: None,
            is_fragmented: false,
            fragments: 0,
            metadata: None,
            length,
            end: 0,
            data_bytes: 0,
            faults: vec![],
            fragments_start: None,
            room: None,
            data_start: None,
            data: None,
            index_start: None,
        }
    }

    /// Bytes of sample data that no sample of the index has: lost samples, or the heads of former fragments
    /// ([`former_heads`](super::former_heads)).
    #[must_use]
    pub fn unindexed_bytes(&self) -> u64 {
        let indexed = self.tracks.iter().map(|track| track.tables.bytes()).fold(0, u64::saturating_add);
        self.data_bytes.saturating_sub(indexed)
    }

    /// Whether samples of the index are behind the end of the file.
    #[must_use]
    pub fn has_missing_samples(&self) -> bool {
        self.faults.iter().any(|fault| matches!(fault, Fault::SamplesMissing { .. }))
    }

    /// Whether a sample of a picture or of sound is in the file as a whole.
    #[must_use]
    pub fn has_whole_sample(&self) -> bool {
        let mut tracks = self.tracks.iter().filter(|track| track.format.kind() != Kind::Metadata);
        tracks.any(|track| track.tables.whole_within(self.length) > 0)
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }

    fn read_file_type(&mut self, content: &[u8]) {
        let brands = content.chunks_exact(4).enumerate().filter(|(at, _)| *at != 1);
        for brand in brands.filter_map(|(_, brand)| brand.try_into().ok()) {
            if !self.brands.contains(&brand) {
                self.brands.push(brand);
            }
        }
    }

    fn read_index(&mut self, found: &BoxHeader, content: &io::Result<Vec<u8>>) {
        self.index_start = Some(found.start);
        let content = match content {
            Ok(content) => content,
            Err(error) => return self.fault(Fault::Index(error.to_string())),
        };
        let Some(index) = Index::read(content, self.length) else {
            return self.fault(Fault::Index("it has no header ('mvhd')".to_owned()));
        };
        (self.created, self.timescale) = (index.created, index.timescale);
        (self.tracks, self.is_fragmented) = (index.tracks, index.is_fragmented);
        index.faults.into_iter().for_each(|fault| self.fault(Fault::Index(fault)));
    }

    /// Adds a fragment. Returns whether reading goes on.
    fn read_fragment(&mut self, at: &BoxHeader, moof: &MoofBox, end: u64) -> bool {
        let samples =
            |tracks: &[Track]| tracks.iter().map(|track| u64::from(track.tables.count())).sum::<u64>();
        // A fragment takes no less than a byte for a sample; more samples than bytes are made up.
        let is_added = add_fragment(&mut self.tracks, at, moof, end).is_ok_and(|is_whole| is_whole)
            && samples(&self.tracks) <= self.length;
        if is_added {
            self.fragments += 1;
            self.end = end;
        } else {
            self.fault(Fault::Fragment(at.start));
        }
        is_added
    }

    /// Finds samples behind the end of the file, and damaged tables.
    fn check_tracks(&mut self) {
        let mut faults = Vec::new();
        for track in &self.tracks {
            let (samples, whole) = (track.tables.count(), track.tables.whole_within(self.length));
            if whole < samples {
                faults.push(Fault::SamplesMissing { track: track.id, missing: samples - whole, samples });
            }
            faults.extend(
                track.faults.iter().map(|fault| Fault::Tables { track: track.id, fault: fault.clone() }),
            );
        }
        faults.into_iter().for_each(|fault| self.fault(fault));
    }
}

/// Whether a file that begins with these bytes can be an MP4 or QuickTime file.
#[must_use]
pub fn is_mp4(head: &[u8]) -> bool {
    head.get(4..8).is_some_and(|kind| FIRST_BOXES.iter().any(|known| kind == known))
}

/// Reads what an MP4 file of `length` bytes has. What is damaged or missing is in [`Movie::faults`].
///
/// # Errors
/// The file is not an MP4 file ([`Error::Format`]), or cannot be read.
pub fn read(file: &mut (impl Read + Seek), length: u64) -> Result<Movie, Error> {
    let mut movie = Movie::new(length);
    let (mut place, mut waiting, mut is_reading) = (0, None::<(BoxHeader, MoofBox)>, true);
    // A box has 8 bytes or more, so the length bounds their number.
    while let Some(found) = box_at(file, place, length)? {
        if place == 0 && !FIRST_BOXES.contains(&found.kind) {
            break;
        }
        if found.kind.iter().any(|byte| !matches!(byte, b' '..=b'~' | 0xa9)) {
            break;
        }
        let is_whole = found.end <= length;
        let is_data = found.kind == *b"mdat";
        if is_data || found.kind == *b"moof" {
            movie.data_start.get_or_insert(found.start);
        }
        if is_data {
            movie.data.get_or_insert(found);
            movie.data_bytes += found.end.min(length) - found.start - found.header;
        }
        if !is_whole {
            let missing = found.end - length;
            movie.fault(Fault::CutOff { kind: found.kind, missing });
            place = length;
            break;
        }
        match &found.kind {
            b"ftyp" if movie.brands.is_empty() => {
                movie.read_file_type(&content(file, &found, MAX_FILE_TYPE).unwrap_or_default());
            }
            b"free" if movie.room.is_none() && movie.index_start.is_none() => movie.room = Some(found),
            b"moov" if movie.index_start.is_none() => {
                movie.read_index(&found, &content(file, &found, MAX_INDEX));
            }
            b"moof" if is_reading && movie.is_fragmented => {
                movie.fragments_start.get_or_insert(found.start);
                waiting = read_moof(file, &found, length).map(|moof| (found, moof));
                is_reading = waiting.is_some();
                if !is_reading {
                    movie.fault(Fault::Fragment(found.start));
                }
            }
            b"mdat" => {
                if let Some((at, moof)) = waiting.take() {
                    is_reading = movie.read_fragment(&at, &moof, found.end);
                }
            }
            b"uuid" if movie.metadata.is_none() => {
                let content = content(file, &found, MAX_METADATA).unwrap_or_default();
                movie.metadata = SegmentMetadata::from_box(&content);
            }
            _ => {}
        }
        place = found.end;
    }
    if place == 0 {
        return Err(Error::format("it does not begin with a box of MP4"));
    }
    if place < length {
        movie.fault(Fault::Trailing { bytes: length - place });
    }
    if movie.fragments_start.is_none() {
        movie.end = place;
    }
    if movie.index_start.is_none() {
        movie.fault(Fault::NoIndex);
    }
    movie.is_index_first = movie.index_start.zip(movie.data_start).map(|(index, data)| index < data);
    movie.check_tracks();
    Ok(movie)
}

#[cfg(test)]
mod tests;
