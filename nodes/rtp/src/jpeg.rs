//! JPEG in RTP (RFC 2435), with the header extension of ONVIF.
//!
//! A packet has an offset into the entropy-coded data of its picture. Whether a picture is whole depends on the offsets
//! alone: each fragment must begin where the previous one ended.

mod file;
mod header;
mod segments;
mod tables;

use self::file::Heads;
use self::header::Header;
use crate::fault::Fault;
use crate::output::Output;
use crate::packet::Packet;
use crate::unit::Unit;

/// The profile of a header extension with segments, in the first packet of a picture and in others (ONVIF Streaming
/// Specification, section 5.1.3.1).
const SEGMENTS: [u16; 2] = [0xffd8, 0xffff];
/// The profile of the header extension of replays (ONVIF Streaming Specification, section 6.3).
const REPLAY: u16 = 0xabac;
/// Bytes of that extension.
const REPLAY_LENGTH: usize = 12;

/// Maximum number of bytes in the header extensions of a picture.
const MAX_EXTENSION: usize = 64 << 10;

/// The state of a track of JPEG.
#[derive(Debug)]
pub(crate) struct Jpeg {
    heads: Heads,
    picture: Option<Picture>,
    /// The timestamp of the last picture that has ended. Further fragments of it were counted.
    ended: Option<u32>,
    /// Something is missing since the last unit.
    after_loss: bool,
    /// How much to reserve for the next file.
    expected_length: usize,
}

/// A picture that has not ended.
#[derive(Debug)]
struct Picture {
    timestamp: u32,
    /// The segments in the header extensions of its first packets.
    extension: Option<Vec<u8>>,
    scan: Scan,
    /// Packets after the last fragment are missing, or were discarded.
    has_gap: bool,
}

/// How much of a picture has come.
#[derive(Debug)]
enum Scan {
    /// No entropy-coded data yet.
    Before,
    /// The file so far: `head` bytes of segments and then entropy-coded data.
    Data { file: Vec<u8>, head: usize, size: (u32, u32) },
    /// The camera sends a whole file as entropy-coded data.
    File(Vec<u8>),
}

/// The position of a packet relative to the current picture.
enum Position {
    /// At the end of the current picture.
    Next,
    /// At the start of another one.
    Start,
    /// The current picture has it already.
    Repeated,
    /// Elsewhere.
    Unknown,
}

impl Jpeg {
    pub(crate) fn new(size: Option<(u32, u32)>) -> Self {
        Self { heads: Heads::new(size), picture: None, ended: None, after_loss: false, expected_length: 0 }
    }

    pub(crate) fn push(&mut self, packet: &Packet<'_>, after_gap: bool, out: &mut Output) {
        let extension = packet.extension.and_then(segments_of);
        // Only packets with entropy-coded data must have the header.
        let header = if packet.payload.is_empty() {
            if extension.is_none() {
                out.fault(Fault::Empty);
            }
            None
        } else {
            match Header::read(packet.payload) {
                Ok(header) => Some(header),
                Err(fault) => {
                    out.fault(fault);
                    return self.note_discarded(packet, after_gap);
                }
            }
        };
        let has_data = header.is_some_and(|header| !header.data.is_empty());
        match self.position(packet, header, extension) {
            Position::Next if after_gap && !has_data => self.note_loss(),
            Position::Next => {}
            Position::Start => {
                if after_gap {
                    self.note_loss();
                }
                self.finish(out);
                let timestamp = packet.timestamp;
                self.picture =
                    Some(Picture { timestamp, extension: None, scan: Scan::Before, has_gap: false });
            }
            Position::Repeated => return,
            Position::Unknown => {
                if header.is_some() && self.ended != Some(packet.timestamp) {
                    out.fault(Fault::Fragment);
                    self.ended = Some(packet.timestamp);
                }
                return self.note_discarded(packet, after_gap);
            }
        }
        if let Err(fault) = self.append(header, extension) {
            out.fault(fault);
            self.picture = None;
            self.after_loss = true;
            self.ended = Some(packet.timestamp);
        } else if packet.marker {
            self.finish(out);
        }
    }

    fn position(
        &self,
        packet: &Packet<'_>,
        header: Option<Header<'_>>,
        extension: Option<&[u8]>,
    ) -> Position {
        let current = self.picture.as_ref().filter(|picture| picture.timestamp == packet.timestamp);
        let Some(header) = header else {
            return match (current, extension) {
                (Some(_), _) => Position::Next,
                (None, Some(_)) => Position::Start,
                (None, None) => Position::Unknown,
            };
        };
        if let Some(picture) = current {
            let known = picture.scan.data();
            if header.data.is_empty() || header.offset == known.len() {
                return Position::Next;
            }
            if known.get(header.offset..).is_some_and(|known| known.starts_with(header.data)) {
                return Position::Repeated;
            }
        }
        if header.offset == 0 { Position::Start } else { Position::Unknown }
    }

