//! What H.265 has of its own; [`crate::h264`] tests what both have.

use proptest::prelude::*;

use super::*;
use crate::testing::{Sent, gap, nals, packet, push_all, with_marker};
use crate::unit::Unit;

// Written by x265 3.5 from pictures of 320x180.
const VPS: &[u8] = b"\x40\x01\x0c\x01\xff\xff\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x3c\x92\x80\x90";
const SPS: &[u8] = b"\x42\x01\x01\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x3c\xa0\x0a\x08\x0b\x9f\x79\x64\xa9\x24\xca\xf0\x16\x80\x80\0\0\x03\0\x80\0\0\x05\x04";
const PPS: &[u8] = b"\x44\x01\xc1\x72\xb4\x62\x40";
const SEI: &[u8] = b"\x4e\x01\x05\x02\x11\x22\x80";
const SUFFIX_SEI: &[u8] = b"\x50\x01\x05\x02\x11\x22\x80";
const AUD: &[u8] = b"\x46\x01\x50";
const FILLER: &[u8] = b"\x4c\x01\xff\xff\x80";
/// The first slice of an IDR picture, and its second one.
const IDR: &[u8] = b"\x26\x01\xaf\x11\x12\x13\x14\x15";
const IDR_2: &[u8] = b"\x26\x01\x2f\x21\x22\x23\x24\x25";
const CRA: &[u8] = b"\x2a\x01\xaf\x31\x32\x33\x34\x35";
const TRAIL: &[u8] = b"\x02\x01\xd0\x41\x42\x43\x44\x45";
const TRAIL_2: &[u8] = b"\x02\x01\x50\x51\x52\x53\x54\x55";
/// TRAIL_N: its header begins with a zero.
const TRAIL_N: &[u8] = b"\0\x01\xd0\x61\x62\x63\x64\x65";

fn push_to(h265: &mut H265, packets: &[Sent]) -> (Vec<Unit>, Vec<(Fault, u64)>) {
    let packets = [packets, &[packet(999_999, TRAIL)]].concat();
    push_all(&packets, |packet, gap, out| h265.push(packet, gap, out))
}

fn push(packets: &[Sent]) -> (Vec<Unit>, Vec<(Fault, u64)>) {
    push_to(&mut H265::new(None, false), packets)
}

fn ap(nals: &[&[u8]]) -> Vec<u8> {
    let units = nals.iter().flat_map(|nal| [&(nal.len() as u16).to_be_bytes(), *nal].concat());
    [96, 1].into_iter().chain(units).collect()
}

/// A part of a NAL unit: `flags` has the start bit (0x80) and the end bit (0x40).
fn fu(flags: u8, header: &[u8], body: &[u8]) -> Vec<u8> {
    [&[98 | header[0] & 0x81, header[1], flags | header[0] >> 1 & 0x3f], body].concat()
}

/// The payload after another one's header, with an extension of three bytes.
fn paci(inner: &[u8]) -> Vec<u8> {
    [&[100, inner[1], inner[0] & 0xfe, 3 << 4, 9, 9, 9], &inner[2..]].concat()
}

