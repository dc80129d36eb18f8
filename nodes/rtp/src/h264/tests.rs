//! What cameras deviate in, and what comes of it.

use proptest::prelude::*;

use super::*;
use crate::fault::Fault;
use crate::testing::{Sent, gap, nals, packet, push_all, with_marker};
use crate::unit::{MAX_UNIT_BYTES, Unit};

// Written by x264 0.164 from pictures of 320x180.
const SPS: &[u8] = b"\x67\x42\xc0\x0b\xda\x05\x06\x7e\x7c\x04\x40\0\0\x03\0\x40\0\0\x05\x03\xc5\x0a\xa8";
const OTHER_SPS: &[u8] =
    b"\x67\x4d\x40\x0c\xec\xa0\xa0\xcf\xcf\x80\x88\0\0\x03\0\x08\0\0\x03\0\xa0\x78\xa1\x4c\xb0";
const PPS: &[u8] = b"\x68\xce\x0f\x2c\x80";
/// `pic_parameter_set_id` 1.
const PPS_1: &[u8] = b"\x68\x53\x8f\x2c\x80";
const SEI: &[u8] = b"\x06\x05\x02\x11\x22\x80";
const AUD: &[u8] = b"\x09\x10";
const FILLER: &[u8] = b"\x0c\xff\xff\x80";
/// The only slice of a key frame.
const IDR: &[u8] = b"\x65\x88\x84\x11\x12\x13\x14\x15";
/// Its second slice: `first_mb_in_slice` is 1.
const IDR_2: &[u8] = b"\x65\x42\x84\x21\x22\x23\x24\x25";
const P: &[u8] = b"\x41\x9a\x31\x32\x33\x34\x35\x36";
const P_2: &[u8] = b"\x41\x46\x41\x42\x43\x44\x45\x46";
/// What may be between the first two bytes of [`P`] and the others, and the slice then.
const LONG: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const LONG_P: &[u8] = b"\x41\x9a\x31abcdefghijklmnopqrstuvwxyz0123456789\x32\x33\x34\x35\x36";
/// An intra picture that is no IDR picture.
const I: &[u8] = b"\x41\x88\x51\x52\x53\x54\x55\x56";

fn push(packets: &[Sent]) -> (Vec<Unit>, Vec<(Fault, u64)>) {
    // The first slice of one more picture ends the last one.
    let mut h264 = H264::new(None);
    push_all(&[packets, &[packet(999_999, P)]].concat(), |packet, gap, out| h264.push(packet, gap, out))
}

fn units(packets: &[Sent]) -> Vec<Vec<Vec<u8>>> {
    push(packets).0.iter().map(nals).collect()
}

fn faults(packets: &[Sent]) -> Vec<(Fault, u64)> {
    push(packets).1
}

fn stap(nals: &[&[u8]]) -> Vec<u8> {
    let units = nals.iter().flat_map(|nal| [&(nal.len() as u16).to_be_bytes(), *nal].concat());
    [24].into_iter().chain(units).collect()
}

/// A part of a NAL unit: `flags` has the start bit (0x80) and the end bit (0x40).
fn fu(flags: u8, header: u8, body: &[u8]) -> Vec<u8> {
    [&[28 | header & 0xe0, flags | header & 0x1f], body].concat()
}

fn annex_b(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect()
}

