//! Reads any Matroska or WebM file: whole, without an index, or cut off. Of a frame only its header is read.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::num::NonZeroU32;
use std::time::Duration;

use super::element::{self, Header, MAX_HEADER, elements, unsigned};
use super::tracks::{self, TrackInfo};
use super::{CLUSTER, EBML, SEGMENT};
use crate::timing::Timing;

/// Ids of elements (RFC 9559, section 5.1).
const DOC_TYPE: u64 = 0x4282;
const INFO: u64 = 0x1549_a966;
const TIMESTAMP_SCALE: u64 = 0x002a_d7b1;
const DATE_UTC: u64 = 0x4461;
const TRACKS: u64 = 0x1654_ae6b;
const CUES: u64 = 0x1c53_bb6b;
const TIMESTAMP: u64 = 0xe7;
const SIMPLE_BLOCK: u64 = 0xa3;
const BLOCK_GROUP: u64 = 0xa0;
const BLOCK: u64 = 0xa1;
const REFERENCE_BLOCK: u64 = 0xfb;
/// Most bytes that are read of the header of the file and of the facts about its segment; of the list of its tracks; and of
/// an integer.
const MAX_INFO: u64 = 64 << 10;
const MAX_TRACKS: u64 = 1 << 20;
const MAX_INTEGER: u64 = 8;
/// Most bytes of a block before its frames: track, time, flags, and the number of frames (section 10.2).
const MAX_BLOCK_HEADER: u64 = 12;
/// Most blocks whose times are kept, of all tracks: 77 hours of 30 a second.
const MAX_TIMES: u32 = 1 << 23;
/// Most faults that are listed.
const MAX_FAULTS: usize = 100;
/// Seconds from 1970 to 2001, where the clock of Matroska begins (RFC 8794, section 7.6).
const EPOCH: u64 = 978_307_200;
/// Nanoseconds of a tick, if the file does not say.
const USUAL_SCALE: u64 = 1_000_000;
const NANOSECONDS: NonZeroU32 = NonZeroU32::new(1_000_000_000).expect("not zero");

/// What a file has, without the data of its frames.
#[derive(Clone, Debug)]
pub struct MatroskaFile {
    /// `matroska` or `webm`.
    pub doc_type: String,
    /// When the file was made, since 1970, if it says so.
    pub created: Option<Duration>,
    /// Nanoseconds of a tick.
    pub timestamp_scale: u64,
    /// The tracks, with the frames of all whole blocks.
    pub tracks: Vec<TrackInfo>,
    /// Whether the index (`Cues`) is before the frames. `None`: there is no index.
    pub is_index_first: Option<bool>,
    /// The number of clusters.
    pub clusters: u32,
    /// Bytes of the file.
    pub length: u64,
    /// What is wrong with the file.
    pub faults: Vec<Fault>,
    /// Blocks whose times are not kept yet.
    times_left: u32,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file ends within an element.
    #[error("the file is cut off: {missing} bytes or more are missing")]
    CutOff {
        /// Bytes that are missing, at least.
        missing: u64,
    },
    /// An element is damaged. It and those after it are not read.
    #[error("the element at byte {0} is damaged")]
    Damaged(u64),
    /// The file does not say what its tracks are.
    #[error("it has no list of its tracks ('Tracks')")]
    NoTracks,
}

/// The part of a block before its frames.
#[derive(Clone, Copy, Debug)]
struct Block {
    track: u64,
    /// Ticks since the beginning of the cluster.
    since: i16,
    flags: u8,
    frames: u32,
    bytes: u64,
}

/// A block with facts of its own beside it.
#[derive(Debug)]
struct Group {
    end: u64,
    block: Option<Block>,
    is_key: bool,
}

/// A file that is read forwards, with jumps.
struct Forwards<R> {
    file: BufReader<R>,
    place: u64,
}

impl<R: Read + Seek> Forwards<R> {
    /// Some bytes at a place, fewer at the end of the file.
    fn at(&mut self, place: u64, bytes: u64) -> io::Result<Vec<u8>> {
        self.file.seek_relative(place.wrapping_sub(self.place).cast_signed())?;
        let mut content = Vec::new();
        (&mut self.file).take(bytes).read_to_end(&mut content)?;
        self.place = place + content.len() as u64;
        Ok(content)
    }
}