#[test]
fn every_structure_is_read() {
    let (p, m) = (packet, with_marker);
    let annex_b =
        |nals: &[&[u8]]| nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect::<Vec<u8>>();
    let one: &'static [&'static [&'static [u8]]] = &[&[TRAIL]];
    let fragments = [fu(0x80, TRAIL, &TRAIL[2..4]), fu(0, TRAIL, &TRAIL[4..5]), fu(0x40, TRAIL, &TRAIL[5..])];
    type Row = (&'static str, Vec<Sent>, &'static [&'static [&'static [u8]]]);
    let table: &[Row] = &[
        ("single", vec![m(0, TRAIL)], one),
        ("zero header", vec![m(0, TRAIL_N)], &[&[TRAIL_N]]),
        (
            "aggregation",
            vec![m(0, &ap(&[AUD, VPS, SPS, PPS, SEI, IDR, IDR_2, SUFFIX_SEI]))],
            &[&[AUD, SEI, IDR, IDR_2, SUFFIX_SEI]],
        ),
        ("fragments", vec![p(0, &fragments[0]), p(0, &fragments[1]), m(0, &fragments[2])], one),
        ("fragment with both bits", vec![m(0, &fu(0xc0, TRAIL, &TRAIL[2..]))], one),
        ("PACI", vec![m(0, &paci(TRAIL))], one),
        ("PACI of an aggregation", vec![m(0, &paci(&ap(&[TRAIL, TRAIL_2])))], &[&[TRAIL, TRAIL_2]]),
        (
            "PACI of fragments",
            vec![p(0, &paci(&fragments[0])), p(0, &paci(&fragments[1])), m(0, &fragments[2])],
            one,
        ),
        ("start codes", vec![p(0, &annex_b(&[SEI])), m(0, &[&[0, 0, 1], TRAIL].concat())], &[&[SEI, TRAIL]]),
        ("Annex B", vec![m(0, &annex_b(&[VPS, SPS, PPS, IDR, IDR_2]))], &[&[IDR, IDR_2]]),
        ("filler", vec![p(0, IDR), p(0, FILLER), m(0, IDR_2)], &[&[IDR, IDR_2]]),
        (
            "stamps stand",
            vec![p(0, IDR), p(0, IDR_2), p(0, SUFFIX_SEI), p(0, SEI), p(0, TRAIL)],
            &[&[IDR, IDR_2, SUFFIX_SEI], &[SEI, TRAIL]],
        ),
        (
            "two layers",
            vec![p(0, IDR), p(0, b"\x26\x09\xaf\x11"), p(0, TRAIL)],
            &[&[IDR, b"\x26\x09\xaf\x11"], &[TRAIL]],
        ),
    ];
    for (name, packets, expected) in table {
        let (units, faults) = push(packets);
        assert_eq!(units.iter().map(nals).collect::<Vec<_>>(), *expected, "{name}");
        assert_eq!(faults, [], "{name}");
    }
}

#[test]
fn decoding_order_numbers_are_skipped() {
    let with_don = |nal: &[u8]| [&nal[..2], &[7, 7], &nal[2..]].concat();
    let aggregate =
        [&[96, 1, 7, 7, 0, SEI.len() as u8], SEI, &[7, 0, 8], TRAIL, &[7, 0, 8], TRAIL_2].concat();
    let packets = [
        with_marker(0, &with_don(IDR)),
        with_marker(1, &aggregate),
        packet(2, &fu(0x80, CRA, &[&[7, 7], &CRA[2..4]].concat())),
        with_marker(2, &fu(0x40, CRA, &CRA[4..])),
    ];
    let (units, faults) = push_to(&mut H265::new(None, true), &packets);
    let expected: &[&[&[u8]]] = &[&[IDR], &[SEI, TRAIL, TRAIL_2], &[CRA]];
    assert_eq!(units.iter().map(nals).collect::<Vec<_>>(), expected);
    assert_eq!(faults, []);
}

#[test]
fn useless_packets_cost_nothing_else() {
    let table: &[(&str, &[u8], Fault)] = &[
        ("empty", &[], Fault::Empty),
        ("cut header", &[0x26], Fault::Empty),
        ("reserved slice", &[24 << 1, 1, 9], Fault::BadNal),
        ("reserved", &[41 << 1, 1, 9], Fault::BadNal),
        ("unspecified", &[63 << 1, 1, 9], Fault::BadNal),
        ("forbidden bit", &[0x80 | 39 << 1, 1, 9], Fault::BadNal),
        ("cut PACI", &[100, 1, 2], Fault::BadPayload),
        ("PACI beyond the end", &[100, 1, 2, 0xf0, 1], Fault::BadPayload),
        ("PACI in PACI", &[100, 1, 100, 0, 1], Fault::BadPayload),
        ("cut aggregation", &[96, 1, 0, 9, 78, 1], Fault::BadPayload),
        ("aggregation without units", &[96, 1], Fault::Empty),
        ("nested aggregation", &[96, 1, 0, 3, 96, 1, 0], Fault::BadNal),
        ("fragment without header", &[98, 1], Fault::Empty),
        ("fragment without content", &[98, 1, 1], Fault::Empty),
        ("fragment of another unit", &[98, 1, 39, 1, 2], Fault::Fragment),
    ];
    for (name, noise, fault) in table {
        let packets = [
            with_marker(0, IDR),
            with_marker(1, TRAIL),
            packet(2, &fu(0x80, TRAIL, &TRAIL[2..4])),
            with_marker(7, noise),
            with_marker(2, &fu(0x40, TRAIL, &TRAIL[4..])),
        ];
        let (units, faults) = push(&packets);
        assert_eq!(units.iter().map(nals).collect::<Vec<_>>(), [[IDR], [TRAIL], [TRAIL]], "{name}");
        assert!(units.iter().all(|unit| !unit.after_loss), "{name}");
        assert_eq!(faults, [(*fault, 1)], "{name}");
    }
}