#[test]
fn every_structure_is_read() {
    let (p, m) = (packet, with_marker);
    let mtap16 = [&[26, 9, 9, 0, 8, 0, 0, 0][..], P, &[0, 8, 1, 0, 7], I].concat();
    let mtap24 = [&[27, 9, 9, 0, 8, 0, 0, 0, 0][..], P, &[0, 8, 1, 0, 0, 7], I].concat();
    let stap_b = [&[25, 9, 9], &stap(&[P])[1..]].concat();
    let fu_b = [&[29 | 0x40, 0x81, 9, 9], &P[1..4]].concat();
    let one: &'static [&'static [&'static [u8]]] = &[&[P]];
    type Row = (&'static str, Vec<Sent>, &'static [&'static [&'static [u8]]]);
    let table: &[Row] = &[
        ("single", vec![m(0, P)], one),
        ("STAP-A", vec![m(0, &stap(&[SPS, PPS, SEI, IDR, IDR_2]))], &[&[SEI, IDR, IDR_2]]),
        ("STAP-B", vec![m(0, &stap_b)], one),
        ("MTAP16", vec![m(0, &mtap16)], &[&[P], &[I]]),
        ("MTAP24", vec![m(0, &mtap24)], &[&[P], &[I]]),
        (
            "FU-A",
            vec![
                p(0, &fu(0x80, P[0], &P[1..3])),
                p(0, &fu(0, P[0], &P[3..4])),
                m(0, &fu(0x40, P[0], &P[4..])),
            ],
            one,
        ),
        ("FU-B", vec![p(0, &fu_b), m(0, &fu(0x40, P[0], &P[4..]))], one),
        ("FU-A with both bits", vec![m(0, &fu(0xc0, P[0], &P[1..]))], one),
        (
            "FU-A without end bits",
            vec![
                p(0, &fu(0x80, P[0], &P[1..3])),
                m(0, &fu(0, P[0], &P[3..])),
                m(1, &fu(0x80, I[0], &I[1..])),
            ],
            &[&[P], &[I]],
        ),
        ("FU-A with an empty start", vec![p(0, &fu(0x80, P[0], &[])), m(0, &fu(0x40, P[0], &P[1..]))], one),
        ("FU-A with an empty end", vec![p(0, &fu(0x80, P[0], &P[1..])), m(0, &fu(0x40, P[0], &[]))], one),
        (
            "FU-A with a start code",
            vec![p(0, &fu(0x80, 0, &annex_b(&[P])[1..7])), m(0, &fu(0x40, 0, &annex_b(&[P])[7..]))],
            one,
        ),
        (
            "FU-A of an Annex B stream",
            vec![m(0, &fu(0xc0, SPS[0], &[&SPS[1..], &annex_b(&[PPS, IDR])].concat()))],
            &[&[IDR]],
        ),
        (
            "a start sent twice",
            vec![
                p(0, &fu(0x80, P[0], &P[1..3])),
                p(0, &fu(0x80, P[0], &P[1..3])),
                m(0, &fu(0x40, P[0], &P[3..])),
            ],
            one,
        ),
        ("a slice sent twice", vec![p(0, IDR), p(0, IDR), p(0, IDR_2), m(0, IDR_2)], &[&[IDR, IDR_2]]),
        (
            "a middle sent twice",
            vec![
                p(0, &fu(0x80, P[0], &P[1..3])),
                p(0, &fu(0, P[0], LONG)),
                p(0, &fu(0, P[0], LONG)),
                m(0, &fu(0x40, P[0], &P[3..])),
            ],
            &[&[LONG_P]],
        ),
        (
            "a packet sent twice",
            vec![m(0, IDR), p(1, &stap(&[SEI, P])), p(1, &stap(&[SEI, P])), m(1, P_2), m(1, P_2)],
            &[&[IDR], &[SEI, P, P_2]],
        ),
        (
            "a marker sent twice",
            vec![m(0, IDR), m(1, I), m(2, &stap(&[SEI, P])), m(2, &stap(&[SEI, P])), m(3, I)],
            &[&[IDR], &[I], &[SEI, P], &[I]],
        ),
        (
            "start codes",
            vec![p(0, &annex_b(&[SPS])), p(0, &annex_b(&[PPS])), m(0, &annex_b(&[IDR]))],
            &[&[IDR]],
        ),
        ("Annex B", vec![m(0, &annex_b(&[AUD, SPS, PPS, SEI, IDR, IDR_2]))], &[&[AUD, SEI, IDR, IDR_2]]),
        (
            "Annex B, short codes",
            vec![m(0, &[AUD, &[0, 0, 1], IDR, &[0, 0, 1], IDR_2].concat())],
            &[&[AUD, IDR, IDR_2]],
        ),
        ("zeros at the end", vec![p(0, &[SPS, &[0, 0]].concat()), m(0, &[P, &[0; 9]].concat())], one),
        ("filler", vec![p(0, FILLER), p(0, IDR), p(0, FILLER), m(0, IDR_2)], &[&[IDR, IDR_2]]),
        (
            "sets with stamps and markers of their own",
            vec![m(0, SPS), m(1, PPS), m(2, SEI), m(3, IDR)],
            &[&[SEI, IDR]],
        ),
        ("padded STAP-A", vec![m(0, &[&stap(&[P])[..], &[0; 5]].concat())], one),
    ];
    for (name, packets, expected) in table {
        assert_eq!(units(packets), *expected, "{name}");
        assert_eq!(faults(packets), [], "{name}");
    }
}

