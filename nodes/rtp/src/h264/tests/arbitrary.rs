//! Arbitrary pictures, noise and packets.

use proptest::prelude::*;

use super::*;

/// A NAL unit of one of these types: without start codes, and not ending in zero.
fn any_nal(kinds: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 1..300);
    (prop::sample::select(kinds), 0..4u8, body).prop_map(|(kind, importance, body)| {
        let body = body.into_iter().map(|byte| byte.max(2)).collect::<Vec<_>>();
        // The first slice of a picture.
        [&[importance << 5 | kind, 0x80 | body[0]], &body[..]].concat()
    })
}

/// The units of a picture: some before its slice, its slice, and the packets that carry them.
fn any_picture() -> impl Strategy<Value = (Vec<Vec<u8>>, usize, Vec<bool>)> {
    let before = prop::collection::vec(any_nal(&[6, 9]), 0..3);
    (before, any_nal(&[1, 5]), 4..200usize, prop::collection::vec(any::<bool>(), 4)).prop_map(
        |(mut nals, slice, mtu, aggregate)| {
            nals.push(slice);
            (nals, mtu, aggregate)
        },
    )
}

/// Packs units as a camera does: small ones alone or together, large ones in fragments.
fn packetise(nals: &[Vec<u8>], mtu: usize, aggregate: &[bool]) -> Vec<Vec<u8>> {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for (nal, aggregate) in nals.iter().zip(aggregate.iter().cycle()) {
        if nal.len() > mtu {
            let parts: Vec<&[u8]> = nal[1..].chunks(mtu).collect();
            for (i, part) in parts.iter().enumerate() {
                let flags = u8::from(i == 0) << 7 | u8::from(i + 1 == parts.len()) << 6;
                packets.push(fu(flags, nal[0], part));
            }
        } else if *aggregate {
            match packets.last_mut().filter(|last| last[0] == 24 && last.len() + nal.len() < mtu) {
                Some(last) => last.extend(&stap(&[nal])[1..]),
                None => packets.push(stap(&[nal])),
            }
        } else {
            packets.push(nal.clone());
        }
    }
    packets
}

/// What none of the pictures need.
fn any_noise() -> impl Strategy<Value = Vec<u8>> {
    let undefined = prop::sample::select(&[0u8, 17, 18, 22, 23, 30, 31][..]);
    let body = || prop::collection::vec(2u8.., 0..40);
    prop_oneof![
        Just(vec![]),
        (undefined, body()).prop_map(|(kind, body)| [&[0x60 | kind], &body[..]].concat()),
        body().prop_map(|body| [&[0x86], &body[..]].concat()),
        body().prop_map(|body| [&[28, 0xc0 | 30], &body[..]].concat()),
        body().prop_map(|body| [&[28, 7], &body[..]].concat()),
        body().prop_map(|body| [&[24, 0xff, 0xff, 6], &body[..]].concat()),
    ]
}

proptest! {
    #[test]
    fn what_is_packed_comes_out(
        pictures in prop::collection::vec(any_picture(), 1..8),
        noise in prop::collection::vec((any_noise(), any::<u32>(), any::<bool>()), 1..20),
        noisy: bool,
    ) {
        let mut packets = Vec::new();
        let mut noise = noise.iter().cycle();
        for ((nals, mtu, aggregate), timestamp) in pictures.iter().zip((0..).step_by(3000)) {
            let payloads = packetise(nals, *mtu, aggregate);
            for (i, payload) in payloads.iter().enumerate() {
                packets.push(if i + 1 == payloads.len() { with_marker(timestamp, payload) } else { packet(timestamp, payload) });
                if let (true, Some((noise, timestamp, marker))) = (noisy, noise.next()) {
                    packets.push(if *marker { with_marker(*timestamp, noise) } else { packet(*timestamp, noise) });
                }
            }
        }
        let (units, faults) = push(&packets);
        let expected: Vec<_> = pictures.iter().map(|(nals, ..)| nals.clone()).collect();
        prop_assert_eq!(units.iter().map(nals).collect::<Vec<_>>(), expected);
        prop_assert!(units.iter().all(|unit| !unit.after_loss));
        prop_assert_eq!(faults.is_empty(), !noisy);
    }

    #[test]
    fn arbitrary_packets_are_accepted(
        packets in prop::collection::vec((0..3u32, any::<bool>(), any::<bool>(), prop_oneof![
            prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..40),
            any_nal(&[1, 5, 6, 7, 8, 24, 25, 26, 27, 28, 29]),
        ]), 0..60),
    ) {
        let packets: Vec<Sent> = packets.into_iter().map(|(timestamp, marker, after_gap, payload)| Sent { marker, after_gap, ..packet(timestamp, &payload) }).collect();
        let bytes: usize = packets.iter().map(|packet| packet.payload.len()).sum();
        let (units, _) = push(&packets);
        // A byte makes at most one unit of four bytes' length.
        prop_assert!(units.iter().map(|unit| unit.data.len()).sum::<usize>() <= 8 * (bytes + 8));
    }
}
