//! What the tests of the formats of video share.

use crate::depacketizer::Output;
use crate::fault::Fault;
use crate::packet::Packet;
use crate::unit::Unit;

/// A packet of a test.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) after_gap: bool,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn packet(timestamp: u32, payload: &[u8]) -> Sent {
    Sent { timestamp, marker: false, after_gap: false, payload: payload.to_vec() }
}

pub(crate) fn with_marker(timestamp: u32, payload: &[u8]) -> Sent {
    Sent { marker: true, ..packet(timestamp, payload) }
}

/// The packet, where those before it are missing.
pub(crate) fn gap(packet: Sent) -> Sent {
    Sent { after_gap: true, ..packet }
}

/// What comes of packets.
pub(crate) fn push_all(
    packets: &[Sent],
    mut push: impl FnMut(&Packet<'_>, bool, &mut Output),
) -> (Vec<Unit>, Vec<(Fault, u64)>) {
    let mut out = Output::default();
    for (sent, sequence) in packets.iter().zip(0..) {
        let packet = Packet {
            marker: sent.marker,
            payload_type: 96,
            sequence,
            timestamp: sent.timestamp,
            ssrc: 1,
            extension: None,
            payload: &sent.payload,
        };
        push(&packet, sent.after_gap, &mut out);
    }
    (out.units.into(), out.faults)
}

/// The NAL units of a unit.
pub(crate) fn nals(unit: &Unit) -> Vec<Vec<u8>> {
    let nals: Vec<_> = msight_media::nal::units(&unit.data).map(<[u8]>::to_vec).collect();
    assert_eq!(nals.iter().map(|nal| nal.len() + 4).sum::<usize>(), unit.data.len());
    nals
}
