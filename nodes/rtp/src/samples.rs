//! Sound with one unit in each packet: G.711 and L16 (RFC 3551), Opus (RFC 7587).

use bytes::Bytes;

use crate::fault::Fault;
use crate::key_units::KeyUnits;
use crate::output::Output;
use crate::packet::Packet;

/// The state of a track.
#[derive(Debug)]
pub(crate) struct Samples {
    /// Bytes of one sample of all channels; 1 where a unit may have any length.
    sample: usize,
    units: KeyUnits,
}

impl Samples {
    /// G.711, or Opus.
    pub(crate) fn of_bytes() -> Self {
        Self { sample: 1, units: KeyUnits::default() }
    }

    /// L16.
    pub(crate) fn of_16_bits(channels: u8) -> Self {
        Self { sample: usize::from(channels.max(1)) * 2, units: KeyUnits::default() }
    }

    pub(crate) fn push(&mut self, packet: &Packet<'_>, after_gap: bool, out: &mut Output) {
        if after_gap {
            self.units.lose();
        }
        let length = packet.payload.len() - packet.payload.len() % self.sample;
        if length == 0 {
            return out.fault(Fault::Empty);
        }
        self.units.emit(packet.timestamp, Bytes::copy_from_slice(&packet.payload[..length]), out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Sent, gap, packet, receive};

    #[test]
    fn each_packet_is_a_unit_of_whole_samples() {
        let packets = [
            packet(10, &[1, 2, 3, 4, 5]),
            packet(20, &[]),
            packet(30, &[1]),
            gap(packet(40, &[6, 7, 8, 9])),
            packet(50, &[1, 2, 3, 4]),
        ];
        let come = |mut samples: Samples| {
            let out = receive(&packets, |packet, after_gap, out| samples.push(packet, after_gap, out));
            let units: Vec<_> =
                out.units.iter().map(|unit| (unit.timestamp, unit.data.len(), unit.after_loss)).collect();
            (units, out.faults)
        };
        let bytes = vec![(10, 5, false), (30, 1, false), (40, 4, true), (50, 4, false)];
        assert_eq!(come(Samples::of_bytes()), (bytes, vec![(Fault::Empty, 1)]));
        let words = vec![(10, 4, false), (40, 4, true), (50, 4, false)];
        assert_eq!(come(Samples::of_16_bits(1)), (words.clone(), vec![(Fault::Empty, 2)]));
        assert_eq!(come(Samples::of_16_bits(2)), (words, vec![(Fault::Empty, 2)]));
        assert_eq!(come(Samples::of_16_bits(0)).0.len(), 3);
    }

    proptest! {
        #[test]
        fn units_have_whole_samples(packets in prop::collection::vec(any::<Sent>(), 0..20), channels in any::<u8>()) {
            let mut samples = Samples::of_16_bits(channels);
            let out = receive(&packets, |packet, after_gap, out| samples.push(packet, after_gap, out));
            for unit in out.units {
                prop_assert!(!unit.data.is_empty() && unit.data.len() % (2 * usize::from(channels.max(1))) == 0);
            }
        }
    }
}
