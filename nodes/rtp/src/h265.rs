//! H.265 in RTP (RFC 7798).

use msight_media::{ParameterSets, h265};

use crate::assembly::{self, Assembly, Fragment};
use crate::fault::Fault;
use crate::output::Output;
use crate::packet::Packet;
use crate::sei;
use crate::syntax::{Class, Coding, Slice, Syntax};

/// The types of payload structures (RFC 7798, section 4.4). Lower types are NAL units of their own.
mod structure {
    pub(super) const AGGREGATION: u8 = 48;
    pub(super) const FRAGMENTATION: u8 = 49;
    pub(super) const PACI: u8 = 50;
}

/// Bytes of a decoding order number. Units are taken in the order of their packets.
const DON: usize = 2;
/// Bytes of the difference of decoding order before each further unit of an aggregation packet.
const DON_DIFFERENCE: usize = 1;

/// The state of a track of H.265.
#[derive(Debug)]
pub(crate) struct H265 {
    assembly: Assembly<Hevc>,
    /// Payloads have decoding order numbers.
    has_decoding_order: bool,
}

impl H265 {
    /// `described`: the parameter sets of the description.
    pub(crate) fn new(described: Option<&ParameterSets>, has_decoding_order: bool) -> Self {
        Self { assembly: Assembly::new(described), has_decoding_order }
    }

    pub(crate) fn push(&mut self, packet: &Packet<'_>, after_gap: bool, out: &mut Output) {
        if after_gap {
            self.assembly.gap();
        }
        let Some((header, rest)) = packet.payload.split_first_chunk() else { return out.fault(Fault::Empty) };
        let is_used = match (h265::unit_type(header[0]), rest) {
            // The two bytes of fields after the header state the type inside, and the length of what follows them (section
            // 4.4.4).
            (structure::PACI, [first, second, rest @ ..]) => {
                let inner = [first & 0xfe | header[0] & 1, header[1]];
                let extension = usize::from(first & 1) << 4 | usize::from(second >> 4);
                match rest.get(extension..) {
                    Some(rest) if h265::unit_type(inner[0]) != structure::PACI => {
                        self.structure(packet.timestamp, inner, rest, out)
                    }
                    _ => bad_payload(out),
                }
            }
            (structure::PACI, _) => bad_payload(out),
            _ => self.structure(packet.timestamp, *header, rest, out),
        };
        if is_used && packet.marker {
            self.assembly.marker(out);
        }
    }

    /// The stream has ended. `after_gap`: its last packets are missing.
    pub(crate) fn end(&mut self, after_gap: bool, out: &mut Output) {
        if after_gap {
            self.assembly.gap();
        }
        self.assembly.end(out);
    }

    fn structure(
        &mut self,
        timestamp: u32,
        header: [u8; h265::HEADER],
        rest: &[u8],
        out: &mut Output,
    ) -> bool {
        let don = if self.has_decoding_order { DON } else { 0 };
        match h265::unit_type(header[0]) {
            structure::AGGREGATION => self.aggregate(timestamp, rest.get(don..).unwrap_or_default(), out),
            structure::FRAGMENTATION => self.fragment(timestamp, header, rest, don, out),
            _ => {
                let (header, body) = match after_start_code(header, rest) {
                    Some(unit) => unit.split_at(unit.len().min(h265::HEADER)),
                    None => (&header[..], rest.get(don..).unwrap_or_default()),
                };
                self.assembly.whole(timestamp, header, body, out)
            }
        }
    }

