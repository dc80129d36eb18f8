//! Where pictures begin and end, where decoding can start, and their parameter sets.

use super::*;

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
