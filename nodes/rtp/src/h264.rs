//! H.264 in RTP (RFC 6184).

use msight_media::{ParameterSets, Sps, nal};

use crate::assembly::{Assembly, Fragment};
use crate::fault::Fault;
use crate::output::Output;
use crate::packet::Packet;
use crate::sei;
use crate::syntax::{Class, Coding, Slice, Syntax};

/// The types of payload structures (RFC 6184, table 1). Lower types are NAL units of their own.
mod structure {
    pub(super) const STAP_A: u8 = 24;
    pub(super) const STAP_B: u8 = 25;
    pub(super) const MTAP16: u8 = 26;
    pub(super) const MTAP24: u8 = 27;
    pub(super) const FU_A: u8 = 28;
    pub(super) const FU_B: u8 = 29;
}

/// Bytes of a decoding order number. Units are taken in the order of their packets.
const DON: usize = 2;

/// The state of a track of H.264.
#[derive(Debug)]
pub(crate) struct H264 {
    assembly: Assembly<Avc>,
}

impl H264 {
    /// `described`: the parameter sets of the description.
    pub(crate) fn new(described: Option<&ParameterSets>) -> Self {
        Self { assembly: Assembly::new(described) }
    }

    pub(crate) fn push(&mut self, packet: &Packet<'_>, after_gap: bool, out: &mut Output) {
        if after_gap {
            self.assembly.gap();
        }
        let (timestamp, payload) = (packet.timestamp, packet.payload);
        let Some((&header, rest)) = payload.split_first() else { return out.fault(Fault::Empty) };
        let is_used = match nal::unit_type(header) {
            structure::STAP_A => self.aggregate(timestamp, rest, 0, out),
            structure::STAP_B => self.aggregate(timestamp, rest.get(DON..).unwrap_or_default(), 0, out),
            structure::MTAP16 => self.aggregate(timestamp, rest.get(DON..).unwrap_or_default(), 2, out),
            structure::MTAP24 => self.aggregate(timestamp, rest.get(DON..).unwrap_or_default(), 3, out),
            structure::FU_A => self.fragment(timestamp, header, rest, 0, out),
            structure::FU_B => self.fragment(timestamp, header, rest, DON, out),
            _ => self.assembly.whole(timestamp, &[], payload, out),
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

    /// Several units, each after its length (section 5.7). In a packet for several times, a difference of decoding order
    /// (one byte) and an offset of the timestamp (`offset` bytes) precede each unit.
    fn aggregate(&mut self, timestamp: u32, mut rest: &[u8], offset: usize, out: &mut Output) -> bool {
        let skipped = if offset > 0 { 1 + offset } else { 0 };
        let (mut is_used, mut is_empty) = (false, true);
        while let Some((length, behind)) = rest.split_first_chunk() {
            let length = skipped + usize::from(u16::from_be_bytes(*length));
            let Some((unit, behind)) = behind.split_at_checked(length) else {
                out.fault(Fault::BadPayload);
                if behind.get(skipped).is_some_and(|&header| Avc::class(Avc::kind(header)).is_needed()) {
                    self.assembly.lose(timestamp, out);
                }
                return is_used;
            };
            rest = behind;
            let (fields, unit) = unit.split_at(skipped);
            if !unit.is_empty() {
                let ahead = fields.iter().skip(1).fold(0, |sum, &byte| sum << 8 | u32::from(byte));
                is_used |= self.assembly.whole(timestamp.wrapping_add(ahead), &[], unit, out);
                is_empty = false;
            }
        }
        if is_empty {
            out.fault(Fault::Empty);
        }
        is_used
    }

    /// A part of a unit (section 5.8). `skipped`: the bytes between its header and its content.
    fn fragment(
        &mut self,
        timestamp: u32,
        indicator: u8,
        rest: &[u8],
        skipped: usize,
        out: &mut Output,
    ) -> bool {
        let flags = rest.first().copied().unwrap_or_default();
        let body = rest.get(1 + skipped..).unwrap_or_default();
        let header = &[indicator & 0xe0 | flags & 0x1f];
        self.assembly.fragment(timestamp, Fragment { header, flags, body }, out)
    }
}

/// The NAL units of H.264 (ITU-T H.264, table 7-1).
#[derive(Debug)]
struct Avc;

impl Syntax for Avc {
    const HEADER: usize = 1;
    const RANKS: u8 = 2;

    fn kind(header: u8) -> u8 {
        nal::unit_type(header)
    }

    fn class(kind: u8) -> Class {
        match kind {
            1 | 2 | 5 => Class::Slice,
            // Data partitions B and C, and the slices of auxiliary pictures and further layers.
            3 | 4 | 19..=21 => Class::Part,
            nal::SPS | nal::PPS => Class::Set,
            // Also the sets of extensions, and the prefix of a slice in a stream with layers.
            6 | 9 | 13..=16 => Class::Before,
            10 | 11 => Class::After,
            12 => Class::Filler,
            _ => Class::Undefined,
        }
    }

    fn slice(nal: &[u8]) -> Slice {
        // `first_mb_in_slice` is 0, which is written as a single 1 bit (sections 7.3.3 and 9.1).
        let first = nal.get(1).is_some_and(|byte| byte & 0x80 != 0);
        let coding = match Self::kind(nal[0]) {
            5 => Coding::RandomAccess,
            _ if nal::is_intra_slice(nal) => Coding::Intra,
            _ => Coding::Inter,
        };
        Slice { first, coding }
    }

    fn set_id(nal: &[u8]) -> Option<(u8, u32)> {
        if nal::is_sps(nal) {
            return nal::id_of_sps(nal).filter(|&id| id < 32).map(|id| (0, id));
        }
        nal::ids_of_pps(nal).filter(|&(id, sps)| id < 256 && sps < 32).map(|(id, _)| (1, id))
    }

    fn is_sps(nal: &[u8]) -> bool {
        nal::is_sps(nal)
    }

    fn is_readable_sps(nal: &[u8]) -> bool {
        Sps::parse(nal).is_ok()
    }

    fn recovery_point(nal: &[u8]) -> Option<u32> {
        if Self::kind(nal[0]) == 6 { sei::recovery_point(nal, 1) } else { None }
    }

    fn is_second_field(first: &[u8], slice: &[u8], sets: &ParameterSets) -> bool {
        sets.h264_sps_of_slice(slice).is_some_and(|sps| msight_media::is_second_field(first, slice, sps))
    }
}

#[cfg(test)]
mod tests;
