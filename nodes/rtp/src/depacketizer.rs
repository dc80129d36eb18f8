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
        Self { payload_type: track.payload_type, payload }
    }

    /// Takes the next packet. `after_gap`: packets before it are missing.
    pub fn push(&mut self, packet: &Packet<'_>, after_gap: bool, out: &mut Output) {
        if packet.payload_type != self.payload_type {
            return out.fault(Fault::OtherPayloadType);
        }
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
        match &mut self.payload {
            Payload::H264(h264) => h264.end(out),
            Payload::H265(h265) => h265.end(out),
            _ => {}
        }
    }
}