#[test]
fn useless_packets_cost_nothing_else() {
    let (m, p) = (with_marker, packet);
    let table: &[(&str, &[u8], Fault)] = &[
        ("empty", &[], Fault::Empty),
        ("type 0", &[0x60, 1, 2], Fault::BadNal),
        ("type 30", &[0x7e, 1, 2], Fault::BadNal),
        ("type 31", &[0x7f, 1, 2], Fault::BadNal),
        ("reserved", &[0x77, 1, 2], Fault::BadNal),
        ("forbidden bit", &[0x86, 1, 2], Fault::BadNal),
        ("nested structure", &[24, 0, 3, 28, 0x80, 1], Fault::BadNal),
        ("fragment of a structure", &[28, 0xc0 | 24, 0, 1, 2], Fault::BadNal),
        ("fragment without content", &[28, 5], Fault::Empty),
        ("fragment without header", &[28], Fault::Empty),
        ("fragment of another unit", &[28, 0x06, 1, 2], Fault::Fragment),
        ("zeros", &[0, 0, 0, 0], Fault::BadNal),
        ("STAP-A without units", &[24], Fault::Empty),
        ("STAP-A of zeros", &[24, 0, 0, 0, 0], Fault::Empty),
        ("STAP-A cut", &[24, 0, 9, 6, 1], Fault::BadPayload),
        ("MTAP16 cut", &[26, 9, 9, 0, 9, 0, 0], Fault::BadPayload),
    ];
    for (name, noise, fault) in table {
        // Of another time and with a marker, between the fragments of a picture.
        let packets = [
            &[m(0, IDR), m(1, P), p(2, &fu(0x80, P[0], &P[1..3]))][..],
            &[m(7, noise)],
            &[m(2, &fu(0x40, P[0], &P[3..])), m(3, P)],
        ];
        let (found, faults) = push(&packets.concat());
        assert_eq!(found.iter().map(nals).collect::<Vec<_>>(), [[IDR], [P], [P], [P]], "{name}");
        assert!(found.iter().all(|unit| !unit.after_loss), "{name}");
        assert_eq!(faults, [(*fault, 1)], "{name}");
    }
}

#[test]
fn pictures_end_whatever_stamps_and_markers_say() {
    let (m, p) = (with_marker, packet);
    let pictures: &[&[&[u8]]] = &[&[SEI, IDR, IDR_2], &[P, P_2], &[AUD, I], &[P, P_2]];
    // The timestamp of each picture, and the marker of each unit: whether it is the last.
    type Form = fn(u32, bool) -> (u32, bool);
    let forms: &[(&str, Form)] = &[
        ("regular", |n, last| (n, last)),
        ("no markers", |n, _| (n, false)),
        ("markers on all", |n, _| (n, true)),
        ("markers on all but the last", |n, last| (n, !last)),
        ("stamps stand", |_, last| (5, last)),
        ("stamps stand, no markers", |_, _| (5, false)),
        ("stamps stand, markers on all", |_, _| (5, true)),
        ("stamps go back", |n, last| (0u32.wrapping_sub(n), last)),
    ];
    for (name, form) in forms {
        let packets: Vec<Sent> = (pictures.iter().zip(0..))
            .flat_map(|(nals, n)| {
                let packed = nals.iter().enumerate().map(move |(i, nal)| (form(n, i + 1 == nals.len()), nal));
                packed.map(
                    |((timestamp, marker), nal)| if marker { m(timestamp, nal) } else { p(timestamp, nal) },
                )
            })
            .collect();
        let (found, faults) = push(&packets);
        assert_eq!(found.iter().map(nals).collect::<Vec<_>>(), pictures, "{name}");
        assert_eq!(faults, [], "{name}");
    }
}

