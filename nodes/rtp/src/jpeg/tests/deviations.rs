//! What deviations and noise cost.

use proptest::prelude::*;

use super::*;

/// Packets that did not come.
fn lose(packets: &mut Vec<Sent>, missing: std::ops::Range<usize>) {
    packets[missing.end].after_gap = true;
    packets.drain(missing);
}

/// What one deviation does to three pictures: which ones come, which of them are after a loss, and what is counted.
#[test]
fn deviations_cost_at_most_their_picture() {
    type Deviation = fn(&mut Vec<Sent>, usize);
    type Row = (&'static str, Deviation, &'static [(u32, bool)], &'static [Fault]);
    let rows: &[Row] = &[
        ("none", |_, _| {}, &[(0, false), (1, false), (2, false)], &[]),
        (
            "a missing fragment",
            |p, n| lose(p, n + 1..n + 2),
            &[(0, false), (2, true)],
            &[Fault::Fragment, Fault::Incomplete],
        ),
        ("a missing first fragment", |p, n| lose(p, n..n + 1), &[(0, false), (2, true)], &[Fault::Fragment]),
        (
            "a missing last fragment",
            |p, n| lose(p, 2 * n - 1..2 * n),
            &[(0, false), (2, true)],
            &[Fault::Incomplete],
        ),
        ("a missing picture", |p, n| lose(p, n..2 * n), &[(0, false), (2, true)], &[]),
        ("no marker", |p, n| p[2 * n - 1].marker = false, &[(0, false), (1, false), (2, false)], &[]),
        (
            "fragments in another order",
            |p, n| p.swap(n + 1, n + 2),
            &[(0, false), (2, true)],
            &[Fault::Fragment, Fault::Incomplete],
        ),
        (
            "a repeated fragment",
            |p, n| p.insert(n + 1, p[n + 1].clone()),
            &[(0, false), (1, false), (2, false)],
            &[],
        ),
        (
            "a repeated first fragment",
            |p, n| p.insert(n, p[n].clone()),
            &[(0, false), (1, false), (2, false)],
            &[],
        ),
        (
            "a wrong offset",
            |p, n| p[n + 1].payload[2] ^= 0x10,
            &[(0, false), (2, true)],
            &[Fault::Fragment, Fault::Incomplete],
        ),
        (
            "an empty packet",
            |p, n| p.insert(n + 1, Sent { payload: Vec::new(), ..p[n + 1].clone() }),
            &[(0, false), (1, false), (2, false)],
            &[Fault::Empty],
        ),
        (
            "a cut header",
            |p, n| p[n + 1].payload.truncate(7),
            &[(0, false), (2, true)],
            &[Fault::BadPayload, Fault::Fragment, Fault::Incomplete],
        ),
        (
            "cut tables",
            |p, n| p[n].payload.truncate(50),
            &[(0, false), (2, true)],
            &[Fault::BadPayload, Fault::Fragment],
        ),
        ("a type of no standard", |p, n| p[n].payload[4] = 2, &[(0, false), (2, true)], &[Fault::BadPayload]),
        (
            "a marker alone",
            |p, n| {
                p[2 * n - 1].marker = false;
                p.insert(2 * n, Sent { payload: Vec::new(), marker: true, ..p[2 * n - 1].clone() });
            },
            &[(0, false), (1, false), (2, false)],
            &[Fault::Empty],
        ),
        (
            "noise between",
            |p, n| p.insert(n + 1, Sent { payload: vec![3; 900], timestamp: 99, ..p[n + 1].clone() }),
            &[(0, false), (1, false), (2, false)],
            &[Fault::Fragment],
        ),
    ];
    for (name, deviation, units, faults) in rows {
        let n = PICTURE.packets(0, 255).len();
        assert!(n > 4);
        let mut packets: Vec<Sent> = (0..3).flat_map(|timestamp| PICTURE.packets(timestamp, 255)).collect();
        deviation(&mut packets, n);
        let out = receive(&mut Jpeg::new(None), &packets);
        let come: Vec<_> = out.units.iter().map(|unit| (unit.timestamp, unit.after_loss)).collect();
        assert_eq!(
            (&come[..], out.faults.iter().map(|(fault, _)| *fault).collect::<Vec<_>>()),
            (*units, faults.to_vec()),
            "{name}"
        );
        assert!(out.units.iter().all(|unit| unit.data == out.units[0].data), "{name}");
    }
}

fn noise() -> impl Strategy<Value = Sent> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        (any::<[u8; 4]>(), prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(head, rest)| {
            [&[0, 0, 0, head[0] & 3][..], &[head[1] & 0x41, head[2], 40, 30], &[0, head[3], 0, 128], &rest]
                .concat()
        }),
    ];
    let extension = prop::option::of((
        prop::sample::select(&[0xffd8, 0xffff, 0xabac, 1][..]),
        prop::collection::vec(any::<u8>(), 0..80),
    ));
    (0..4u32, any::<bool>(), any::<bool>(), extension, payload).prop_map(
        |(timestamp, marker, after_gap, extension, payload)| Sent {
            timestamp,
            marker,
            after_gap,
            extension,
            payload,
        },
    )
}

proptest! {
    #[test]
    fn arbitrary_packets_are_accepted(packets in prop::collection::vec(noise(), 0..40), size in any::<Option<(u32, u32)>>()) {
        let mut jpeg = Jpeg::new(size);
        let out = receive(&mut jpeg, &packets);
        prop_assert!(out.units.iter().all(|unit| unit.data.starts_with(&SOI) && unit.data.ends_with(&EOI)));
        let packets = [PICTURE.packets(50, 255), PICTURE.packets(51, 255)].concat();
        let out = receive(&mut jpeg, &packets);
        let end = [&PICTURE.scan[..], &EOI].concat();
        prop_assert_eq!(out.units.iter().filter(|unit| unit.data.ends_with(&end)).count(), 2);
    }

    #[test]
    fn pictures_come_whole_out_of_noise(noise in prop::collection::vec((any::<prop::sample::Index>(), noise()), 0..20)) {
        let mut packets: Vec<Sent> = (10..13).flat_map(|timestamp| PICTURE.packets(timestamp, 255)).collect();
        for (at, mut sent) in noise {
            // No start of another picture: that ends the one before it.
            sent.after_gap = false;
            sent.extension = None;
            if let Some(offset) = sent.payload.get_mut(1) {
                *offset |= 0x80;
            }
            packets.insert(at.index(packets.len() + 1), sent);
        }
        let out = receive(&mut Jpeg::new(None), &packets);
        prop_assert_eq!(out.units.len(), 3);
        prop_assert!(out.units.iter().all(|unit| unit.data.ends_with(&[&PICTURE.scan[..], &EOI].concat())));
    }
}