    /// Several units, each after its length (section 4.4.2).
    fn aggregate(&mut self, timestamp: u32, mut rest: &[u8], out: &mut Output) -> bool {
        let (mut is_used, mut is_empty) = (false, true);
        while let Some((length, behind)) = rest.split_first_chunk() {
            let Some((unit, behind)) = behind.split_at_checked(u16::from_be_bytes(*length).into()) else {
                let header = behind.first().copied().unwrap_or_default();
                if behind.len() >= h265::HEADER && Hevc::class(Hevc::kind(header)).is_needed() {
                    self.assembly.lose(timestamp, out);
                }
                bad_payload(out);
                return is_used;
            };
            let difference = if self.has_decoding_order { DON_DIFFERENCE } else { 0 };
            rest = behind.get(difference..).unwrap_or_default();
            if !unit.is_empty() {
                is_used |= self.assembly.whole(timestamp, &[], unit, out);
                is_empty = false;
            }
        }
        if is_empty {
            out.fault(Fault::Empty);
        }
        is_used
    }

    /// A part of a unit (section 4.4.3). `don`: the bytes between its header and its content, in its first part.
    fn fragment(
        &mut self,
        timestamp: u32,
        outer: [u8; h265::HEADER],
        rest: &[u8],
        don: usize,
        out: &mut Output,
    ) -> bool {
        let flags = rest.first().copied().unwrap_or_default();
        let skipped = if flags & assembly::FIRST != 0 { don } else { 0 };
        let body = rest.get(1 + skipped..).unwrap_or_default();
        let header = &[outer[0] & 0x81 | (flags & 0x3f) << 1, outer[1]];
        self.assembly.fragment(timestamp, Fragment { header, flags, body }, out)
    }
}

fn bad_payload(out: &mut Output) -> bool {
    out.fault(Fault::BadPayload);
    false
}

/// What follows the start code that a payload begins with, if it does: some cameras send one before each unit.
fn after_start_code(header: [u8; h265::HEADER], rest: &[u8]) -> Option<&[u8]> {
    match (header, rest) {
        ([0, 0], [1, unit @ ..] | [0, 1, unit @ ..]) => Some(unit),
        _ => None,
    }
}

/// The NAL units of H.265 (ITU-T H.265, table 7-1).
#[derive(Debug)]
struct Hevc;

impl Syntax for Hevc {
    const HEADER: usize = h265::HEADER;
    const RANKS: u8 = 3;

    fn kind(header: u8) -> u8 {
        h265::unit_type(header)
    }

    fn class(kind: u8) -> Class {
        match kind {
            0..=9 | 16..=23 => Class::Slice,
            h265::VPS | h265::SPS | h265::PPS => Class::Set,
            // Access unit delimiters, and the messages that precede a picture.
            35 | 39 => Class::Before,
            // The end of a sequence or stream, and the messages that follow a picture.
            36 | 37 | 40 => Class::After,
            38 => Class::Filler,
            _ => Class::Undefined,
        }
    }

    fn slice(nal: &[u8]) -> Slice {
        let layer = nal.get(1).map_or(0, |second| (nal[0] & 1) << 5 | second >> 3);
        // `first_slice_segment_in_pic_flag` (section 7.3.6.1). The pictures of further layers are parts of this one's.
        let first = layer == 0 && nal.get(h265::HEADER).is_some_and(|byte| byte & 0x80 != 0);
        let is_random_access = h265::is_random_access(Self::kind(nal[0]));
        Slice { first, coding: if is_random_access { Coding::RandomAccess } else { Coding::Inter } }
    }

    fn set_id(nal: &[u8]) -> Option<(u8, u32)> {
        Some((Self::kind(nal[0]).checked_sub(h265::VPS)?, h265::id_of_set(nal)?))
    }

    fn is_sps(nal: &[u8]) -> bool {
        Self::kind(nal[0]) == h265::SPS
    }

    fn is_readable_sps(nal: &[u8]) -> bool {
        h265::Sps::parse(nal).is_some()
    }

    fn recovery_point(nal: &[u8]) -> Option<u32> {
        if Self::kind(nal[0]) == 39 { sei::recovery_point(nal, h265::HEADER) } else { None }
    }

    fn is_second_field(_first: &[u8], _slice: &[u8], _sets: &ParameterSets) -> bool {
        // Each field is a picture of its own.
        false
    }
}

#[cfg(test)]
mod tests;