#[test]
fn the_end_of_the_stream_ends_a_picture() {
    let (first, last) = (packet(1, &fu(0x80, P[0], &P[1..3])), packet(1, &fu(0x40, P[0], &P[3..])));
    for (packets, units) in [
        (vec![packet(0, IDR)], 1),
        (vec![packet(0, IDR), first.clone()], 2),
        (vec![packet(0, IDR), first, last, packet(2, &fu(0x80, P[0], &P[1..3]))], 2),
        (vec![packet(0, IDR), gap(packet(0, &[]))], 0),
        // Markers have ended the pictures before.
        (vec![with_marker(0, IDR), with_marker(1, P), with_marker(2, P), packet(3, P)], 3),
        (vec![packet(0, SEI)], 0),
    ] {
        let (mut h264, mut out) = (H264::new(None), Output::default());
        for packet in &packets {
            out.units.extend(
                push_all(std::slice::from_ref(packet), |packet, gap, out| h264.push(packet, gap, out)).0,
            );
        }
        h264.end(false, &mut out);
        assert_eq!(out.units.len(), units, "{packets:?}");
    }
}

#[test]
fn the_fields_of_a_frame_stay_together() {
    // Written by x264 0.164 for interlaced pictures: `frame_num` has 4 bits, then follow `field_pic_flag` and
    // `bottom_field_flag`.
    const INTERLACED: &[u8] =
        b"\x67\x64\0\x15\xac\xd9\x41\x41\x0f\xcb\x80\x88\0\0\x03\0\x08\0\0\x03\x01\x90\xf8\xa1\x4c\xb0";
    let field = |frame_num: u8, bottom: u8| [0x41, 0x88, 0x84 | frame_num << 3 | bottom << 1, 0x80, 1];
    let frame = |frame_num: u8| [field(frame_num, 0), field(frame_num, 1)];
    let packets: Vec<Sent> = (0..3)
        .flat_map(|n| {
            [packet(0, INTERLACED), packet(0, PPS), packet(0, &frame(n)[0]), with_marker(0, &frame(n)[1])]
        })
        .collect();
    for packets in [packets.clone(), packets.into_iter().map(|sent| Sent { marker: true, ..sent }).collect()]
    {
        assert_eq!(units(&packets), [frame(0), frame(1), frame(2)]);
    }
}

#[test]
fn a_slice_of_a_header_alone_is_left_out() {
    let packets = [with_marker(0, IDR), packet(1, &P[..1]), with_marker(1, P), with_marker(2, P)];
    let (units, faults) = push(&packets);
    assert_eq!(units.iter().map(nals).collect::<Vec<_>>(), [[IDR], [P], [P]]);
    assert_eq!(faults, [(Fault::Empty, 1)]);
}

#[test]
fn a_right_marker_ends_a_picture_at_once() {
    let mut h264 = H264::new(None);
    let packets = [with_marker(0, IDR), with_marker(1, P), with_marker(2, P)];
    assert_eq!(push_all(&packets, |packet, gap, out| h264.push(packet, gap, out)).0.len(), 3);
    // Markers that were wrong once are not believed for some time.
    let packets = [with_marker(3, P), with_marker(3, P_2), with_marker(4, P), with_marker(5, P)];
    let (units, faults) = push_all(&packets, |packet, gap, out| h264.push(packet, gap, out));
    assert_eq!(
        units.iter().map(|unit| (unit.timestamp, unit.after_loss)).collect::<Vec<_>>(),
        [(3, false), (4, true)]
    );
    assert_eq!(faults, [(Fault::Incomplete, 1)]);
}

