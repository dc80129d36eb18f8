use std::process::Command;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::testing::{Received, Sent, gap, packet, receive, seen, with_marker};

/// AAC-LC, 48 kHz, two channels.
const CONFIG: [u8; 2] = [0x11, 0x90];

fn aac(header: [u8; 3]) -> Aac {
    Aac::new(Some(audio_config::sets(CONFIG.to_vec())), header, 48_000)
}

fn come(mut aac: Aac, packets: &[Sent]) -> Received {
    seen(receive(packets, |packet, after_gap, out| aac.push(packet, after_gap, out)))
}

/// A payload with headers of 16 bits for these lengths.
fn payload(lengths: &[usize], data: &[u8]) -> Vec<u8> {
    let mut payload = (lengths.len() as u16 * 16).to_be_bytes().to_vec();
    lengths.iter().for_each(|length| payload.extend((*length as u16 * 8).to_be_bytes()));
    [&payload, data].concat()
}

fn with_adts(frame: &[u8], checksum: bool) -> Vec<u8> {
    let header = if checksum { 9 } else { 7 };
    let length = frame.len() + header;
    let mut bytes = vec![
        0xff,
        if checksum { 0xf0 } else { 0xf1 },
        0x4c,
        0x80 | (length >> 11) as u8,
        (length >> 3) as u8,
    ];
    bytes.extend([(length << 5) as u8 | 0x1f, 0xfc]);
    bytes.resize(header, 0);
    [&bytes, frame].concat()
}

#[test]
fn deviations_cost_at_most_their_frame() {
    let adts = |checksum| with_adts(&[1, 2], checksum);
    let part = |data: &[u8]| payload(&[6], data);
    let whole = |at| (at, vec![1, 2], false);
    let next = with_marker(9000, &payload(&[2], &[1, 2]));
    let after = |loss| (9000, vec![1, 2], loss);
    let rows: Vec<(&str, Vec<Sent>, Received)> = vec![
        ("one frame", vec![with_marker(0, &payload(&[2], &[1, 2]))], (vec![whole(0)], vec![])),
        ("no marker", vec![packet(0, &payload(&[2], &[1, 2]))], (vec![whole(0)], vec![])),
        (
            "two frames",
            vec![with_marker(0, &payload(&[2, 2], &[1, 2, 1, 2]))],
            (vec![whole(0), whole(1024)], vec![]),
        ),
        ("stray bytes behind", vec![with_marker(0, &payload(&[2], &[1, 2, 9, 9]))], (vec![whole(0)], vec![])),
        (
            "an empty frame",
            vec![with_marker(0, &payload(&[0, 2], &[1, 2]))],
            (vec![whole(1024)], vec![(Fault::Empty, 1)]),
        ),
        (
            "an empty packet",
            vec![with_marker(0, &[]), with_marker(5, &payload(&[2], &[1, 2]))],
            (vec![whole(5)], vec![(Fault::Empty, 1)]),
        ),
        ("no headers", vec![with_marker(0, &[0, 0, 1, 2])], (vec![whole(0)], vec![])),
        ("a length in bytes", vec![with_marker(0, &[0, 2, 0, 16, 1, 2])], (vec![whole(0)], vec![])),
        ("too long, with marker", vec![with_marker(0, &payload(&[3], &[1, 2]))], (vec![whole(0)], vec![])),
        (
            "the second one too long",
            vec![with_marker(0, &payload(&[2, 3], &[1, 2, 1, 2])), next.clone()],
            (vec![whole(0), after(true)], vec![(Fault::BadPayload, 1)]),
        ),
        (
            "headers longer than the packet",
            vec![with_marker(0, &[1, 0, 0, 16, 1]), next.clone()],
            (vec![after(true)], vec![(Fault::BadPayload, 1)]),
        ),
        (
            "one byte",
            vec![with_marker(0, &[0]), next.clone()],
            (vec![after(true)], vec![(Fault::BadPayload, 1)]),
        ),
        ("ADTS in a frame", vec![with_marker(0, &payload(&[9], &adts(false)))], (vec![whole(0)], vec![])),
        ("ADTS with checksum", vec![with_marker(0, &payload(&[11], &adts(true)))], (vec![whole(0)], vec![])),
        (
            "ADTS twice",
            vec![with_marker(0, &payload(&[18], &adts(false).repeat(2)))],
            (vec![whole(0), whole(1024)], vec![]),
        ),
        (
            "ADTS alone",
            vec![with_marker(0, &[adts(false), adts(true)].concat())],
            (vec![whole(0), whole(1024)], vec![]),
        ),
        (
            "cut ADTS",
            vec![with_marker(0, &payload(&[9], &[&adts(false)[..7], &[1]].concat()))],
            (vec![(0, vec![1], false)], vec![]),
        ),
        (
            "fragments",
            vec![
                packet(0, &part(&[1, 2])),
                packet(0, &part(&[3, 4])),
                with_marker(0, &part(&[5, 6])),
                next.clone(),
            ],
            (vec![(0, vec![1, 2, 3, 4, 5, 6], false), after(false)], vec![]),
        ),
        (
            "fragments, fewer than stated",
            vec![packet(0, &part(&[1, 2])), with_marker(0, &part(&[3, 4])), next.clone()],
            (vec![(0, vec![1, 2, 3, 4], false), after(false)], vec![]),
        ),
        (
            "no last fragment",
            vec![packet(0, &part(&[1, 2])), packet(0, &part(&[3, 4])), next.clone()],
            (vec![after(true)], vec![(Fault::Incomplete, 1)]),
        ),
        (
            "a missing fragment",
            vec![packet(0, &part(&[1, 2])), gap(with_marker(0, &part(&[5, 6]))), next.clone()],
            (vec![after(true)], vec![(Fault::Incomplete, 1), (Fault::Fragment, 1)]),
        ),
        (
            "a missing fragment, and stamps that stand still",
            vec![
                packet(0, &part(&[1, 2])),
                gap(with_marker(0, &part(&[5, 6]))),
                with_marker(0, &payload(&[2], &[1, 2])),
            ],
            (vec![(0, vec![1, 2], true)], vec![(Fault::Incomplete, 1), (Fault::Fragment, 1)]),
        ),
        (
            "a missing first fragment",
            vec![gap(packet(0, &part(&[3, 4]))), with_marker(0, &part(&[5, 6])), next.clone()],
            (vec![after(true)], vec![(Fault::Fragment, 1)]),
        ),
        ("a missing packet", vec![gap(next)], (vec![after(true)], vec![])),
    ];
    for (name, packets, expected) in rows {
        assert_eq!(come(aac([13, 3, 3]), &packets), expected, "{name}");
    }
}