#[test]
fn decoding_starts_at_random_access_points() {
    let packets = [IDR, TRAIL, CRA, TRAIL_N].map(|nal| with_marker(u32::from(nal[0]), nal));
    let keys: Vec<bool> = push(&packets).0.iter().map(|unit| unit.key).collect();
    assert_eq!(keys, [true, false, true, false]);
    // A gradual refresh, in a stream without any: `recovery_poc_cnt` 5.
    let refresh = ap(&[b"\x4e\x01\x06\x01\x16\x80", TRAIL]);
    assert!(push(&[with_marker(0, TRAIL_N), with_marker(1, &refresh)]).0[1].key);
}

#[test]
fn lost_packets_cost_their_pictures() {
    let packets = [
        with_marker(0, IDR),
        packet(1, &fu(0x80, TRAIL, &TRAIL[2..4])),
        gap(with_marker(1, &fu(0x40, TRAIL, &TRAIL[4..]))),
        with_marker(2, TRAIL),
        gap(with_marker(3, TRAIL_2)),
        gap(with_marker(4, TRAIL)),
    ];
    let (units, faults) = push(&packets);
    let units: Vec<_> = units.iter().map(|unit| (unit.timestamp, unit.after_loss)).collect();
    assert_eq!(units, [(0, false), (2, true), (4, true)]);
    assert_eq!(faults, [(Fault::Incomplete, 2)]);
}

#[test]
fn parameter_sets_are_kept_by_their_ids() {
    let (units, faults) = push(&[
        with_marker(0, &ap(&[PPS, SPS, IDR])),
        with_marker(1, &ap(&[VPS, PPS, CRA])),
        with_marker(2, &ap(&[SPS, CRA])),
    ]);
    assert_eq!(units[0].parameter_sets, None);
    let sets = units[1].parameter_sets.as_ref().unwrap();
    assert_eq!(sets.all(), [VPS, SPS, PPS]);
    assert_eq!(sets.h265_sps().collect::<Vec<_>>(), [SPS]);
    assert!(std::sync::Arc::ptr_eq(sets, units[2].parameter_sets.as_ref().unwrap()));
    assert_eq!(faults, []);
}

proptest! {
    #[test]
    fn what_is_packed_comes_out(
        pictures in prop::collection::vec((prop::collection::vec(2u8.., 1..500), 1..200usize, any::<bool>()), 1..8),
    ) {
        let (mut packets, mut expected) = (Vec::new(), Vec::new());
        for ((body, mtu, aggregate), timestamp) in pictures.iter().zip((0..).step_by(3000)) {
            let slice = [&TRAIL[..3], body].concat();
            if *aggregate {
                packets.push(with_marker(timestamp, &ap(&[SEI, &slice])));
            } else {
                packets.push(packet(timestamp, SEI));
                let parts: Vec<&[u8]> = slice[2..].chunks(*mtu).collect();
                for (i, part) in parts.iter().enumerate() {
                    let flags = u8::from(i == 0) << 7 | u8::from(i + 1 == parts.len()) << 6;
                    packets.push(packet(timestamp, &fu(flags, TRAIL, part)));
                }
            }
            expected.push([SEI.to_vec(), slice]);
        }
        let (units, faults) = push(&packets);
        prop_assert_eq!(units.iter().map(nals).collect::<Vec<_>>(), expected);
        prop_assert_eq!(faults, []);
    }

    #[test]
    fn arbitrary_packets_are_accepted(
        packets in prop::collection::vec((0..3u32, any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..60),
        kinds in prop::collection::vec(prop::sample::select(&[1u8, 19, 32, 33, 34, 39, 48, 49, 50][..]), 60),
        has_decoding_order: bool,
    ) {
        let packets: Vec<Sent> = (packets.into_iter().zip(kinds))
            .map(|((timestamp, marker, after_gap, body), kind)| Sent { marker, after_gap, ..packet(timestamp, &[&[kind << 1, 1], &body[..]].concat()) })
            .collect();
        let bytes: usize = packets.iter().map(|packet| packet.payload.len()).sum();
        let (units, _) = push_to(&mut H265::new(None, has_decoding_order), &packets);
        prop_assert!(units.iter().map(|unit| unit.data.len()).sum::<usize>() <= 8 * (bytes + 8));
    }
}
