//! Puts the packets of a track together to units.

use crate::aac::Aac;
use crate::fault::Fault;
use crate::h264::H264;
use crate::h265::H265;
use crate::jpeg::Jpeg;
use crate::latm::Latm;
use crate::metadata::Metadata;
use crate::output::Output;
use crate::packet::Packet;
use crate::samples::Samples;
use crate::track::{Format, Track};

/// Puts the packets of a track together to units.
///
/// Takes packets in the order of their sequence numbers. No packet makes it fail; what cannot be used is discarded with
/// its reason.
#[derive(Debug)]
pub struct Depacketizer {
    payload_type: u8,
    payload: Payload,
    /// Packets are missing before the track's next one.
    has_gap: bool,
}

/// The state of each payload format.
#[derive(Debug)]
enum Payload {
    H264(H264),
    H265(H265),
    Jpeg(Box<Jpeg>),
    Aac(Aac),
    Latm(Latm),
    Samples(Samples),
    Metadata(Metadata),
}

impl Depacketizer {
    /// For the packets of a track.
    #[must_use]
    pub fn new(track: &Track) -> Self {
        let payload = match &track.format {
            Format::H264 { sets } => Payload::H264(H264::new(sets.as_deref())),
            Format::H265 { sets, has_decoding_order } => {
                Payload::H265(H265::new(sets.as_deref(), *has_decoding_order))
            }
            Format::Jpeg { size } => Payload::Jpeg(Box::new(Jpeg::new(*size))),
            Format::Aac { config, header } => {
                Payload::Aac(Aac::new(config.clone(), *header, track.clock_rate))
            }
            Format::Latm { config } => Payload::Latm(Latm::new(config.clone(), track.clock_rate)),
            Format::Opus | Format::Pcma | Format::Pcmu => Payload::Samples(Samples::of_bytes()),
            Format::L16 { channels } => Payload::Samples(Samples::of_16_bits(*channels)),
            Format::Metadata => Payload::Metadata(Metadata::new()),
        };
        Self { payload_type: track.payload_type, payload, has_gap: false }
    }

    /// Takes the next packet. `after_gap`: packets before it are missing.
    pub fn push(&mut self, packet: &Packet<'_>, after_gap: bool, out: &mut Output) {
        self.has_gap |= after_gap;
        if packet.payload_type != self.payload_type {
            return out.fault(Fault::OtherPayloadType);
        }
        let after_gap = std::mem::take(&mut self.has_gap);
        match &mut self.payload {
            Payload::H264(h264) => h264.push(packet, after_gap, out),
            Payload::H265(h265) => h265.push(packet, after_gap, out),
            Payload::Jpeg(jpeg) => jpeg.push(packet, after_gap, out),
            Payload::Aac(aac) => aac.push(packet, after_gap, out),
            Payload::Latm(latm) => latm.push(packet, after_gap, out),
            Payload::Samples(samples) => samples.push(packet, after_gap, out),
            Payload::Metadata(metadata) => metadata.push(packet, after_gap, out),
        }
    }

    /// The stream has ended: what was only waiting for the next packet is a unit.
    pub fn end(&mut self, out: &mut Output) {
        let after_gap = std::mem::take(&mut self.has_gap);
        match &mut self.payload {
            Payload::H264(h264) => h264.end(after_gap, out),
            Payload::H265(h265) => h265.end(after_gap, out),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gap, packet, receive, seen, with_marker};

    fn depacketizer(format: Format) -> Depacketizer {
        Depacketizer::new(&Track { format, payload_type: 96, clock_rate: 90_000, control: None })
    }

    #[test]
    fn a_gap_before_a_packet_of_another_type_is_one_of_the_track() {
        const OTHER: &[u8] = b"other";
        let packets = [
            packet(1, b"first"),
            gap(packet(1, OTHER)),
            packet(1, OTHER),
            packet(2, b"second"),
            packet(3, b"third"),
        ];
        let mut opus = depacketizer(Format::Opus);
        let out = receive(&packets, |packet, after_gap, out| {
            let payload_type = if packet.payload == OTHER { 97 } else { 96 };
            opus.push(&Packet { payload_type, ..*packet }, after_gap, out);
        });
        let units =
            vec![(1, b"first".into(), false), (2, b"second".into(), true), (3, b"third".into(), false)];
        assert_eq!(seen(out), (units, vec![(Fault::OtherPayloadType, 2)]));
    }

    #[test]
    fn a_gap_before_the_end_of_the_stream_costs_the_last_picture() {
        // The first part of a key picture, without marker; then a packet of another type.
        let packets = [packet(1, &[0x65, 0x88, 1, 2, 3]), with_marker(1, b"")];
        for (after_gap, count) in [(false, 1), (true, 0)] {
            let mut h264 = depacketizer(Format::H264 { sets: None });
            let mut out = receive(&packets, |packet, _, out| {
                let payload_type = if packet.payload.is_empty() { 97 } else { 96 };
                h264.push(&Packet { payload_type, ..*packet }, after_gap && payload_type == 97, out);
            });
            h264.end(&mut out);
            assert_eq!(out.units.len(), count, "{out:?}");
        }
    }
}
