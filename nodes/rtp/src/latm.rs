//! AAC in LATM (RFC 6416): elements of one or several frames, each behind its length. The configuration is in the
//! description, or in the elements themselves.

use std::sync::Arc;

use msight_media::ParameterSets;

use crate::aac::{MAX_FRAME, MAX_FRAMES};
use crate::audio_config::{self, Bits, MuxConfig};
use crate::fault::Fault;
use crate::fragments::Fragments;
use crate::key_units::KeyUnits;
use crate::output::Output;
use crate::packet::Packet;

/// The state of a track of LATM.
#[derive(Debug)]
pub(crate) struct Latm {
    clock_rate: u32,
    /// The configuration is in the elements (`cpresent=1`).
    is_in_band: bool,
    /// Number of frames in an element, as the configuration in the elements states it.
    frames: usize,
    element: Fragments,
    units: KeyUnits,
    /// Duration of a frame in ticks of the track's clock, by the configuration in `units`.
    ticks: u32,
}

impl Latm {
    /// Without a configuration in the description, it is in the elements.
    pub(crate) fn new(config: Option<Arc<ParameterSets>>, clock_rate: u32) -> Self {
        let ticks = audio_config::frame_ticks(config.as_deref(), clock_rate);
        Self {
            clock_rate,
            is_in_band: config.is_none(),
            frames: 1,
            element: Fragments::new(MAX_FRAME),
            units: KeyUnits::new(config),
            ticks,
        }
    }

    pub(crate) fn push(&mut self, packet: &Packet<'_>, after_gap: bool, out: &mut Output) {
        // Most elements have one packet, so that behind a gap another timestamp begins one.
        let begins = self.element.timestamp() != Some(packet.timestamp);
        let elements = self.element.push(packet, after_gap, begins, &mut self.units, out);
        for (timestamp, element) in elements.into_iter().flatten() {
            self.read(timestamp, &element, out);
        }
    }

    fn read(&mut self, timestamp: u32, element: &[u8], out: &mut Output) {
        let mut bits = Bits::new(element);
        let (frames, is_whole) = if self.is_in_band {
            let count = self.configure(&mut bits).map_or(0, |()| self.frames);
            let frames: Vec<_> = frames(&mut bits).take(count).collect();
            let is_whole = frames.len() == self.frames;
            (frames, is_whole)
        } else {
            let frames: Vec<_> = frames(&mut bits).take(MAX_FRAMES).collect();
            let is_whole = !frames.is_empty() && frame(&mut bits).is_none();
            (frames, is_whole)
        };
        let mut at = timestamp;
        for frame in frames {
            self.units.emit(at, frame, out);
            at = at.wrapping_add(self.ticks);
        }
        if !is_whole {
            self.units.discard(Fault::BadPayload, out);
        }
    }

    /// Reads the configuration in an element, if it has one. Fails before the first one.
    fn configure(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let is_same = bits.read(1)? == 1;
        if is_same {
            return self.units.parameter_sets.is_some().then_some(());
        }
        let MuxConfig { config, frames, .. } = MuxConfig::read_whole(bits)?;
        self.frames = frames;
        let known = self.units.parameter_sets.as_ref().and_then(|sets| sets.all().first());
        if known.is_none_or(|known| *known != config) {
            let sets = audio_config::sets(config);
            self.ticks = audio_config::frame_ticks(Some(&sets), self.clock_rate);
            self.units.parameter_sets = Some(sets);
        }
        Some(())
    }
}

/// The next frames in an element, up to the first one that is cut off.
fn frames(bits: &mut Bits<'_>) -> impl Iterator<Item = Vec<u8>> {
    std::iter::from_fn(|| frame(bits))
}

