//! Puts NAL units together to pictures, for H.264 and H.265 alike.
//!
//! A picture ends at the marker, at a new timestamp, or before the first slice of the next one: cameras get any one of the
//! three wrong. It is discarded if packets of it are missing.

use std::sync::Arc;

use msight_media::{ParameterSets, nal};

use crate::depacketizer::Output;
use crate::fault::Fault;
use crate::markers::Markers;
use crate::picture::{LENGTH, Picture};
use crate::sets::Sets;
use crate::syntax::{Class, Coding, Slice, Syntax};
use crate::unit::{MAX_UNIT_BYTES, Unit};

/// Maximum number of NAL units in a picture. A 4K key frame with a slice in each packet has about 2000.
const MAX_NALS: usize = 1 << 14;

/// Maximum length that is reserved for a picture before it comes, bytes.
const MAX_RESERVED_BYTES: usize = 1 << 20;

/// A part of a fragmented NAL unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment<'a> {
    /// The header of the NAL unit.
    pub(crate) header: &'a [u8],
    /// The next bytes after the header.
    pub(crate) body: &'a [u8],
    /// The start bit.
    pub(crate) first: bool,
    /// The end bit.
    pub(crate) last: bool,
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
    /// The timestamp of the picture that a marker ended, until the next one begins.
    ended: Option<u32>,
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
        let body = if head.is_empty() { without_start_code(body) } else { body };
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
        let Fragment { header, body, first, last } = fragment;
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
            Some(open) if open.kind == kind => {}
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
                self.ended = Some(self.picture.timestamp);
                self.finish(out);
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
            let of_ended = self.ended == Some(timestamp) && !self.picture.has_slices;
            if of_ended || (self.picture.has_slices && self.picture.data.ends_with(body)) {
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

    /// The open NAL unit is complete.
    fn close(&mut self, out: &mut Output) {
        let Some(Open { start, .. }) = self.open.take() else { return };
        let begin = start + LENGTH;
        if nal::has_start_code(&self.picture.data[begin..]) {
            return self.close_stream(start, out);
        }
        // Zeros after a unit are not part of it (ITU-T H.264 and H.265, section B.1).
        let nal = &self.picture.data[begin..];
        let Some(last) = nal.iter().rposition(|&byte| byte != 0) else {
            self.picture.data.truncate(start);
            return out.fault(Fault::Empty);
        };
        self.picture.data.truncate(begin + last + 1);
        let nal = &self.picture.data[begin..];
        if is_forbidden(nal[0]) {
            let is_needed = S::class(S::kind(nal[0])).is_needed();
            self.picture.data.truncate(start);
            out.fault(Fault::BadNal);
            if is_needed {
                self.lose(self.picture.timestamp, out);
            }
            return;
        }
        match S::class(S::kind(nal[0])) {
            Class::Slice => {
                let slice = S::slice(nal);
                self.close_slice(start, slice, out);
            }
            Class::Part => self.close_slice(start, Slice { first: false, coding: Coding::Intra }, out),
            Class::Set => {
                self.has_sps |= S::is_sps(nal);
                if let Err(fault) = self.sets.insert(nal) {
                    out.fault(fault);
                }
                self.picture.data.truncate(start);
                self.close_before(start);
            }
            Class::Before => {
                self.recovery = S::recovery_point(nal).or(self.recovery);
                self.picture.seal(start);
                self.close_before(start);
            }
            Class::After => self.picture.seal(start),
            class @ (Class::Filler | Class::Undefined) => {
                self.picture.data.truncate(start);
                if class == Class::Undefined {
                    out.fault(Fault::BadNal);
                }
            }
        }
    }

    /// The open NAL unit is an Annex B byte stream: some cameras send whole ones as one unit.
    fn close_stream(&mut self, start: usize, out: &mut Output) {
        let stream = self.picture.data.split_off(start);
        let stream = &stream[LENGTH..];
        let before = nal::before_start_code(stream);
        let before = (before.iter().any(|&byte| byte != 0)).then_some(before);
        for unit in before.into_iter().chain(nal::annex_b_units(stream)) {
            self.open_at_end(S::kind(unit[0]));
            self.append(unit, out);
            self.close(out);
        }
    }

    /// What came precedes the slices of its picture.
    fn close_before(&mut self, start: usize) {
        self.may_lack_begin = false;
        if self.picture.has_begun() {
            self.picture.next.get_or_insert(start);
        }
    }

    fn close_slice(&mut self, mut start: usize, slice: Slice, out: &mut Output) {
        let may_lack_begin = std::mem::take(&mut self.may_lack_begin);
        if self.picture.repeats_slice(start) {
            return self.picture.data.truncate(start);
        }
        if self.picture.has_begun() && slice.first && !self.is_second_field(start) {
            // The next picture, with the timestamp of this one.
            let (timestamp, next) = (self.picture.timestamp, self.picture.next.unwrap_or(start));
            let data = self.picture.data.split_off(next);
            self.finish(out);
            self.picture.data.extend_from_slice(&data);
            self.picture.timestamp = timestamp;
            start -= next;
        } else if self.picture.is_spoiled {
            self.goes_on();
            (self.has_sps, self.recovery) = (false, None);
            return self.picture.spoil();
        } else if !slice.first && !self.picture.has_slices {
            let continues = self.ended == Some(self.picture.timestamp);
            if continues {
                self.markers.refute();
            }
            if continues || may_lack_begin {
                return self.spoil(Fault::Incomplete, out);
            }
        } else {
            self.goes_on();
        }
        self.ended = None;
        self.picture.add_slice(start, slice);
        self.picture.sets = self.sets.current();
        self.picture.has_sps |= std::mem::take(&mut self.has_sps);
        self.picture.recovery = self.recovery.take().or(self.picture.recovery);
    }

    /// The picture goes on: a marker before was wrong.
    fn goes_on(&mut self) {
        if std::mem::take(&mut self.picture.is_marked) {
            self.markers.refute();
        }
    }

    /// Whether the slice at `start` begins the second field of the picture's frame. Both fields have one timestamp, and
    /// stay together.
    fn is_second_field(&mut self, start: usize) -> bool {
        if !self.picture.has_slices || self.picture.has_both_fields {
            return false;
        }
        let (Some(sets), slice) = (&self.picture.sets, &self.picture.data[start + LENGTH..]) else {
            return false;
        };
        self.picture.has_both_fields = S::is_second_field(self.picture.first_slice(), slice, sets);
        self.picture.has_both_fields
    }

    /// The picture has ended.
    fn finish(&mut self, out: &mut Output) {
        let picture = std::mem::replace(&mut self.picture, Picture::with_capacity(self.capacity));
        if picture.is_marked {
            self.markers.confirm();
        }
        if picture.is_spoiled {
            return;
        }
        let key = picture.is_key(self.without_key);
        self.without_key = if key { 0 } else { self.without_key.saturating_add(1) };
        self.capacity = picture.data.len().min(MAX_RESERVED_BYTES);
        let (timestamp, parameter_sets) = (picture.timestamp, picture.sets.as_ref().map(Arc::clone));
        let after_loss = std::mem::take(&mut self.has_lost) && self.has_emitted;
        self.has_emitted = true;
        let data = picture.into_data();
        out.units.push_back(Unit { timestamp, data, key, after_loss, parameter_sets, size: None });
    }
}

/// `forbidden_zero_bit`.
fn is_forbidden(header: u8) -> bool {
    header & 0x80 != 0
}

/// A NAL unit without the start code before it, if it has one.
fn without_start_code(unit: &[u8]) -> &[u8] {
    match unit {
        [0, 0, 1, ..] | [0, 0, 0, 1, ..] => nal::without_start_code(unit),
        _ => unit,
    }
}
