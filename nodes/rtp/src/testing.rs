//! What the tests of all formats share.

use proptest::prelude::*;

use crate::fault::Fault;
use crate::output::Output;
use crate::packet::Packet;
use crate::unit::Unit;

/// A packet of a test.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) after_gap: bool,
    pub(crate) extension: Option<(u16, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn packet(timestamp: u32, payload: &[u8]) -> Sent {
    Sent { timestamp, marker: false, after_gap: false, extension: None, payload: payload.to_vec() }
}

pub(crate) fn with_marker(timestamp: u32, payload: &[u8]) -> Sent {
    Sent { marker: true, ..packet(timestamp, payload) }
}

/// The packet, where those before it are missing.
pub(crate) fn gap(packet: Sent) -> Sent {
    Sent { after_gap: true, ..packet }
}

/// What comes of packets.
pub(crate) fn receive(packets: &[Sent], mut push: impl FnMut(&Packet<'_>, bool, &mut Output)) -> Output {
    let mut out = Output::default();
    for (sent, sequence) in packets.iter().zip(0..) {
        let packet = Packet {
            marker: sent.marker,
            payload_type: 96,
            sequence,
            timestamp: sent.timestamp,
            ssrc: 1,
            extension: sent.extension.as_ref().map(|(profile, bytes)| (*profile, &bytes[..])),
            payload: &sent.payload,
        };
        push(&packet, sent.after_gap, &mut out);
    }
    out
}

/// What comes of packets: the units and the faults.
pub(crate) fn push_all(
    packets: &[Sent],
    push: impl FnMut(&Packet<'_>, bool, &mut Output),
) -> (Vec<Unit>, Vec<(Fault, u64)>) {
    let out = receive(packets, push);
    (out.units.into(), out.faults)
}

/// Timestamp, data and `after_loss` of units, and the faults.
pub(crate) type Received = (Vec<(u32, Vec<u8>, bool)>, Vec<(Fault, u64)>);

/// What is in an output.
pub(crate) fn seen(out: Output) -> Received {
    let units = out.units.iter().map(|unit| (unit.timestamp, unit.data.to_vec(), unit.after_loss));
    (units.collect(), out.faults)
}

/// The NAL units of a unit.
pub(crate) fn nals(unit: &Unit) -> Vec<Vec<u8>> {
    let nals: Vec<_> = msight_media::nal::units(&unit.data).map(<[u8]>::to_vec).collect();
    assert_eq!(nals.iter().map(|nal| nal.len() + 4).sum::<usize>(), unit.data.len());
    nals
}

impl Arbitrary for Sent {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let payload = prop::collection::vec(any::<u8>(), 0..100);
        let sent = (0..4_u32, any::<bool>(), any::<bool>(), payload);
        sent.prop_map(|(timestamp, marker, after_gap, payload)| Self {
            marker,
            after_gap,
            ..packet(timestamp, &payload)
        })
        .boxed()
    }
}