/// The next frame, behind its length (ISO/IEC 14496-3, section 1.7.3.2, PayloadLengthInfo).
fn frame(bits: &mut Bits<'_>) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let byte = bits.read(8)?;
        length += byte;
        if byte < 255 {
            break;
        }
    }
    let frame = (0..length).map(|_| Some(bits.read(8)? as u8)).collect::<Option<Vec<u8>>>()?;
    (!frame.is_empty()).then_some(frame)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Received, Sent, gap, packet, receive, seen, with_marker};

    const CONFIG: [u8; 2] = [0x13, 0x08];

    fn come(latm: &mut Latm, packets: &[Sent]) -> Received {
        let out = receive(packets, |packet, after_gap, out| latm.push(packet, after_gap, out));
        let sets = [Bytes::copy_from_slice(&CONFIG)];
        assert!(out.units.iter().all(|unit| unit.parameter_sets.as_ref().unwrap().all() == sets));
        seen(out)
    }

    fn described() -> Latm {
        Latm::new(Some(audio_config::sets(CONFIG.to_vec())), 24_000)
    }

    #[test]
    fn elements_have_frames_behind_their_lengths() {
        let long = [&[255, 45][..], &[7; 300]].concat();
        let packets = [
            with_marker(0, &[2, 8, 9]),
            with_marker(1024, &[&[1, 5][..], &long].concat()),
            packet(9000, &long[..100]),
            packet(9000, &long[100..200]),
            with_marker(9000, &long[200..]),
            packet(10_000, &[1, 3]),
            with_marker(20_000, &[1, 4, 9, 1]),
        ];
        let expected = [
            (0, vec![8, 9]),
            (1024, vec![5]),
            (2048, vec![7; 300]),
            (9000, vec![7; 300]),
            (10_000, vec![3]),
            (20_000, vec![4]),
        ];
        let expected = expected.map(|(timestamp, frame)| (timestamp, frame, false)).to_vec();
        assert_eq!(come(&mut described(), &packets), (expected, vec![]));
    }

    #[test]
    fn elements_with_a_gap_are_discarded() {
        let packets = [
            packet(0, &[5, 1]),
            gap(packet(0, &[1, 1])),
            with_marker(0, &[1]),
            with_marker(9, &[1, 2]),
            with_marker(10, &[9, 1]),
            with_marker(11, &[]),
        ];
        let expected = (
            vec![(9, vec![2], true)],
            vec![(Fault::Incomplete, 1), (Fault::Fragment, 1), (Fault::BadPayload, 1), (Fault::Empty, 1)],
        );
        assert_eq!(come(&mut described(), &packets), expected);
        assert_eq!(come(&mut described(), &[gap(with_marker(9, &[1, 2]))]).0, [(9, vec![2], true)]);
        let endless = vec![packet(0, &[1; 60_000]); 50];
        assert_eq!(come(&mut described(), &endless).1, [(Fault::TooLong, 1)]);
    }

    #[test]
    fn the_configuration_may_be_in_the_elements() {
        // A bit, StreamMuxConfig, then frames behind their lengths, which begin within a byte.
        let element = |config: &str, frames: &[u8]| {
            let bits =
                frames.iter().fold(config.to_owned(), |bits, byte| format!("{bits}{byte:08b}")) + "0000000";
            bits.as_bytes()
                .as_chunks::<8>()
                .0
                .iter()
                .map(|byte| u8::from_str_radix(str::from_utf8(byte).unwrap(), 2).unwrap())
                .collect::<Vec<_>>()
        };
        let mux = |sub_frames: &str| {
            ["0", "0", "1", sub_frames, "0000", "000", "0001001100001000", "000", "11111111", "0", "0"]
                .concat()
        };
        let mut latm = Latm::new(None, 24_000);
        let same = |frames: &[u8]| element("1", frames);
        let packets = [
            with_marker(0, &same(&[2, 1, 2])),
            with_marker(1, &element(&mux("000000"), &[2, 3, 4])),
            with_marker(2, &same(&[2, 5, 6])),
        ];
        let expected = (vec![(1, vec![3, 4], true), (2, vec![5, 6], false)], vec![(Fault::BadPayload, 1)]);
        assert_eq!(come(&mut latm, &packets), expected);
        // Three frames in an element, then fewer.
        let packets = [
            with_marker(0, &element(&mux("000010"), &[1, 3, 1, 4, 1, 5])),
            with_marker(9000, &same(&[1, 6, 1, 7, 9])),
            with_marker(20_000, &same(&[1, 8, 1, 9, 1, 10])),
        ];
        let expected = [
            (0, vec![3], false),
            (1024, vec![4], false),
            (2048, vec![5], false),
            (9000, vec![6], false),
            (10_024, vec![7], false),
            (20_000, vec![8], true),
            (21_024, vec![9], false),
            (22_048, vec![10], false),
        ];
        assert_eq!(come(&mut latm, &packets), (expected.to_vec(), vec![(Fault::BadPayload, 1)]));
    }

    #[test]
    fn the_number_of_frames_in_an_element_is_limited() {
        for (count, faults) in [(MAX_FRAMES, vec![]), (20_000, vec![(Fault::BadPayload, 1)])] {
            let packets = [with_marker(0, &[1, 3].repeat(count)), with_marker(1, &[1, 4])];
            let (units, seen) = come(&mut described(), &packets);
            assert_eq!((units.len(), units[MAX_FRAMES].2), (MAX_FRAMES + 1, !faults.is_empty()));
            assert_eq!(seen, faults);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_packets_are_accepted(mut packets in prop::collection::vec(any::<Sent>(), 0..40), in_band in any::<bool>()) {
            let mut latm = if in_band { Latm::new(None, 0) } else { described() };
            let push = |latm: &mut Latm, packets: &[Sent]| receive(packets, |packet, gap, out| latm.push(packet, gap, out));
            push(&mut latm, &packets);
            packets = vec![with_marker(7, &[1, 3]), with_marker(8, &[1, 4])];
            let last = push(&mut latm, &packets).units.pop_back();
            prop_assert!(in_band || last.is_some_and(|unit| unit.data[..] == [4]));
        }
    }
}