#[test]
fn lost_packets_cost_their_pictures() {
    let (m, p, g) = (with_marker, packet, gap);
    let (first, middle, last) = (fu(0x80, P[0], &P[1..3]), fu(0, P[0], &P[3..5]), fu(0x40, P[0], &P[5..]));
    let whole = || vec![m(0, IDR), m(1, P)];
    let incomplete = |n| vec![(Fault::Incomplete, n)];
    type Row = (&'static str, Vec<Sent>, Vec<(u32, bool)>, Vec<(Fault, u64)>);
    let table: Vec<Row> = vec![
        ("a middle", vec![p(2, &first), g(m(2, &last)), m(3, P)], vec![(3, true)], incomplete(1)),
        ("an end", vec![p(2, &first), g(m(3, P))], vec![(3, true)], incomplete(1)),
        ("a start", vec![g(p(2, &middle)), m(2, &last), m(3, P)], vec![(3, true)], incomplete(1)),
        (
            "end and start",
            vec![p(2, &first), g(p(3, &middle)), m(3, &last), m(4, P)],
            vec![(4, true)],
            incomplete(2),
        ),
        ("a whole picture", vec![g(m(3, P)), m(4, P)], vec![(3, true), (4, false)], vec![]),
        ("a second slice", vec![p(2, P), g(m(3, P))], vec![(3, true)], incomplete(1)),
        ("a first slice", vec![g(m(2, P_2)), m(3, P)], vec![(3, true)], incomplete(1)),
        ("sets", vec![g(p(2, SEI)), m(2, P), m(3, P)], vec![(2, true), (3, false)], vec![]),
        ("after sets", vec![p(2, SPS), g(m(2, P)), m(3, P)], vec![(2, true), (3, false)], vec![]),
        ("before noise", vec![g(m(9, &[0x7f])), m(3, P)], vec![(3, true)], vec![(Fault::BadNal, 1)]),
        (
            "a forbidden slice",
            vec![p(2, P), m(2, &[0xc1, 0x46]), m(3, P)],
            vec![(3, true)],
            vec![(Fault::BadNal, 1), (Fault::Incomplete, 1)],
        ),
        (
            "a cut slice",
            vec![p(2, P), m(2, &[24, 0, 9, 1, 0x46]), m(3, P)],
            vec![(3, true)],
            vec![(Fault::BadPayload, 1), (Fault::Incomplete, 1)],
        ),
        // No number is missing: the camera itself left it out.
        (
            "an end that was not sent",
            vec![p(2, &first), m(2, &last), p(3, &first), m(4, P)],
            vec![(2, false), (4, true)],
            vec![(Fault::Fragment, 1), (Fault::Incomplete, 1)],
        ),
        (
            "a start that was not sent",
            vec![p(2, &middle), m(2, &last), m(3, P)],
            vec![(3, true)],
            vec![(Fault::Fragment, 1), (Fault::Incomplete, 1)],
        ),
        (
            "an end sent twice",
            vec![p(2, &first), m(2, &fu(0x40, P[0], &P[3..])), m(2, &fu(0x40, P[0], &P[3..])), m(3, P)],
            vec![(2, false), (3, false)],
            vec![(Fault::Fragment, 1)],
        ),
    ];
    for (name, packets, expected, faults) in table {
        let (units, found) = push(&[whole(), packets].concat());
        let units: Vec<_> = units[2..].iter().map(|unit| (unit.timestamp, unit.after_loss)).collect();
        assert_eq!((units, found), (expected, faults), "{name}");
    }
}

#[test]
fn a_join_in_mid_picture_costs_that_picture() {
    let rest = [packet(0, &fu(0, IDR[0], &IDR[2..])), with_marker(0, &fu(0x40, IDR[0], &IDR[2..]))];
    for rest in [&rest[..], &[packet(0, IDR_2), with_marker(0, IDR_2)]] {
        let (units, faults) = push(&[rest, &[with_marker(1, P)]].concat());
        assert_eq!(
            units.iter().map(|unit| (nals(unit), unit.after_loss)).collect::<Vec<_>>(),
            [(vec![P.to_vec()], false)]
        );
        assert_eq!(faults, [(Fault::Incomplete, 1)]);
    }
}

#[test]
fn decoding_starts_at_idr_and_announced_intra_pictures() {
    let recovery = |count: u8| vec![6, 6, 1, if count == 0 { 0xc0 } else { 0x50 }, 0x80];
    let table: &[(&str, &[&[u8]], bool)] = &[
        ("IDR", &[IDR, IDR_2], true),
        ("P", &[P], false),
        ("I", &[I], false),
        ("SPS and I", &[SPS, PPS, I], true),
        ("SPS and P", &[SPS, PPS, P], false),
        ("SPS, I and P slices", &[SPS, PPS, I, P_2], false),
        ("recovery point and I", &[&recovery(0), I], true),
        ("recovery point and P", &[&recovery(0), P], false),
        ("gradual refresh", &[&recovery(1), P], false),
    ];
    for (name, nals, key) in table {
        let (units, _) = push(&[with_marker(0, IDR), with_marker(1, &stap(nals)), with_marker(2, P)]);
        assert_eq!(units.iter().map(|unit| unit.key).collect::<Vec<_>>(), [true, *key, false], "{name}");
    }
    // Where nothing else comes, a gradual refresh is where to start.
    let refresh = with_marker(1, &stap(&[&recovery(1), P]));
    assert!(push(&[with_marker(0, P), refresh]).0[1].key);
}

#[test]
fn parameter_sets_are_kept_by_their_ids() {
    let described = ParameterSets::new([SPS, PPS].map(bytes::Bytes::copy_from_slice).to_vec());
    let mut h264 = H264::new(Some(&described));
    let damaged = &SPS[..7];
    let packets = [
        with_marker(0, IDR),
        with_marker(1, &stap(&[SPS, PPS, IDR])),
        with_marker(2, &stap(&[PPS_1, P])),
        with_marker(3, &stap(&[OTHER_SPS, IDR])),
        with_marker(4, &stap(&[damaged, &[0x67], &[0x68, 0, 0, 8, 0x80], P])),
    ];
    let (units, faults) = push_all(&packets, |packet, gap, out| h264.push(packet, gap, out));
    let sets: Vec<_> = units.iter().map(|unit| unit.parameter_sets.as_ref().unwrap()).collect();
    assert_eq!(**sets[0], described);
    assert!(std::sync::Arc::ptr_eq(sets[0], sets[1]) && std::sync::Arc::ptr_eq(sets[3], sets[4]));
    assert_eq!(sets[2].all(), [SPS, PPS, PPS_1]);
    assert_eq!(sets[3].all(), [OTHER_SPS, PPS, PPS_1]);
    assert_eq!(faults, [(Fault::BadNal, 3)]);
    assert_eq!(push(&[with_marker(0, SPS), with_marker(0, IDR)]).0[0].parameter_sets, None);
    // The next picture's sets do not belong to this one, though only its first slice ends this one.
    let standing =
        [packet(0, SPS), packet(0, PPS), packet(0, IDR), packet(0, OTHER_SPS), packet(0, I), packet(0, P)];
    let sets: Vec<_> =
        push(&standing).0.iter().map(|unit| unit.parameter_sets.clone().unwrap().all()[0].clone()).collect();
    assert_eq!(sets, [SPS, OTHER_SPS, OTHER_SPS]);
}

#[test]
fn a_unit_that_is_too_long_is_discarded() {
    let body = vec![0xff; 60_000];
    let first = fu(0x80, P[0], &[&P[1..], &body].concat());
    let middle = packet(1, &fu(0, P[0], &body));
    let parts = vec![middle; MAX_UNIT_BYTES / body.len() + 10];
    let packets = [vec![with_marker(0, IDR), packet(1, &first)], parts, vec![with_marker(2, P)]].concat();
    let (units, faults) = push(&packets);
    assert_eq!(
        units.iter().map(|unit| (unit.timestamp, unit.after_loss)).collect::<Vec<_>>(),
        [(0, false), (2, true)]
    );
    assert_eq!(faults, [(Fault::TooLong, 1)]);
}

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
