//! Reads a fragmented file: the indexes of its fragments become one. No sample is read, and of the file's boxes one at a time
//! is in memory.

use std::io::{Read, Seek};
use std::num::NonZeroU32;

use shiguredo_mp4::boxes::{HdlrBox, MoofBox, MoovBox, TfhdBox, TrafBox, TrakBox, TrunBox, TrunSample};
use shiguredo_mp4::{Decode, Mp4FileTime, SampleFlags};

use super::boxes::{BoxHeader, box_at, content, whole};
use super::error::Error;
use super::format::TrackFormat;
use super::movie::{Edit, MovieTrack, index, rescale};
use super::tables::{SampleInfo, SampleTables};
use crate::access_unit::Kind;

/// Largest index of a file or of a fragment that is read, bytes.
const MAX_INDEX: usize = 64 << 20;
/// Most samples of a run: those without a description of their own take no bytes in the file.
const MAX_RUN: u32 = 1 << 20;

/// A fragmented file, up to its last whole fragment.
#[derive(Debug)]
pub struct FragmentedFile {
    /// The tracks, with the samples of all whole fragments.
    pub tracks: Vec<FragmentedTrack>,
    /// The number of whole fragments.
    pub fragments: u32,
    /// Where the first fragment begins, in bytes.
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
    id: u32,
    defaults: Defaults,
}

/// What is true of a sample if its run does not say otherwise.
#[derive(Clone, Copy, Debug)]
struct Defaults {
    duration: u32,
    size: u32,
    flags: SampleFlags,
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
            Edit {
                delay: track.decode_time.unwrap_or(begun).saturating_sub(begun),
                media_time: track.media_time,
                duration: track.tables.duration(),
            }
        };
        self.tracks.iter().map(edit).collect()
    }
}

/// Reads the index of a fragmented file of `length` bytes, up to its last whole fragment.
///
/// # Errors
/// The file is not a fragmented MP4 file, or has no whole fragment ([`Error::Format`]); its index is that of a whole file
/// already ([`Error::Indexed`]); or it cannot be read.
pub fn read_fragments(file: &mut (impl Read + Seek), length: u64) -> Result<FragmentedFile, Error> {
    let mut head = read_head(file, length)?;
    let mut place = head.start;
    let mut index: Option<(BoxHeader, MoofBox)> = None;
    while let Some(found) = box_at(file, place, length)?.filter(|found| found.end <= length) {
        match (&found.kind, index.take()) {
            (b"moof", _) => match moof(file, &found)? {
                Some(moof) => index = Some((found, moof)),
                None => break,
            },
            (b"mdat", Some((at, moof))) => {
                if !add_fragment(&mut head.tracks, &at, &moof, found.end)? {
                    break;
                }
                head.fragments += 1;
                head.end = found.end;
            }
            ([b' '..=b'~', ..], waiting) => index = waiting,
            _ => break,
        }
        place = found.end;
    }
    if head.fragments == 0 { Err(Error::format("it has no whole fragment")) } else { Ok(head) }
}

/// Everything before the first fragment.
fn read_head(file: &mut (impl Read + Seek), length: u64) -> Result<FragmentedFile, Error> {
    let (mut place, mut room, mut movie) = (0, None, None);
    while let Some(found) = box_at(file, place, length)? {
        match &found.kind {
            b"moof" => break,
            b"ftyp" | b"uuid" | b"styp" | b"sidx" | b"emsg" | b"skip" | b"wide" | b"pdin" | b"meta" => {}
            b"free" if room.is_none() && movie.is_none() => room = Some(found),
            b"free" | b"mdat" => {}
            b"moov" if movie.is_none() => {
                let bytes = whole(found.kind, &content(file, &found, MAX_INDEX)?);
                movie = Some(MoovBox::decode(&bytes).map_err(Error::format)?.0);
            }
            kind => {
                return Err(Error::format(format!("it has a box '{}'", kind.escape_ascii())));
            }
        }
        place = found.end;
    }
    let movie = movie.ok_or_else(|| Error::format("it has no index"))?;
    let Some(extends) = &movie.mvex_box else { return Err(Error::Indexed) };
    let defaults = |id| {
        let found = extends.trex_boxes.iter().find(|defaults| defaults.track_id == id);
        found.map_or(Defaults { duration: 0, size: 0, flags: SampleFlags::empty() }, |found| Defaults {
            duration: found.default_sample_duration,
            size: found.default_sample_size,
            flags: found.default_sample_flags,
        })
    };
    let tracks = movie.trak_boxes.iter().filter_map(|track| read_track(track, &defaults)).collect();
    let created = movie.mvhd_box.creation_time;
    Ok(FragmentedFile { tracks, fragments: 0, start: place, end: place, created, room })
}

