//! Matroska files (RFC 9559): [`read`] shows what any of them has, and a [`MatroskaWriter`] writes H.264, H.265, JPEG, AAC, Opus,
//! G.711 and L16.
//!
//! The writer appends clusters of about a second, each with its length, to a segment without one. So the file plays at any
//! moment, and after a crash up to its [`whole_length`]. At the end, an index of the key frames (cues) is appended, and a few
//! [`Patch`]es at the beginning of the file state the duration, the length, and where the index is.
//!
//! Times are exact to 0.1 ms: Matroska counts them in parts of a second, and those of a cluster in 16 bits.

mod cluster;
mod element;
mod head;
mod read;
#[cfg(test)]
mod tests;
mod tracks;
mod whole;

pub use read::{Fault, MatroskaFile, read};
pub use tracks::TrackInfo;
pub use whole::whole_length;

use webm_iterable::WebmWriter;
use webm_iterable::errors::TagWriterError;
use webm_iterable::matroska_spec::{Master, MatroskaSpec};

use crate::access_unit::{Codec, Kind};
use crate::mp4::{self, TrackFormat};
use crate::unit::Unit;
use cluster::Cluster;

/// Ids of the elements that hold the others (RFC 9559, section 5.1).
const EBML: u64 = 0x1a45_dfa3;
const SEGMENT: u64 = 0x1853_8067;
const CLUSTER: u64 = 0x1f43_b675;
/// Ticks of 90 kHz in one of the file, 0.1 ms.
const TICKS: i64 = 9;
/// Nanoseconds of a tick of the file.
const TIMESTAMP_SCALE: u64 = 100_000;
/// Tracks of a file, whose numbers are one byte.
const MAX_TRACKS: usize = 126;
/// Bytes that are kept for the list of the parts of the file (seek head).
const SEEK_HEAD: usize = 100;

/// One track of a file.
#[derive(Clone, Copy, Debug)]
pub struct Track<'a> {
    /// How its units are encoded; [`can_carry`] tells which codecs are possible.
    pub codec: Codec,
    /// The form of its units in MP4, which Matroska shares, with size and sampling rate.
    pub format: &'a TrackFormat,
    /// Channels of sound; 0 for pictures.
    pub channels: u32,
}

/// Bytes to write at a place of the file that was written before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The place, in bytes from the beginning of the file.
    pub offset: u64,
    /// What to write there.
    pub bytes: Vec<u8>,
}

/// Why a file or a unit cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Matroska has no form for the codec.
    #[error("a Matroska file cannot carry {}", .0.name())]
    Codec(Codec),
    /// The number of tracks is not 1 to 126.
    #[error("a Matroska file has 1 to 126 tracks, not {0}")]
    Tracks(usize),
    /// The file has no track of this index.
    #[error("the file has no track {0}")]
    NoTrack(usize),
    /// The configuration of the decoder has no form.
    #[error(transparent)]
    Format(#[from] mp4::Error),
    /// The library rejects an element.
    #[error("cannot write an element: {0}")]
    Element(String),
}

impl From<TagWriterError> for Error {
    fn from(error: TagWriterError) -> Self {
        Self::Element(error.to_string())
    }
}

/// Whether Matroska has a form for the codec that players know.
#[must_use]
pub fn can_carry(codec: Codec) -> bool {
    codec.kind() != Kind::Metadata
}

/// Writes a file, unit by unit, in decoding order.
pub struct MatroskaWriter {
    elements: WebmWriter<Vec<u8>>,
    tracks: Vec<Codec>,
    places: head::Places,
    /// Bytes of the file so far.
    length: u64,
    cluster: Option<Cluster>,
    cues: Vec<Cue>,
    /// Of each track.
    ends: Vec<End>,
}

/// Where a track ends so far, in ticks of 90 kHz.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// The latest presentation time.
    pts: i64,
    /// The last decoding time, and how much later it is than the one before.
    dts: i64,
    step: i64,
}

/// A key frame in the index.
#[derive(Clone, Copy, Debug)]
struct Cue {
    time: u64,
    track: u64,
    /// The place of its cluster in the segment.
    cluster: u64,
}

impl std::fmt::Debug for MatroskaWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MatroskaWriter").field("tracks", &self.tracks).field("length", &self.length).finish()
    }
}

