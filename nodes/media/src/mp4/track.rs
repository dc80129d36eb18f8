//! Reads the index of a file: the `moov` box (ISO/IEC 14496-12, 8.2), whatever program has written it.
//!
//! Tables are read box by box rather than by the box library, which refuses files without boxes that no reader needs, and
//! whose tables take room for what a box only claims to have.

use std::num::NonZeroU32;
use std::time::Duration;

use shiguredo_mp4::boxes::SampleEntry;
use shiguredo_mp4::{Decode, SampleFlags};

use super::boxes::{child, children, u32_at, u64_at, unknown, whole};
use super::format::TrackFormat;
use super::tables::SampleTables;
use crate::access_unit::Kind;

/// Most tracks of a file.
pub(super) const MAX_TRACKS: usize = 64;
/// Most entries of an edit list.
const MAX_EDITS: usize = 256;
/// Seconds from 1904, where the clock of MP4 files begins, to 1970.
const EPOCH: u64 = 2_082_844_800;

/// A track of a file.
#[derive(Debug)]
pub struct Track {
    /// Its number in the file.
    pub id: u32,
    /// The four characters that say what the track is for, such as `vide`, `soun` or `text`.
    pub handler: [u8; 4],
    /// What its samples are. A track that has neither pictures nor sound is [`Kind::Metadata`].
    pub format: TrackFormat,
    /// The number of sample entries. Only the first one is in `format`.
    pub formats: usize,
    /// The samples.
    pub tables: SampleTables,
    /// The edit list as it is in the file. Empty: the track is shown as a whole.
    pub edits: Vec<EditEntry>,
    /// The decoding time of the first sample, in ticks, in a fragmented file. `None` without samples.
    pub decode_time: Option<u64>,
    /// What is wrong with the tables of the track.
    pub faults: Vec<String>,
    pub(super) defaults: Defaults,
}

/// An entry of an edit list (ISO/IEC 14496-12, 8.6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditEntry {
    /// How long it lasts, in ticks of the movie. 0 in a fragmented file: until the end.
    pub duration: u64,
    /// The composition time in the track at which it begins, in ticks of the track. `None`: a pause.
    pub media_time: Option<u64>,
}

/// What is true of a sample of a fragment if its run does not say otherwise (`trex`, ISO/IEC 14496-12, 8.8.3).
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: SampleFlags,
}

/// What a `moov` box has.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) timescale: NonZeroU32,
    /// Since 1970.
    pub(super) created: Option<Duration>,
    pub(super) tracks: Vec<Track>,
    pub(super) is_fragmented: bool,
    pub(super) faults: Vec<String>,
}

impl Index {
    /// Reads the content of the box. The file has `length` bytes. `None` without the header of a movie.
    pub(super) fn read(moov: &[u8], length: u64) -> Option<Self> {
        let header = child(moov, *b"mvhd")?;
        let (created, timescale) = clock(header)?;
        let extends = child(moov, *b"mvex");
        let defaults = |id: u32| {
            let boxes = extends.into_iter().flat_map(children).filter(|(kind, _)| kind == b"trex");
            boxes.map(|(_, found)| found).find(|found| u32_at(found, 4) == Some(id))
        };
        let mut index =
            Self { timescale, created, tracks: vec![], is_fragmented: extends.is_some(), faults: vec![] };
        for (number, (_, trak)) in (1..).zip(children(moov).filter(|(kind, _)| kind == b"trak")) {
            if number > MAX_TRACKS {
                index.faults.push(format!("it has more than {MAX_TRACKS} tracks"));
                break;
            }
            match Track::read(trak, length, &defaults) {
                Some(track) => index.tracks.push(track),
                None => index.faults.push(format!("the index of track {number} is damaged")),
            }
        }
        Some(index)
    }
}

impl Track {
    /// Reads the content of a `trak` box. `None` without the boxes that say what the track is.
    fn read<'a>(trak: &[u8], length: u64, defaults: &dyn Fn(u32) -> Option<&'a [u8]>) -> Option<Self> {
        let header = child(trak, *b"tkhd")?;
        let is_long = header.first() == Some(&1);
        let id = u32_at(header, if is_long { 20 } else { 12 })?;
        let side = |at| u32_at(header, at).and_then(|side| u16::try_from(side >> 16).ok());
        let shown_size = side(if is_long { 88 } else { 76 }).zip(side(if is_long { 92 } else { 80 }));

        let media = child(trak, *b"mdia")?;
        let (_, timescale) = clock(child(media, *b"mdhd")?)?;
        let handler = child(media, *b"hdlr")?.get(8..12)?.try_into().ok()?;
        let kind = match &handler {
            b"vide" | b"pict" => Kind::Video,
            b"soun" => Kind::Audio,
            _ => Kind::Metadata,
        };
        let stbl = child(child(media, *b"minf")?, *b"stbl")?;
        let entries = child(stbl, *b"stsd")?.get(8..)?;
        let entry = children(entries).next().map(|(kind, content)| entry(kind, content))?;
        let formats = children(entries).take(MAX_EDITS).count();

        let (tables, faults) = SampleTables::read(stbl, length);
        let edits = child(trak, *b"edts").and_then(|edits| child(edits, *b"elst"));
        let trex = defaults(id);
        let field = |at| trex.and_then(|trex| u32_at(trex, at)).unwrap_or(0);
        let defaults = Defaults { duration: field(12), size: field(16), flags: SampleFlags::new(field(20)) };
        let mut format = TrackFormat { kind, timescale, entry, size: None, sound_sample: None };
        if kind == Kind::Video {
            format.size = shown_size.filter(|(width, height)| *width > 0 && *height > 0);
        }
        Some(Self {
            id,
            handler,
            format,
            formats,
            decode_time: (tables.count() > 0).then_some(0),
            tables,
            edits: edits.map(read_edits).unwrap_or_default(),
            faults,
            defaults,
        })
    }
}

/// A sample entry; as its bytes, if the library cannot read it.
fn entry(kind: [u8; 4], content: &[u8]) -> SampleEntry {
    match SampleEntry::decode(&whole(kind, content)) {
        Ok((entry, _)) => entry,
        Err(_) => SampleEntry::Unknown(unknown(kind, content.to_vec())),
    }
}

/// The time of creation, and the ticks a second, of an `mvhd` or `mdhd` box.
fn clock(header: &[u8]) -> Option<(Option<Duration>, NonZeroU32)> {
    let is_long = header.first()? == &1;
    let created = if is_long { u64_at(header, 4)? } else { u32_at(header, 4)?.into() };
    let timescale = NonZeroU32::new(u32_at(header, if is_long { 20 } else { 12 })?)?;
    Some((created.checked_sub(EPOCH).map(Duration::from_secs), timescale))
}

fn read_edits(list: &[u8]) -> Vec<EditEntry> {
    let is_long = list.first() == Some(&1);
    let entries = list.get(8..).unwrap_or_default().chunks_exact(if is_long { 20 } else { 12 });
    let entry = |entry: &[u8]| {
        let (duration, media_time) = if is_long {
            (u64_at(entry, 0)?, u64_at(entry, 8)?.cast_signed())
        } else {
            (u32_at(entry, 0)?.into(), u32_at(entry, 4)?.cast_signed().into())
        };
        Some(EditEntry { duration, media_time: u64::try_from(media_time).ok() })
    };
    let count = u32_at(list, 4).unwrap_or(0) as usize;
    entries.take(count.min(MAX_EDITS)).filter_map(entry).collect()
}
