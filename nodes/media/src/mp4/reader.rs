//! The fragments of a file, and the index that they become.

use std::io::{Read, Seek};
use std::num::NonZeroU32;

use shiguredo_mp4::Mp4FileTime;

use super::boxes::BoxHeader;
use super::error::Error;
use super::format::TrackFormat;
use super::movie::{Edit, MovieTrack, created_at, index, rescale};
use super::read::{Movie, read};
use super::tables::SampleTables;
use super::track::{EditEntry, Track};
use crate::access_unit::Kind;

/// A fragmented file, up to its last whole fragment.
#[derive(Debug)]
pub struct FragmentedFile {
    /// The tracks of pictures and sound, with the samples of all whole fragments.
    pub tracks: Vec<FragmentedTrack>,
    /// The number of whole fragments.
    pub fragments: u32,
    /// Where the first fragment begins, in bytes; or the samples before it, if the index has some.
    pub start: u64,
    /// Where the last whole fragment ends, in bytes.
    pub end: u64,
    pub(super) created: Mp4FileTime,
    /// The free space before the index.
    pub(super) room: Option<BoxHeader>,
}

/// A track of a fragmented file.
#[derive(Debug)]
pub struct FragmentedTrack {
    /// What its samples are.
    pub format: TrackFormat,
    /// The samples.
    pub tables: SampleTables,
    /// The composition time of the first picture shown, in ticks.
    pub media_time: u64,
    /// The decoding time of the first sample, in ticks; `None` without samples.
    pub decode_time: Option<u64>,
    /// The edit that a whole index states.
    edit: Option<Edit>,
}

impl FragmentedFile {
    /// The `moov` box of the whole file. `shift` is added to the place of every chunk.
    pub(super) fn index(&self, shift: i64) -> Result<Vec<u8>, Error> {
        let edits = self.edits();
        let tracks: Vec<_> = (self.tracks.iter().zip(&edits))
            .filter(|(track, _)| track.tables.count() > 0)
            .map(|(track, edit)| MovieTrack { format: &track.format, edit: *edit, tables: &track.tables })
            .collect();
        index(self.created, &tracks, shift)
    }

    /// All tracks are shown as a whole, and those that begin later than the first one after a pause.
    fn edits(&self) -> Vec<Edit> {
        let second = NonZeroU32::MIN.saturating_add(999_999_999);
        let begins = |track: &FragmentedTrack| {
            track.decode_time.map(|time| (rescale(time, track.format.timescale, second), time))
        };
        let first = self.tracks.iter().filter_map(begins).min();
        let edit = |track: &FragmentedTrack| {
            let begun = first.map_or(0, |(time, _)| rescale(time, second, track.format.timescale));
            track.edit.unwrap_or_else(|| Edit {
                delay: track.decode_time.unwrap_or(begun).saturating_sub(begun),
                media_time: track.media_time,
                // Of a file that is cut off, the last picture may be shown after others that are missing.
                duration: track.tables.composition_end().saturating_sub(track.media_time),
            })
        };
        self.tracks.iter().map(edit).collect()
    }
}

impl From<Movie> for FragmentedFile {
    fn from(movie: Movie) -> Self {
        let track = |track: Track| FragmentedTrack {
            media_time: track.edits.iter().find_map(|edit| edit.media_time).unwrap_or(0),
            format: track.format,
            tables: track.tables,
            decode_time: track.decode_time,
            edit: None,
        };
        let start = movie.fragments_start.unwrap_or(movie.end);
        let has_earlier = movie.tracks.iter().any(|track| track.tables.starts_before(start));
        Self {
            fragments: movie.fragments,
            start: movie.data_start.filter(|_| has_earlier).unwrap_or(start),
            end: movie.end,
            created: movie.created.map_or(Mp4FileTime::from_secs(0), created_at),
            room: movie.room,
            tracks: (movie.tracks.into_iter())
                .filter(|track| track.format.kind != Kind::Metadata)
                .map(track)
                .collect(),
        }
    }
}

impl FragmentedFile {
    /// What a fragmented file has.
    pub(super) fn of_fragments(movie: Movie) -> Result<Self, Error> {
        if movie.tracks.is_empty() {
            return Err(Error::format("it has no index"));
        }
        if !movie.is_fragmented {
            return Err(Error::Indexed);
        }
        if movie.fragments == 0 {
            return Err(Error::format("it has no whole fragment"));
        }
        Ok(movie.into())
    }

    /// The samples of an indexed file that is cut off: of each track those before the first one that is missing.
    pub(super) fn cut_off(mut movie: Movie) -> Result<Self, Error> {
        let (timescale, length) = (movie.timescale, movie.length);
        for track in &mut movie.tracks {
            track.tables = track.tables.first(track.tables.whole_within(length));
        }
        let edits: Vec<_> = movie
            .tracks
            .iter()
            .map(|track| edit(track, timescale))
            .collect::<Option<_>>()
            .ok_or_else(|| Error::format("its edit lists have several parts"))?;
        let kinds = movie.tracks.iter().map(|track| track.format.kind);
        let edits: Vec<_> =
            edits.into_iter().zip(kinds).filter(|(_, kind)| *kind != Kind::Metadata).collect();
        let mut file = Self::from(movie);
        file.end = length;
        for (track, (edit, _)) in file.tracks.iter_mut().zip(edits) {
            track.edit = Some(edit);
        }
        if file.tracks.iter().all(|track| track.tables.count() == 0) {
            return Err(Error::format("it has no whole sample"));
        }
        Ok(file)
    }
}

/// The edit list of a track as one edit. `None` if it has several parts.
fn edit(track: &Track, timescale: NonZeroU32) -> Option<Edit> {
    let ticks = |duration| rescale(duration, timescale, track.format.timescale);
    let last = track.tables.composition_end();
    let (delay, duration, media_time) = match track.edits[..] {
        [] => (0, last, 0),
        [EditEntry { duration, media_time: Some(media_time) }] => (0, ticks(duration), media_time),
        [
            EditEntry { duration: delay, media_time: None },
            EditEntry { duration, media_time: Some(media_time) },
        ] => (ticks(delay), ticks(duration), media_time),
        _ => return None,
    };
    Some(Edit { delay, media_time, duration: duration.min(last.saturating_sub(media_time)) })
}

/// Reads the index of a fragmented file of `length` bytes, up to its last whole fragment.
///
/// # Errors
/// The file is not a fragmented MP4 file, or has no whole fragment ([`Error::Format`]); its index is that of a whole file
/// already ([`Error::Indexed`]); or it cannot be read.
pub fn read_fragments(file: &mut (impl Read + Seek), length: u64) -> Result<FragmentedFile, Error> {
    FragmentedFile::of_fragments(read(file, length)?)
}
