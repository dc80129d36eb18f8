//! RTP and RTCP of a camera (RFC 3550, RFC 6184), including values that a well-behaved camera would not send.

use msight_proto::unix_now;

/// Seconds from 1900, the epoch of NTP, to 1970.
const NTP_EPOCH: f64 = 2_208_988_800.0;
const CLOCK_RATE: f64 = 90_000.0;
const PAYLOAD_TYPE: u8 = 96;
const SSRC: u32 = 0x6d73_6967;
/// Maximum payload of a packet.
const MTU: usize = 1400;

/// Bytes of a packet before its payload.
pub(crate) const HEADER: usize = 12;
/// The timestamp of the first access unit.
pub(crate) const FIRST_STAMP: u32 = 5_000_000;

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
        Self { sequence: 1000, timestamp: FIRST_STAMP, step: (CLOCK_RATE / fps).round() as u32 }
    }

    /// The packets of one access unit. The timestamp then advances by a step.
    pub(crate) fn packets(&mut self, unit: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let payloads: Vec<_> = unit.iter().flat_map(|nal| payloads(nal)).collect();
        let last = payloads.len() - 1;
        let packets = payloads.iter().enumerate().map(|(index, payload)| self.packet(index == last, payload));
        let packets = packets.collect();
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
        let now = unix_now() + NTP_EPOCH + ahead;
        let mut packet = vec![0x80, 200, 0, 6];
        packet.extend(SSRC.to_be_bytes());
        packet.extend((now as u32).to_be_bytes());
        packet.extend(((now.fract() * (1u64 << 32) as f64) as u32).to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend([0; 8]);
        packet
    }
}

/// A NAL unit as payloads: as it is, or in fragments (FU-A, RFC 6184 section 5.8), whose type moves to a second header.
pub(crate) fn payloads(nal: &[u8]) -> Vec<Vec<u8>> {
    if nal.len() <= MTU {
        return vec![nal.to_vec()];
    }
    let (header, body) = (nal[0], &nal[1..]);
    let fragments = body.len().div_ceil(MTU);
    let fragment = |(number, fragment): (usize, &[u8])| {
        let (first, end) = (u8::from(number == 0), u8::from(number + 1 == fragments));
        [&[header & 0x60 | 28, header & 0x1f | first << 7 | end << 6], fragment].concat()
    };
    body.chunks(MTU).enumerate().map(fragment).collect()
}

/// A packet on an interleaved channel (RFC 2326 section 10.12).
pub(crate) fn interleaved(channel: u8, packet: &[u8]) -> Vec<u8> {
    let length = u16::try_from(packet.len()).expect("a packet is short").to_be_bytes();
    [&[b'$', channel, length[0], length[1]], packet].concat()
}
