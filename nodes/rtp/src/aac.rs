//! AAC in RTP (RFC 3640, modes AAC-hbr and AAC-lbr), with or without the headers of ADTS inside.
//!
//! A packet has several frames or a part of one. Frames are not interleaved: their indices are ignored.

mod adts;

use std::sync::Arc;

use msight_media::ParameterSets;

use crate::audio_config::{self, Bits};
use crate::fault::Fault;
use crate::key_units::KeyUnits;
use crate::output::Output;
use crate::packet::Packet;

/// Maximum length of a frame, bytes. The standard's limit is 768 bytes a channel.
pub(crate) const MAX_FRAME: usize = 64 << 10;
/// Maximum number of frames in a packet; LATM has the same limit. 64 frames last more than a second.
pub(crate) const MAX_FRAMES: usize = 64;

/// The state of a track of AAC.
#[derive(Debug)]
pub(crate) struct Aac {
    /// `sizelength`, `indexlength` and `indexdeltalength`, bits.
    header: [u8; 3],
    /// Duration of a frame in ticks of the track's clock.
    ticks: u32,
    /// Number of frames that the current packet may still have.
    frames_left: usize,
    part: Part,
    units: KeyUnits,
}

/// A frame that extends over several packets.
#[derive(Debug)]
enum Part {
    None,
    /// What has come of it.
    Begun {
        timestamp: u32,
        length: usize,
        bytes: Vec<u8>,
    },
    /// The rest of it is discarded.
    Discarded {
        timestamp: u32,
    },
}

impl Aac {
    pub(crate) fn new(config: Option<Arc<ParameterSets>>, header: [u8; 3], clock_rate: u32) -> Self {
        let ticks = audio_config::frame_ticks(config.as_deref(), clock_rate);
        Self { header, ticks, frames_left: 0, part: Part::None, units: KeyUnits::new(config) }
    }

    pub(crate) fn push(&mut self, packet: &Packet<'_>, after_gap: bool, out: &mut Output) {
        self.frames_left = MAX_FRAMES;
        if after_gap {
            self.units.lose();
        }
        let begun = matches!(self.part, Part::Begun { .. });
        if begun && (after_gap || self.part.timestamp() != Some(packet.timestamp)) {
            self.units.discard(Fault::Incomplete, out);
            self.part = if after_gap { Part::None } else { self.part.rest() };
        }
        if packet.payload.is_empty() {
            return out.fault(Fault::Empty);
        }
        // As the length of headers, the first bytes of ADTS would exceed every packet.
        if adts::is_whole(packet.payload) {
            self.emit(packet.timestamp, packet.payload, out);
            return;
        }
        let Some((lengths, data)) = self.lengths(packet.payload) else {
            return self.units.discard(Fault::BadPayload, out);
        };
        let continues = matches!(&self.part, Part::Begun { timestamp, .. } if *timestamp == packet.timestamp);
        match lengths[..] {
            [length] if length > data.len() || continues => {
                self.push_part(packet, after_gap, length, data, out);
            }
            _ => self.push_frames(packet.timestamp, &lengths, data, out),
        }
    }

    /// The lengths of frames, and the bytes of the frames. `None` if they are invalid, or too many.
    fn lengths<'a>(&self, payload: &'a [u8]) -> Option<(Vec<usize>, &'a [u8])> {
        let [size, mut index, mut delta] = self.header.map(usize::from);
        if size == 0 {
            return Some((vec![payload.len()], payload));
        }
        let ([b1, b2], rest) = payload.split_first_chunk()?;
        let mut bits = usize::from(u16::from_be_bytes([*b1, *b2]));
        // Some cameras count bytes.
        if bits < size {
            bits *= 8;
        }
        let (headers, data) = rest.split_at_checked(bits.div_ceil(8))?;
        if bits == 0 {
            return Some((vec![data.len()], data));
        }
        // Some cameras have no indices, but do not describe that.
        if (bits < size + index || (bits - size - index) % (size + delta) != 0) && bits % size == 0 {
            (index, delta) = (0, 0);
        }
        let mut reader = Bits::new(headers);
        let mut lengths = Vec::new();
        let mut taken = 0;
        while taken + size <= bits {
            if lengths.len() == MAX_FRAMES {
                return None;
            }
            let length = reader.read(size as u32)? as usize;
            let skipped = if lengths.is_empty() { index } else { delta };
            lengths.push(length);
            taken += size + skipped;
            if reader.read(skipped as u32).is_none() {
                break;
            }
        }
        (!lengths.is_empty()).then_some((lengths, data))
    }

    fn push_frames(&mut self, timestamp: u32, lengths: &[usize], mut data: &[u8], out: &mut Output) {
        let mut at = timestamp;
        for length in lengths {
            let Some((frame, rest)) = data.split_at_checked(*length) else {
                return self.units.discard(Fault::BadPayload, out);
            };
            data = rest;
            if frame.is_empty() {
                out.fault(Fault::Empty);
                at = at.wrapping_add(self.ticks);
            } else {
                at = self.emit(at, frame, out);
            }
        }
    }

    /// Takes a part of a frame. Each part has the length of the whole frame in its header, and the last one the marker.
    fn push_part(
        &mut self,
        packet: &Packet<'_>,
        after_gap: bool,
        stated: usize,
        data: &[u8],
        out: &mut Output,
    ) {
        let timestamp = packet.timestamp;
        match &mut self.part {
            Part::Discarded { timestamp: discarded } if *discarded == timestamp => {
                if packet.marker {
                    self.part = Part::None;
                }
            }
            // What is missing may be the start of this frame.
            _ if after_gap => {
                self.units.discard(Fault::Fragment, out);
                self.part = Part::Discarded { timestamp };
            }
            _ if data.is_empty() => out.fault(Fault::Empty),
            Part::Begun { bytes, .. } => bytes.extend(data),
            _ => self.part = Part::Begun { timestamp, length: stated, bytes: data.to_vec() },
        }
        let Part::Begun { length, bytes, .. } = &mut self.part else { return };
        if bytes.len() > MAX_FRAME {
            self.part = Part::Discarded { timestamp };
            self.units.discard(Fault::TooLong, out);
        } else if packet.marker || bytes.len() >= *length {
            // A frame that ends with fewer bytes has a wrong length in its header: no packet is missing.
            bytes.truncate(*length);
            let frame = std::mem::take(bytes);
            self.part = Part::None;
            self.emit(timestamp, &frame, out);
        }
    }

    /// Hands on the frames in some bytes: one, or several with ADTS headers. Returns the timestamp behind them.
    fn emit(&mut self, mut timestamp: u32, bytes: &[u8], out: &mut Output) -> u32 {
        for (header, frame) in adts::frames(bytes) {
            let Some(frames_left) = self.frames_left.checked_sub(1) else {
                self.units.discard(Fault::BadPayload, out);
                break;
            };
            self.frames_left = frames_left;
            if let Some(header) = header.filter(|_| self.units.parameter_sets.is_none()) {
                let config = audio_config::of_adts(header);
                self.units.parameter_sets = Some(audio_config::sets(config));
            }
            self.units.emit(timestamp, frame.to_vec(), out);
            timestamp = timestamp.wrapping_add(self.ticks);
        }
        timestamp
    }
}

impl Part {
    fn timestamp(&self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Begun { timestamp, .. } | Self::Discarded { timestamp } => Some(*timestamp),
        }
    }

    /// What remains when its frame is discarded.
    fn rest(&self) -> Self {
        self.timestamp().map_or(Self::None, |timestamp| Self::Discarded { timestamp })
    }
}

#[cfg(test)]
mod tests;