#[test]
fn headers_have_the_lengths_of_the_description() {
    // AAC-lbr: 6 bits of length and 2 of index.
    assert_eq!(
        come(aac([6, 2, 2]), &[with_marker(0, &[0, 16, 4, 8, 1, 3, 4])]).0,
        [(0, vec![1], false), (1024, vec![3, 4], false)]
    );
    // 13 bits and no index, whether described or not.
    let lengths = [0, 26, 0b0000_0000, 0b0000_1000, 0b0000_0000, 0b1000_0000, 1, 3, 4];
    for header in [[13, 0, 0], [13, 3, 3]] {
        let units = come(aac(header), &[with_marker(0, &lengths)]).0;
        assert_eq!(units, [(0, vec![1], false), (1024, vec![3, 4], false)], "{header:?}");
    }
    assert_eq!(come(aac([0, 0, 0]), &[with_marker(0, &[1, 2, 3])]).0, [(0, vec![1, 2, 3], false)]);
}

#[test]
fn frames_have_the_duration_of_their_configuration() {
    let second = |config: &[u8], clock_rate| {
        let aac = Aac::new(Some(audio_config::sets(config.to_vec())), [13, 3, 3], clock_rate);
        come(aac, &[with_marker(0xffff_ffff, &payload(&[1, 1], &[1, 2]))]).0[1].0
    };
    assert_eq!(second(&CONFIG, 48_000), 1023);
    // 960 samples; a clock of 90 kHz; spectral band replication, which doubles the rate.
    assert_eq!(second(&[0x11, 0x94], 48_000), 959);
    assert_eq!(second(&CONFIG, 90_000), 1919);
    assert_eq!(second(&[0x2b, 0x11, 0x88, 0x00], 48_000), 2047);
}

#[test]
fn the_header_of_adts_is_the_configuration_without_another() {
    let mut aac = Aac::new(None, [13, 3, 3], 48_000);
    let packets = [with_marker(0, &payload(&[9], &with_adts(&[1, 2], false)))];
    let out = receive(&packets, |packet, after_gap, out| aac.push(packet, after_gap, out));
    assert_eq!(out.units[0].parameter_sets.as_ref().unwrap().all(), [Bytes::copy_from_slice(&CONFIG)]);
}

#[test]
fn frames_are_bounded() {
    let mut packets = vec![packet(0, &payload(&[8191], &[1; 8190])); 2];
    packets.extend(vec![packet(1, &[&[0, 32, 0xff, 0xff, 0xff, 0xff][..], &[1; 60_000]].concat()); 50]);
    let (units, faults) = come(aac([32, 0, 0]), &packets[2..]);
    assert_eq!((units.len(), faults), (0, vec![(Fault::TooLong, 1)]));
}

