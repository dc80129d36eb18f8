//! H.264 in RTP packets (RFC 3550, RFC 6184) and their RTCP.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

/// The RTP clock rate in ticks per second (RFC 6184, section 8.2.1).
pub(super) const CLOCK_RATE: u32 = 90_000;

/// The payload type of the stream: the first of the dynamic ones (RFC 3551).
pub(super) const PAYLOAD_TYPE: u8 = 96;

/// The maximum size of a packet with its RTP header: it fits into an Ethernet frame, even through a tunnel.
pub(super) const MAX_PACKET: usize = 1400;

const RTP_HEADER: usize = 12;
const MAX_PAYLOAD: usize = MAX_PACKET - RTP_HEADER;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
/// The bits of a NAL unit's first byte that are not its type: forbidden zero and `nal_ref_idc`.
const NOT_TYPE: u8 = 0xe0;

/// Seconds from the NTP era (1900) to the Unix epoch.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// Packets one after the other in one buffer, so that TCP can send them in one write.
#[derive(Debug, Default)]
pub(super) struct Packets {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The channel to write before each packet (RFC 2326, section 10.12); `None` over UDP.
    channel: Option<u8>,
}

impl Packets {
    /// Clears the packets and keeps the memory. The next packets are interleaved on `channel`, if there is one.
    pub(super) fn restart(&mut self, channel: Option<u8>) {
        self.bytes.clear();
        self.ends.clear();
        self.channel = channel;
    }

    /// All packets, as written to TCP.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The packets one by one, as sent over UDP.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    /// Adds a packet made of `parts`, together at most [`MAX_PACKET`] bytes.
    fn push(&mut self, parts: &[&[u8]]) {
        if let Some(channel) = self.channel {
            let length: usize = parts.iter().map(|part| part.len()).sum();
            self.bytes.extend([b'$', channel]);
            self.bytes.extend((length as u16).to_be_bytes());
        }
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.ends.push(self.bytes.len());
    }
}

/// The sender's side of one RTP stream.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) ssrc: u32,
    /// The sequence number of the next packet.
    pub(super) sequence: u16,
    packets: u32,
    octets: u32,
}

impl Sender {
    /// A stream with a random start, as RFC 3550, section 5.1 requires.
    pub(super) fn new() -> Self {
        Self { ssrc: fastrand::u32(..), sequence: fastrand::u16(..), packets: 0, octets: 0 }
    }

    /// Adds the NAL units (without start codes) of one access unit to `out`, in packetization mode 1: small
    /// neighbours share a packet (STAP-A), large units are cut (FU-A). The last packet has the marker.
    pub(super) fn packetize(&mut self, nals: &[Bytes], timestamp: u32, out: &mut Packets) {
        let mut rest = nals;
        while let Some(first) = rest.first() {
            let group = &rest[..aggregated(rest)];
            rest = &rest[group.len()..];
            let is_last = rest.is_empty();
            if group.len() > 1 {
                self.push_aggregate(group, timestamp, is_last, out);
            } else if first.len() <= MAX_PAYLOAD {
                self.push(&[], first, timestamp, is_last, out);
            } else {
                self.push_fragments(first, timestamp, is_last, out);
            }
        }
    }

    fn push_aggregate(&mut self, group: &[Bytes], timestamp: u32, is_last: bool, out: &mut Packets) {
        // The packet has the highest nal_ref_idc of its units (RFC 6184, section 5.7.1).
        let importance =
            group.iter().filter_map(|nal| nal.first()).map(|byte| byte & 0x60).max().unwrap_or(0);
        let mut payload = Vec::with_capacity(MAX_PAYLOAD);
        for nal in group {
            payload.extend((nal.len() as u16).to_be_bytes());
            payload.extend_from_slice(nal);
        }
        self.push(&[importance | STAP_A], &payload, timestamp, is_last, out);
    }