    /// Takes a packet of the current picture.
    fn append(&mut self, header: Option<Header<'_>>, extension: Option<&[u8]>) -> Result<(), Fault> {
        let Some(picture) = &mut self.picture else { return Ok(()) };
        if let (Some(segments), Scan::Before) = (extension, &picture.scan) {
            let all = picture.extension.get_or_insert_default();
            if all.len() + segments.len() > MAX_EXTENSION {
                return Err(Fault::TooLong);
            }
            all.extend(segments);
        }
        let Some(header) = header.filter(|header| !header.data.is_empty()) else { return Ok(()) };
        picture.has_gap = false;
        match &mut picture.scan {
            Scan::Before if segments::begins_with_segment(header.data) => {
                let mut file = Vec::with_capacity(self.expected_length.max(header.data.len()));
                file.extend(header.data);
                picture.scan = Scan::File(file);
            }
            Scan::Before => {
                let head = self.heads.write(&header, picture.extension.as_deref())?;
                let mut file =
                    Vec::with_capacity(self.expected_length.max(head.bytes.len() + header.data.len()));
                file.extend(&head.bytes);
                file.extend(header.data);
                picture.scan = Scan::Data { file, head: head.bytes.len(), size: head.size };
            }
            Scan::Data { file, .. } | Scan::File(file) => file.extend(header.data),
        }
        Ok(())
    }

    /// Ends the current picture.
    fn finish(&mut self, out: &mut Output) {
        let Some(picture) = self.picture.take() else { return };
        let (timestamp, has_gap) = (picture.timestamp, picture.has_gap);
        self.ended = Some(timestamp);
        let (data, size) = match picture.into_file() {
            Ok(file) => file,
            Err(fault) => {
                self.after_loss = true;
                return out.fault(fault);
            }
        };
        // Pictures of a camera differ little in their length.
        self.expected_length = data.len() + data.len() / 8;
        out.units.push_back(Unit {
            timestamp,
            data: data.into(),
            key: true,
            after_loss: self.after_loss,
            parameter_sets: None,
            size: Some(size),
        });
        // This picture is whole, so the gap is between it and the next one.
        self.after_loss = has_gap;
    }

    /// A packet is discarded, of whichever picture it is.
    fn note_discarded(&mut self, packet: &Packet<'_>, after_gap: bool) {
        let of_current = self.picture.as_ref().is_none_or(|picture| picture.timestamp == packet.timestamp);
        if after_gap || (of_current && !packet.payload.is_empty()) {
            self.note_loss();
        }
    }

    fn note_loss(&mut self) {
        match &mut self.picture {
            Some(picture) => picture.has_gap = true,
            None => self.after_loss = true,
        }
    }
}

impl Picture {
    /// The whole file, and its width and height in pixels.
    fn into_file(self) -> Result<(Vec<u8>, (u32, u32)), Fault> {
        let data = self.scan.data();
        if data.is_empty() {
            return Err(Fault::Empty);
        }
        if self.has_gap && file::end_marker(data).is_none() {
            return Err(Fault::Incomplete);
        }
        let (mut file, size) = match self.scan {
            Scan::Before => return Err(Fault::Empty),
            Scan::Data { file, size, .. } => (file, size),
            Scan::File(file) => file::complete(file)?,
        };
        file::end(&mut file);
        Ok((file, size))
    }
}

impl Scan {
    /// The entropy-coded data so far.
    fn data(&self) -> &[u8] {
        match self {
            Self::Before => &[],
            Self::Data { file, head, .. } => &file[*head..],
            Self::File(file) => file,
        }
    }
}

/// The segments in a header extension.
fn segments_of((profile, bytes): (u16, &[u8])) -> Option<&[u8]> {
    if SEGMENTS.contains(&profile) {
        return Some(bytes);
    }
    // The other extension is behind the replay's, with its own profile and length.
    let (_, [p1, p2, _, _, bytes @ ..]) = bytes.split_at_checked(REPLAY_LENGTH)? else { return None };
    (profile == REPLAY && SEGMENTS.contains(&u16::from_be_bytes([*p1, *p2]))).then_some(bytes)
}

#[cfg(test)]
mod tests;