/// Reads what a file has. What is damaged or missing is in [`MatroskaFile::faults`].
///
/// # Errors
/// The file cannot be read, or is not a Matroska file ([`io::ErrorKind::InvalidData`]).
pub fn read(file: &mut (impl Read + Seek)) -> io::Result<MatroskaFile> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut reader = Forwards { file: BufReader::new(file), place: 0 };
    let mut found = MatroskaFile::new(length);
    let (mut place, mut cluster, mut group) = (0, 0, None::<Group>);
    let (mut index, mut first_cluster) = (None, None);
    while place < length {
        if let Some(whole) = group.take_if(|group| place >= group.end) {
            found.add_group(&whole, cluster);
        }
        let Some(header) = Header::parse(&reader.at(place, MAX_HEADER as u64)?) else {
            let left = length - place;
            let is_cut_off = left < MAX_HEADER as u64;
            found.fault(if is_cut_off { Fault::CutOff { missing: 1 } } else { Fault::Damaged(place) });
            break;
        };
        if place == 0 && header.id != EBML {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it does not begin with a header of EBML",
            ));
        }
        let (begun, content) = (place, place + header.length);
        let end = header.size.map(|size| content.saturating_add(size));
        if let Some(missing) = end.and_then(|end| end.checked_sub(length)).filter(|missing| *missing > 0) {
            found.cut_off(missing);
        }
        // The elements that hold blocks are entered, whatever length they state.
        place = match (header.id, end) {
            (SEGMENT | CLUSTER | BLOCK_GROUP, _) => content,
            (_, Some(end)) => end,
            (_, None) => {
                found.fault(Fault::Damaged(begun));
                break;
            }
        };
        let is_whole = place <= length;
        // A group of unknown size ends where an element begins that no group has.
        if matches!(header.id, SEGMENT | CLUSTER | BLOCK_GROUP | SIMPLE_BLOCK | CUES)
            && let Some(whole) = group.take()
        {
            found.add_group(&whole, cluster);
        }
        match header.id {
            EBML => found.set_doc_type(&reader.at(content, (place - content).min(MAX_INFO))?),
            INFO => found.set_info(&reader.at(content, (place - content).min(MAX_INFO))?),
            TRACKS if found.tracks.is_empty() => {
                found.tracks = tracks::read(&reader.at(content, (place - content).min(MAX_TRACKS))?);
            }
            CUES => _ = index.get_or_insert(begun),
            CLUSTER => {
                first_cluster.get_or_insert(begun);
                found.clusters = found.clusters.saturating_add(1);
            }
            TIMESTAMP => {
                let content = reader.at(content, (place - content).min(MAX_INTEGER))?;
                cluster = unsigned(&content).unwrap_or_default();
            }
            BLOCK_GROUP => {
                group = Some(Group { end: end.unwrap_or(length), block: None, is_key: true });
            }
            REFERENCE_BLOCK => group.iter_mut().for_each(|group| group.is_key = false),
            SIMPLE_BLOCK | BLOCK if is_whole => {
                let bytes = place - content;
                let block = Block::read(&reader.at(content, bytes.min(MAX_BLOCK_HEADER))?, bytes);
                match (&mut group, block) {
                    (Some(group), block) if header.id == BLOCK => group.block = block,
                    (_, Some(block)) => found.add(&block, cluster, block.flags & 0x80 != 0),
                    (_, None) => {}
                }
            }
            _ => {}
        }
    }
    if let Some(last) = group {
        found.add_group(&last, cluster);
    }
    found.is_index_first = index.map(|index: u64| first_cluster.is_none_or(|cluster: u64| index < cluster));
    if found.tracks.is_empty() {
        found.fault(Fault::NoTracks);
    }
    Ok(found)
}

impl Block {
    /// Reads the beginning of a block of this many bytes.
    fn read(start: &[u8], bytes: u64) -> Option<Self> {
        let (track, length) = element::integer(start, 8)?;
        let [high, low, flags, rest @ ..] = start.get(length..)? else { return None };
        // Several frames of sound in one block: their number less one (section 10.3).
        let is_laced = flags & 0x06 != 0;
        let more = rest.first().filter(|_| is_laced).map_or(0, |more| u32::from(*more));
        Some(Self {
            track: track ^ 1 << (7 * length),
            since: i16::from_be_bytes([*high, *low]),
            flags: *flags,
            frames: more + 1,
            bytes: bytes.saturating_sub(length as u64 + 3),
        })
    }
}

impl MatroskaFile {
    fn new(length: u64) -> Self {
        Self {
            doc_type: String::new(),
            created: None,
            timestamp_scale: USUAL_SCALE,
            tracks: vec![],
            is_index_first: None,
            clusters: 0,
            length,
            faults: vec![],
            times_left: MAX_TIMES,
        }
    }

    /// When the frames of a track of this file are shown.
    #[must_use]
    pub fn timing(&self, track: &TrackInfo) -> Timing {
        let origin = self.tracks.iter().filter_map(|track| track.times.first()).min();
        track.times.timing(track.kind, NANOSECONDS, origin.unwrap_or(0))
    }

    fn set_doc_type(&mut self, header: &[u8]) {
        if let Some((_, content)) = elements(header).find(|(id, _)| *id == DOC_TYPE) {
            self.doc_type = element::string(content);
        }
    }

    fn set_info(&mut self, info: &[u8]) {
        let field = |wanted: u64| elements(info).find(|(id, _)| *id == wanted).map(|(_, content)| content);
        if let Some(scale) = field(TIMESTAMP_SCALE).and_then(unsigned).filter(|scale| *scale > 0) {
            self.timestamp_scale = scale;
        }
        let since = field(DATE_UTC).and_then(unsigned).map(Duration::from_nanos);
        self.created = since.and_then(|since| since.checked_add(Duration::from_secs(EPOCH)));
    }

    fn add_group(&mut self, group: &Group, cluster: u64) {
        if let Some(block) = &group.block {
            self.add(block, cluster, group.is_key);
        }
    }

    /// Adds a block of a cluster of this time, in ticks.
    fn add(&mut self, block: &Block, cluster: u64, key: bool) {
        let Some(track) = self.tracks.iter_mut().find(|track| track.number == block.track) else { return };
        track.frames = track.frames.saturating_add(block.frames);
        track.key_frames = track.key_frames.saturating_add(key.into());
        track.bytes = track.bytes.saturating_add(block.bytes);
        if let Some(left) = self.times_left.checked_sub(1) {
            self.times_left = left;
            let ticks = i64::try_from(cluster).unwrap_or(i64::MAX).saturating_add(block.since.into());
            let scale = i64::try_from(self.timestamp_scale).unwrap_or(i64::MAX);
            track.times.push(ticks.saturating_mul(scale), key);
        }
    }

    fn cut_off(&mut self, missing: u64) {
        // The elements within one that is cut off are cut off, too.
        if !self.faults.iter().any(|fault| matches!(fault, Fault::CutOff { .. })) {
            self.fault(Fault::CutOff { missing });
        }
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }
}