    fn push_fragments(&mut self, nal: &Bytes, timestamp: u32, is_last: bool, out: &mut Packets) {
        let (header, payload) = (nal[0], &nal[1..]);
        let mut fragments = payload.chunks(MAX_PAYLOAD - 2).peekable();
        let mut start = 0x80;
        while let Some(fragment) = fragments.next() {
            let is_end = fragments.peek().is_none();
            let end = if is_end { 0x40 } else { 0 };
            let prefix = [header & NOT_TYPE | FU_A, start | end | header & !NOT_TYPE];
            self.push(&prefix, fragment, timestamp, is_last && is_end, out);
            start = 0;
        }
    }

    fn push(&mut self, prefix: &[u8], payload: &[u8], timestamp: u32, marker: bool, out: &mut Packets) {
        let mut header = [0x80, u8::from(marker) << 7 | PAYLOAD_TYPE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        out.push(&[&header, prefix, payload]);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add((prefix.len() + payload.len()) as u32);
    }

    /// Adds a sender report with the wall clock time of `timestamp`, and the name of the source (RFC 3550, sections
    /// 6.4.1 and 6.5.1).
    pub(super) fn report(&self, wall: SystemTime, timestamp: u32, out: &mut Packets) {
        let mut sender = vec![0x80, 200, 0, 6];
        sender.extend(self.ssrc.to_be_bytes());
        sender.extend(ntp(wall).to_be_bytes());
        for number in [timestamp, self.packets, self.octets] {
            sender.extend(number.to_be_bytes());
        }
        // One chunk with a CNAME of six letters, the end of the list, and padding to 32 bits.
        let mut source = vec![0x81, 202, 0, 4];
        source.extend(self.ssrc.to_be_bytes());
        source.extend([1, 6]);
        source.extend(b"msight");
        source.extend([0; 4]);
        out.push(&[&sender, &source]);
    }

    /// Adds the BYE of the stream, after an empty report, because a compound packet begins with a report (RFC 3550,
    /// sections 6.1 and 6.6).
    pub(super) fn bye(&self, out: &mut Packets) {
        let ssrc = self.ssrc.to_be_bytes();
        out.push(&[&[0x80, 201, 0, 1], &ssrc, &[0x81, 203, 0, 1], &ssrc]);
    }
}

/// The number of leading NAL units that share a packet, at least one.
fn aggregated(nals: &[Bytes]) -> usize {
    let mut length = 1;
    let fits = |nal: &&Bytes| {
        length += 2 + nal.len();
        length <= MAX_PAYLOAD
    };
    nals.iter().take_while(fits).count().max(1)
}

/// A time in NTP's 64 bits: seconds since 1900, which wrap in 2036, and their fraction.
fn ntp(wall: SystemTime) -> u64 {
    let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let fraction = (u64::from(since_epoch.subsec_nanos()) << 32) / 1_000_000_000;
    (since_epoch.as_secs().wrapping_add(NTP_TO_UNIX) << 32) | fraction
}

/// The RTP timestamp at `elapsed` after the time of `base`. It wraps every 13 hours.
pub(super) fn timestamp(base: u32, elapsed: Duration) -> u32 {
    base.wrapping_add((elapsed.as_nanos() * u128::from(CLOCK_RATE) / 1_000_000_000) as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reassembles the NAL units of one access unit (RFC 6184, section 5).
    fn reassemble(packets: &Packets) -> Vec<Vec<u8>> {
        let mut nals = Vec::new();
        for packet in packets.iter() {
            let payload = &packet[RTP_HEADER..];
            match payload[0] & !NOT_TYPE {
                STAP_A => {
                    let mut rest = &payload[1..];
                    while let [high, low, tail @ ..] = rest {
                        let (nal, tail) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])));
                        nals.push(nal.to_vec());
                        rest = tail;
                    }
                }
                FU_A => {
                    if payload[1] & 0x80 != 0 {
                        nals.push(vec![payload[0] & NOT_TYPE | payload[1] & !NOT_TYPE]);
                    }
                    nals.last_mut().expect("a fragment starts").extend_from_slice(&payload[2..]);
                }
                _ => nals.push(payload.to_vec()),
            }
        }
        nals
    }

    fn nal() -> impl Strategy<Value = Bytes> {
        let size = prop_oneof![1_usize..60, 1380_usize..1400, 1_usize..20_000];
        (0_u8..4, 1_u8..24, size, any::<u8>()).prop_map(|(importance, kind, size, fill)| {
            let mut nal: Vec<u8> = (0..size).map(|index| fill.wrapping_add(index as u8)).collect();
            nal[0] = importance << 5 | kind;
            nal.into()
        })
    }

    proptest! {
        #[test]
        fn reassembled_units_equal_those_that_were_sent(
            nals in prop::collection::vec(nal(), 1..6),
            sequence: u16,
            time: u32,
            channel: Option<u8>,
        ) {
            let mut sender = Sender { ssrc: 7, sequence, packets: 0, octets: 0 };
            let mut flat = Packets::default();
            sender.packetize(&nals, time, &mut flat);

            prop_assert_eq!(reassemble(&flat), nals.iter().map(|nal| nal.to_vec()).collect::<Vec<_>>());
            let count = flat.iter().count();
            prop_assert_eq!(sender.packets as usize, count);
            prop_assert_eq!(sender.octets as usize, flat.as_bytes().len() - RTP_HEADER * count);
            for (index, packet) in flat.iter().enumerate() {
                prop_assert!(packet.len() <= MAX_PACKET);
                prop_assert_eq!(packet[1], PAYLOAD_TYPE | if index + 1 == count { 0x80 } else { 0 });
                prop_assert_eq!(u16::from_be_bytes([packet[2], packet[3]]), sequence.wrapping_add(index as u16));
                prop_assert_eq!(&packet[4..8], &time.to_be_bytes()[..]);
            }

            // Interleaved packets are the same, with four bytes before each.
            let mut sender = Sender { ssrc: 7, sequence, packets: 0, octets: 0 };
            let mut interleaved = Packets::default();
            interleaved.restart(channel);
            sender.packetize(&nals, time, &mut interleaved);
            let extra = if channel.is_some() { 4 * count } else { 0 };
            prop_assert_eq!(interleaved.as_bytes().len(), flat.as_bytes().len() + extra);
        }

        #[test]
        fn ntp_time_is_exact_to_a_nanosecond(nanos in 0_u64..4_000_000_000_000_000_000) {
            let time = ntp(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos));
            let seconds = (time >> 32).wrapping_sub(NTP_TO_UNIX) & 0xffff_ffff;
            prop_assert_eq!(seconds, (nanos / 1_000_000_000) & 0xffff_ffff);
            let back = ((time & 0xffff_ffff) * 1_000_000_000) >> 32;
            prop_assert!(nanos % 1_000_000_000 - back <= 1);
        }
    }

    #[test]
    fn parameter_sets_share_a_packet() {
        let nals =
            [Bytes::from_static(&[0x67, 1, 2]), Bytes::from_static(&[0x48, 3]), vec![0x65; 2000].into()];
        let mut packets = Packets::default();
        Sender::new().packetize(&nals, 0, &mut packets);
        let first = packets.iter().next().expect("a packet");
        assert_eq!(first[RTP_HEADER..], [0x60 | STAP_A, 0, 3, 0x67, 1, 2, 0, 2, 0x48, 3]);
        assert_eq!(packets.iter().count(), 3);
    }

    #[test]
    fn a_report_pairs_the_wall_time_with_a_timestamp() {
        let mut packets = Packets::default();
        packets.restart(Some(1));
        let sender = Sender { ssrc: 0x0102_0304, sequence: 0, packets: 5, octets: 600 };
        sender.report(SystemTime::UNIX_EPOCH + Duration::from_millis(1500), 90_000, &mut packets);
        let bytes = packets.as_bytes();
        assert_eq!(bytes[..4], [b'$', 1, 0, 48]);
        assert_eq!(bytes[4..12], [0x80, 200, 0, 6, 1, 2, 3, 4]);
        assert_eq!(bytes[12..20], ((NTP_TO_UNIX + 1) << 32 | 1 << 31).to_be_bytes());
        assert_eq!(bytes[20..24], 90_000_u32.to_be_bytes());
        assert_eq!(bytes[32..40], [0x81, 202, 0, 4, 1, 2, 3, 4]);
        assert_eq!(bytes.len(), 52);
    }
}