#[test]
fn the_number_of_frames_in_a_packet_is_limited() {
    let next = with_marker(9000, &payload(&[1], &[2]));
    for (count, bad) in [(MAX_FRAMES, 0), (MAX_FRAMES + 1, 1), (2000, 1)] {
        let described = payload(&vec![1; count], &vec![1; count]);
        let (units, faults) = come(aac([13, 3, 3]), &[with_marker(0, &described), next.clone()]);
        let expected = if bad == 0 { count + 1 } else { 1 };
        assert_eq!((units.len(), units[units.len() - 1].2), (expected, bad == 1), "{count}");
        assert_eq!(faults.iter().map(|(_, count)| count).sum::<u64>(), bad, "{count}");
        // With headers of ADTS, the first ones are used.
        let with_headers = with_adts(&[1], false).repeat(count);
        let (units, faults) = come(aac([13, 3, 3]), &[with_marker(0, &with_headers), next.clone()]);
        assert_eq!((units.len(), units[units.len() - 1].2), (MAX_FRAMES + 1, bad == 1), "{count}");
        assert_eq!(faults.iter().map(|(_, count)| count).sum::<u64>(), bad, "{count}");
    }
    // Lengths of one bit each.
    let bits = [&[0x1f, 0x40][..], &[0xff; 9000]].concat();
    assert_eq!(come(aac([1, 0, 0]), &[with_marker(0, &bits)]), (vec![], vec![(Fault::BadPayload, 1)]));
}

/// The frames of ffmpeg in ADTS.
fn footage() -> Vec<Vec<u8>> {
    let output = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-nostdin",
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440:sample_rate=48000:duration=1",
        ])
        .args(["-ac", "2", "-c:a", "aac", "-b:a", "128k", "-f", "adts", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut rest = &output.stdout[..];
    let mut frames = Vec::new();
    while let [_, _, _, l1, l2, l3, ..] = *rest {
        let (frame, behind) =
            rest.split_at(usize::from(l1 & 3) << 11 | usize::from(l2) << 3 | usize::from(l3) >> 5);
        frames.push(frame[7..].to_vec());
        rest = behind;
    }
    assert!(frames.len() > 40);
    frames
}

#[test]
fn frames_of_an_encoder_come_as_they_were_sent() {
    let frames = footage();
    let mut packets = Vec::new();
    for (index, group) in frames.chunks(3).enumerate() {
        let timestamp = index as u32 * 3 * 1024;
        if index % 2 == 0 {
            let lengths: Vec<usize> = group.iter().map(Vec::len).collect();
            packets.push(with_marker(timestamp, &payload(&lengths, &group.concat())));
            continue;
        }
        for (timestamp, frame) in (timestamp..).step_by(1024).zip(group) {
            let mut parts: Vec<Sent> =
                frame.chunks(100).map(|part| packet(timestamp, &payload(&[frame.len()], part))).collect();
            parts.last_mut().unwrap().marker = true;
            packets.extend(parts);
        }
    }
    let expected: Vec<_> =
        (0..).step_by(1024).zip(frames).map(|(timestamp, frame)| (timestamp, frame, false)).collect();
    assert_eq!(come(aac([13, 3, 3]), &packets), (expected, vec![]));
}

proptest! {
    #[test]
    fn arbitrary_packets_are_accepted(
        packets in prop::collection::vec(any::<Sent>(), 0..40),
        header in prop::array::uniform3(0..=32_u8),
        config in prop::option::of(prop::collection::vec(any::<u8>(), 0..6)),
        clock_rate in 1_u32..,
    ) {
        come(Aac::new(config.map(audio_config::sets), header, clock_rate), &packets);
        let end = [with_marker(1_000, &payload(&[2], &[1, 2])), with_marker(2_000, &payload(&[2], &[3, 4]))];
        let units = come(aac([13, 3, 3]), &[&packets[..], &end].concat()).0;
        prop_assert_eq!(&units[units.len() - 1].1, &[3, 4]);
    }

    #[test]
    fn frames_come_whole_out_of_noise(noise in prop::collection::vec((any::<prop::sample::Index>(), any::<Sent>()), 0..20)) {
        let mut packets: Vec<Sent> = (10..20).map(|timestamp| with_marker(timestamp, &payload(&[2, 2], &[1, 2, 3, 4]))).collect();
        for (at, mut sent) in noise {
            sent.timestamp += 100;
            packets.insert(at.index(packets.len() + 1), sent);
        }
        let units = come(aac([13, 3, 3]), &packets).0;
        prop_assert_eq!(units.iter().filter(|(timestamp, frame, _)| *timestamp < 20 && *frame == [1, 2]).count(), 10);
    }
}