/// A track of pictures or sound.
fn read_track(track: &TrakBox, defaults: &dyn Fn(u32) -> Defaults) -> Option<FragmentedTrack> {
    let media = &track.mdia_box;
    let kind = match media.hdlr_box.handler_type {
        HdlrBox::HANDLER_TYPE_VIDE => Kind::Video,
        HdlrBox::HANDLER_TYPE_SOUN => Kind::Audio,
        _ => return None,
    };
    let entry = media.minf_box.stbl_box.stsd_box.entries.first()?.clone();
    let edits = track.edts_box.as_ref().and_then(|edits| edits.elst_box.as_ref());
    let media_time =
        edits.and_then(|list| list.entries.iter().find_map(|edit| u64::try_from(edit.media_time).ok()));
    let side = |side: i16| side.cast_unsigned();
    let size = (side(track.tkhd_box.width.integer), side(track.tkhd_box.height.integer));
    let id = track.tkhd_box.track_id;
    let format = TrackFormat {
        kind,
        timescale: media.mdhd_box.timescale,
        entry,
        size: (kind == Kind::Video).then_some(size),
        sound_sample: None,
    };
    Some(FragmentedTrack {
        format,
        tables: SampleTables::default(),
        media_time: media_time.unwrap_or(0),
        decode_time: None,
        id,
        defaults: defaults(id),
    })
}

/// The index of a fragment. `None` if it is damaged.
fn moof(file: &mut (impl Read + Seek), found: &BoxHeader) -> Result<Option<MoofBox>, Error> {
    let Ok(content) = content(file, found, MAX_INDEX) else { return Ok(None) };
    if !has_plausible_runs(&content) {
        return Ok(None);
    }
    Ok(MoofBox::decode(&whole(found.kind, &content)).ok().map(|(moof, _)| moof))
}

/// Whether no run has more samples than is reasonable, which the library would make room for.
fn has_plausible_runs(moof: &[u8]) -> bool {
    children(moof).filter(|(kind, _)| kind == b"traf").flat_map(|(_, traf)| children(traf)).all(
        |(kind, run)| {
            let count = run.get(4..8).and_then(|count| count.try_into().ok()).map(u32::from_be_bytes);
            &kind != b"trun" || count.is_some_and(|count| count <= MAX_RUN)
        },
    )
}

/// The boxes in a box: their types and contents.
fn children(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, rest) = bytes.split_first_chunk::<4>()?;
        let (kind, _) = rest.split_first_chunk::<4>()?;
        let end = usize::try_from(u32::from_be_bytes(*size)).ok()?;
        let content = bytes.get(8..end)?;
        bytes = &bytes[end..];
        Some((*kind, content))
    })
}

/// Adds the samples of a fragment, whose data ends at `end`. Returns whether all of it is there; if not, no sample of the
/// fragment counts.
fn add_fragment(
    tracks: &mut [FragmentedTrack],
    at: &BoxHeader,
    moof: &MoofBox,
    end: u64,
) -> Result<bool, Error> {
    let mut place = at.start;
    let mut runs = Vec::new();
    for traf in &moof.traf_boxes {
        let header = &traf.tfhd_box;
        let base = match header.base_data_offset {
            Some(base) => base,
            None if header.default_base_is_moof => at.start,
            None => place,
        };
        place = base;
        let Some(track) = tracks.iter().position(|track| track.id == header.track_id) else { continue };
        let defaults = tracks[track].defaults.of(header);
        for run in &traf.trun_boxes {
            if let Some(offset) = run.data_offset {
                place = base.saturating_add_signed(offset.into());
            }
            runs.push((track, place, traf, run, defaults));
            let bytes: u64 = run.samples.iter().map(|s| u64::from(s.size.unwrap_or(defaults.size))).sum();
            place = place.saturating_add(bytes);
            if place > end {
                return Ok(false);
            }
        }
    }
    for (track, place, traf, run, defaults) in runs {
        tracks[track].add(place, traf, run, defaults)?;
    }
    Ok(true)
}

impl Defaults {
    /// Those of a fragment.
    fn of(self, header: &TfhdBox) -> Self {
        Self {
            duration: header.default_sample_duration.unwrap_or(self.duration),
            size: header.default_sample_size.unwrap_or(self.size),
            flags: header.default_sample_flags.unwrap_or(self.flags),
        }
    }
}

impl FragmentedTrack {
    /// Adds the samples of a run, whose data is at `place`.
    fn add(&mut self, place: u64, traf: &TrafBox, run: &TrunBox, defaults: Defaults) -> Result<(), Error> {
        if run.samples.is_empty() {
            return Ok(());
        }
        let is_first_run = traf.trun_boxes.first().is_some_and(|first| std::ptr::eq(first, run));
        let time = traf.tfdt_box.as_ref().filter(|_| is_first_run).map(|time| time.base_media_decode_time);
        match (self.decode_time, time) {
            (None, time) => self.decode_time = Some(time.unwrap_or(0)),
            (Some(first), Some(time)) if time.saturating_sub(first) != self.tables.duration() => {
                self.tables.extend_to(time.saturating_sub(first));
            }
            _ => {}
        }
        self.tables.begin_chunk(place);
        let described = |sample: &TrunSample, flags: SampleFlags| SampleInfo {
            size: sample.size.unwrap_or(defaults.size),
            duration: sample.duration.unwrap_or(defaults.duration),
            composition_offset: clamp(sample.composition_time_offset.unwrap_or(0)),
            key: !flags.sample_is_non_sync_sample(),
        };
        let first_flags = run.first_sample_flags;
        for (number, sample) in run.samples.iter().enumerate() {
            let flags = first_flags.filter(|_| number == 0).or(sample.flags).unwrap_or(defaults.flags);
            self.tables.push(described(sample, flags))?;
        }
        Ok(())
    }
}

fn clamp(offset: i64) -> i32 {
    offset.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}
