//! Puts NAL units together to pictures, for H.264 and H.265 alike.
//!
//! A picture ends at the marker, at a new timestamp, or before the first slice of the next one: cameras get any one of the
//! three wrong. It is discarded if packets of it are missing.

mod complete;

use bytes::Bytes;
use msight_media::ParameterSets;
use msight_media::nal::{self, LENGTH};

use crate::fault::Fault;
use crate::markers::Markers;
use crate::output::Output;
use crate::picture::Picture;
use crate::sets::Sets;
use crate::syntax::{Class, Syntax};
use crate::unit::MAX_UNIT_BYTES;

/// Maximum number of NAL units in a picture. A 4K key frame with a slice in each packet has about 2000.
const MAX_NALS: usize = 1 << 14;

/// Maximum length that is reserved for a picture before it comes, bytes.
const MAX_RESERVED_BYTES: usize = 1 << 20;

/// The start bit of an FU header.
pub(crate) const FIRST: u8 = 0x80;
/// The end bit of an FU header.
const LAST: u8 = 0x40;

/// A part of a fragmented NAL unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment<'a> {
    /// The header of the NAL unit.
    pub(crate) header: &'a [u8],
    /// The FU header, which has the start bit and the end bit; 0 if the packet ends before it.
    pub(crate) flags: u8,
    /// The next bytes after the header.
    pub(crate) body: &'a [u8],
}

/// Puts NAL units together to pictures.
#[derive(Debug)]
pub(crate) struct Assembly<S> {
    sets: Sets<S>,
    picture: Picture,
    /// The NAL unit at the end of `picture.data` that is being received.
    open: Option<Open>,
    /// Packets are missing before the next one.
    has_gap: bool,
    /// The beginning of the next picture may be missing.
    may_lack_begin: bool,
    /// A picture has been discarded since the last one that was emitted.
    has_lost: bool,
    has_emitted: bool,
    /// Timestamp and data of the picture that a marker ended, until the next one begins.
    ended: Option<(u32, Bytes)>,
    markers: Markers,
    /// The camera sets the end bit of fragments.
    has_end_bits: bool,
    /// A sequence parameter set has come since the last picture.
    has_sps: bool,
    recovery: Option<u32>,
    /// Pictures since the last key.
    without_key: u32,
    /// Length of the last picture.
    capacity: usize,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    /// Where its length is in `picture.data`.
    start: usize,
    /// Its type.
    kind: u8,
}

impl<S: Syntax> Assembly<S> {
    pub(crate) fn new(described: Option<&ParameterSets>) -> Self {
        Self {
            sets: Sets::new(described),
            picture: Picture::default(),
            open: None,
            has_gap: false,
            may_lack_begin: true,
            has_lost: false,
            has_emitted: false,
            ended: None,
            markers: Markers::default(),
            has_end_bits: false,
            has_sps: false,
            recovery: None,
            without_key: u32::MAX,
            capacity: 0,
        }
    }

    /// Packets are missing before the next one.
    pub(crate) fn gap(&mut self) {
        self.has_gap = true;
    }

    /// The next NAL unit, in two parts. Returns whether it can be used.
    pub(crate) fn whole(&mut self, timestamp: u32, head: &[u8], body: &[u8], out: &mut Output) -> bool {
        let body = if head.is_empty() { nal::without_start_code(body) } else { body };
        let Some(&header) = head.first().or(body.first()) else {
            out.fault(Fault::Empty);
            return false;
        };
        let kind = S::kind(header);
        let class = S::class(kind);
        if is_forbidden(header) || class == Class::Undefined {
            out.fault(Fault::BadNal);
            if class.is_needed() {
                self.lose(timestamp, out);
            }
            return false;
        }
        self.begin(timestamp, kind, out);
        self.append(head, out);
        self.append(body, out);
        self.close(out);
        true
    }

    /// The next part of a NAL unit. Returns whether it can be used.
    pub(crate) fn fragment(&mut self, timestamp: u32, fragment: Fragment<'_>, out: &mut Output) -> bool {
        let Fragment { header, flags, body } = fragment;
        let (first, last) = (flags & FIRST != 0, flags & LAST != 0);
        // The header alone is a unit only with both bits; an end may be empty.
        if body.is_empty() && !first && !last {
            out.fault(Fault::Empty);
            return false;
        }
        let kind = header.first().map_or(0, |&header| S::kind(header));
        let class = S::class(kind);
        // Cameras that fragment a unit together with its start code make a header of the first zero.
        let is_start_code = kind == 0 && class == Class::Undefined;
        if header.first().is_some_and(|&header| is_forbidden(header))
            || (class == Class::Undefined && !is_start_code)
        {
            out.fault(Fault::BadNal);
            if class.is_needed() {
                self.lose(timestamp, out);
            }
            return false;
        }
        self.take_gap(out);
        match self.open {
            Some(open) if first => {
                let so_far = &self.picture.data[open.start + LENGTH..];
                if so_far.strip_prefix(header) == Some(body) && !last {
                    // The camera has sent it twice.
                    return true;
                }
                self.begin(timestamp, kind, out);
                self.append(header, out);
            }
            None if first => {
                self.begin(timestamp, kind, out);
                self.append(header, out);
            }
            Some(open) if open.kind == kind => {
                let so_far = &self.picture.data[open.start + LENGTH..];
                if class.is_needed() && is_distinctive(body) && so_far.ends_with(body) {
                    return true;
                }
            }
            Some(_) => {
                out.fault(Fault::Fragment);
                return false;
            }
            None => return self.stray(timestamp, class, body, out),
        }
        self.append(body, out);
        if last {
            self.has_end_bits |= !first;
            self.close(out);
        }
        true
    }