impl MatroskaWriter {
    /// A file with these tracks. Appends its beginning to `out`, which has to be at the beginning of the file.
    ///
    /// # Errors
    /// Matroska has no form for a codec, or there are too many tracks.
    pub fn new(tracks: &[Track<'_>], out: &mut Vec<u8>) -> Result<Self, Error> {
        if !(1..=MAX_TRACKS).contains(&tracks.len()) {
            return Err(Error::Tracks(tracks.len()));
        }
        let mut elements = WebmWriter::new(Vec::new());
        let places = head::write(tracks, &mut elements)?;
        let head = std::mem::take(elements.get_mut());
        out.extend_from_slice(&head);
        Ok(Self {
            elements,
            tracks: tracks.iter().map(|track| track.codec).collect(),
            places,
            length: head.len() as u64,
            cluster: None,
            cues: Vec::new(),
            ends: vec![End::default(); tracks.len()],
        })
    }

    /// Takes a unit, and appends the cluster before it to `out` if that is complete. Returns how many bytes were appended.
    ///
    /// # Errors
    /// The file has no such track.
    pub fn write(&mut self, track: usize, unit: &Unit<'_>, out: &mut Vec<u8>) -> Result<usize, Error> {
        let codec = *self.tracks.get(track).ok_or(Error::NoTrack(track))?;
        let time = unit.pts.saturating_add(TICKS / 2).div_euclid(TICKS);
        let is_video_key = unit.key && codec.kind() == Kind::Video;
        let mut appended = 0;
        if self.cluster.as_ref().is_some_and(|cluster| cluster.is_complete_before(time, is_video_key)) {
            appended = self.flush(out)?;
        }
        let cluster = self.cluster.get_or_insert_with(|| Cluster::new(time));
        cluster.push(track, time, unit);

        let end = &mut self.ends[track];
        let step = unit.dts.saturating_sub(end.dts).max(0);
        *end = End { pts: end.pts.max(unit.pts), dts: unit.dts, step };
        let has_video = self.tracks.iter().any(|codec| codec.kind() == Kind::Video);
        if is_video_key || (!has_video && cluster.units() == 1) {
            let cue = Cue {
                time: time.max(0) as u64,
                track: track as u64 + 1,
                cluster: self.length - self.places.segment,
            };
            self.cues.push(cue);
        }
        Ok(appended)
    }

    /// Appends the units since the last cluster to `out`, so that they survive the program.
    ///
    /// # Errors
    /// The library rejects an element.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<usize, Error> {
        match self.cluster.take() {
            Some(cluster) => self.append(&cluster.into_element(), out),
            None => Ok(0),
        }
    }

    /// Appends what is left and the index to `out`, and returns what to write at the beginning of the file afterwards.
    ///
    /// # Errors
    /// The library rejects an element.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Vec<Patch>, Error> {
        self.flush(out)?;
        let index = self.length - self.places.segment;
        if !self.cues.is_empty() {
            let cues = self.cues.iter().map(|cue| {
                let position = Master::Full(vec![
                    MatroskaSpec::CueTrack(cue.track),
                    MatroskaSpec::CueClusterPosition(cue.cluster),
                ]);
                MatroskaSpec::CuePoint(Master::Full(vec![
                    MatroskaSpec::CueTime(cue.time),
                    MatroskaSpec::CueTrackPositions(position),
                ]))
            });
            let cues = MatroskaSpec::Cues(Master::Full(cues.collect()));
            self.append(&cues, out)?;
        }
        // The last unit of a track lasts as long as the one before it.
        let duration =
            self.ends.iter().map(|end| end.pts.saturating_add(end.step)).max().unwrap_or(0) / TICKS;
        let index = (!self.cues.is_empty()).then_some(index);
        self.places.patches(&mut self.elements, index, duration.max(0) as f64, self.length)
    }

    fn append(&mut self, element: &MatroskaSpec, out: &mut Vec<u8>) -> Result<usize, Error> {
        self.elements.write(element)?;
        let bytes = self.elements.get_mut();
        let length = bytes.len();
        out.append(bytes);
        self.length += length as u64;
        Ok(length)
    }
}
