//! RTP and RTCP of a camera (RFC 3550, RFC 6184), including values that a well-behaved camera would not send.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds from 1900, the epoch of NTP, to 1970.
const NTP_EPOCH: f64 = 2_208_988_800.0;
const CLOCK_RATE: f64 = 90_000.0;
const PAYLOAD_TYPE: u8 = 96;
const SSRC: u32 = 0x6d73_6967;
/// Maximum payload of a packet.
const MTU: usize = 1400;

/// The state of one stream.
pub(crate) struct Sender {
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    /// Ticks from one access unit to the next.
    pub(crate) step: u32,
}

impl Sender {
    /// A stream that declares `fps` frames per second.
    pub(crate) fn new(fps: f64) -> Self {
        Self { sequence: 1000, timestamp: 5_000_000, step: (CLOCK_RATE / fps).round() as u32 }
    }

    /// The packets of one access unit. The timestamp then advances by a step.
    pub(crate) fn packets(&mut self, unit: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for (index, nal) in unit.iter().enumerate() {
            let last = index + 1 == unit.len();
            if nal.len() <= MTU {
                packets.push(self.packet(last, nal));
                continue;
            }
            // FU-A (RFC 6184, section 5.8): the type moves to a second header.
            let (header, body) = (nal[0], &nal[1..]);
            let fragments = body.len().div_ceil(MTU);
            for (number, fragment) in body.chunks(MTU).enumerate() {
                let (first, end) = (number == 0, number + 1 == fragments);
                let mut payload =
                    vec![header & 0x60 | 28, header & 0x1f | u8::from(first) << 7 | u8::from(end) << 6];
                payload.extend(fragment);
                packets.push(self.packet(last && end, &payload));
            }
        }
        self.timestamp = self.timestamp.wrapping_add(self.step);
        packets
    }

    /// One packet with any payload.
    pub(crate) fn packet(&mut self, marker: bool, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, PAYLOAD_TYPE | u8::from(marker) << 7];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(SSRC.to_be_bytes());
        packet.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        packet
    }

    /// A sender report (RFC 3550 section 6.4.1) of a camera whose clock is `ahead` seconds off: its present timestamp
    /// is now.
    pub(crate) fn report(&self, ahead: f64) -> Vec<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() + NTP_EPOCH + ahead;
        let mut packet = vec![0x80, 200, 0, 6];
        packet.extend(SSRC.to_be_bytes());
        packet.extend((now as u32).to_be_bytes());
        packet.extend(((now.fract() * (1u64 << 32) as f64) as u32).to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend([0; 8]);
        packet
    }
}