    /// The marker of a packet, after what was in it.
    pub(crate) fn marker(&mut self, out: &mut Output) {
        if self.open.is_some() {
            self.markers.refute();
        } else if self.picture.has_begun() {
            if self.markers.are_trusted() {
                let timestamp = self.picture.timestamp;
                self.ended = Some((timestamp, self.finish(out)));
            } else {
                self.picture.is_marked = true;
            }
        }
    }

    /// A part that a picture needs cannot be used.
    pub(crate) fn lose(&mut self, timestamp: u32, out: &mut Output) {
        self.take_gap(out);
        self.has_lost = true;
        if self.picture.has_begun() && self.picture.timestamp == timestamp {
            self.spoil(Fault::Incomplete, out);
        }
    }

    /// The data of the picture of this timestamp that a marker ended, as long as no other has begun.
    fn ended_at(&self, timestamp: u32) -> Option<&[u8]> {
        self.ended.as_ref().filter(|(ended, _)| *ended == timestamp).map(|(_, data)| &data[..])
    }

    /// The stream has ended.
    pub(crate) fn end(&mut self, out: &mut Output) {
        self.take_gap(out);
        if self.open.is_some() && !self.has_end_bits {
            self.close(out);
        }
        // Where markers end pictures, one without a marker is cut off.
        if self.picture.has_slices && self.open.is_none() && !self.markers.are_trusted() {
            self.finish(out);
        }
    }

    /// A fragment without the one before it.
    fn stray(&mut self, timestamp: u32, class: Class, body: &[u8], out: &mut Output) -> bool {
        if self.picture.is_spoiled && self.picture.timestamp == timestamp {
            self.may_lack_begin = false;
            self.goes_on();
            return true;
        }
        if !class.is_needed() {
            out.fault(Fault::Fragment);
            return false;
        }
        if !self.may_lack_begin {
            out.fault(Fault::Fragment);
            // No packet is missing, so the camera may have sent the last fragment twice.
            let before =
                if self.picture.has_slices { Some(&self.picture.data[..]) } else { self.ended_at(timestamp) };
            if before.is_some_and(|before| before.ends_with(body)) {
                return false;
            }
        }
        self.may_lack_begin = false;
        self.turn_to(timestamp, out);
        self.spoil(Fault::Incomplete, out);
        true
    }

    /// Begins a NAL unit.
    fn begin(&mut self, timestamp: u32, kind: u8, out: &mut Output) {
        self.take_gap(out);
        if let Some(open) = self.open {
            if self.has_end_bits {
                self.open = None;
                self.picture.data.truncate(open.start);
                out.fault(Fault::Fragment);
                if S::class(open.kind).is_needed() {
                    self.spoil(Fault::Incomplete, out);
                }
            } else {
                self.close(out);
            }
        }
        self.turn_to(timestamp, out);
        self.open_at_end(kind);
    }

    fn open_at_end(&mut self, kind: u8) {
        let start = self.picture.data.len();
        self.open = Some(Open { start, kind });
        self.picture.data.extend_from_slice(&[0; LENGTH]);
    }

    /// Appends to the open NAL unit.
    fn append(&mut self, bytes: &[u8], out: &mut Output) {
        if self.open.is_none() {
            return;
        }
        if self.picture.data.len() + bytes.len() > MAX_UNIT_BYTES || self.picture.nals >= MAX_NALS {
            return self.spoil(Fault::TooLong, out);
        }
        self.picture.data.extend_from_slice(bytes);
    }

    /// Acts on missing packets.
    fn take_gap(&mut self, out: &mut Output) {
        if !std::mem::take(&mut self.has_gap) {
            return;
        }
        let open = self.open.take();
        if let Some(open) = open {
            self.picture.data.truncate(open.start);
        }
        if self.picture.is_marked && open.is_none() && self.markers.are_unproven() {
            self.finish(out);
        } else if self.picture.has_slices || open.is_some_and(|open| S::class(open.kind).is_needed()) {
            self.spoil(Fault::Incomplete, out);
        } else if !self.picture.is_spoiled {
            self.picture = Picture::default();
        }
        (self.has_lost, self.may_lack_begin, self.ended) = (true, true, None);
        (self.has_sps, self.recovery) = (false, None);
    }

    /// The next NAL unit has this timestamp.
    fn turn_to(&mut self, timestamp: u32, out: &mut Output) {
        if self.picture.has_begun() && self.picture.timestamp != timestamp {
            self.finish(out);
        }
        self.picture.timestamp = timestamp;
    }

    fn spoil(&mut self, fault: Fault, out: &mut Output) {
        if !self.picture.is_spoiled {
            out.fault(fault);
        }
        self.open = None;
        self.has_lost = true;
        self.picture.spoil();
    }
}

/// Whether a fragment of a slice that is the same as the one before it is that one, sent again: coded pictures do not repeat
/// so many bytes.
fn is_distinctive(body: &[u8]) -> bool {
    const ENOUGH: usize = 32;
    body.len() >= ENOUGH && body.iter().any(|byte| *byte != body[0])
}

/// `forbidden_zero_bit`.
fn is_forbidden(header: u8) -> bool {
    header & 0x80 != 0
}
