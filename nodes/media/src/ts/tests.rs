use std::collections::BTreeMap;
use std::io::Cursor;

use bytes::Bytes;
use mpeg2ts::pes::{PesPacketReader, ReadPesPacket as _};
use mpeg2ts::ts::{ReadTsPacket as _, TsPacketReader, TsPayload};
use proptest::prelude::*;

use super::*;
use crate::ParameterSets;

const VIDEO: Track = Track { codec: Codec::H264, channels: None };
const AAC: Track = Track { codec: Codec::Aac, channels: None };
const OPUS: Track = Track { codec: Codec::Opus, channels: Some(1) };
const FRAME: i64 = 3_000;

fn sets(units: &[&'static [u8]]) -> ParameterSets {
    ParameterSets::new(units.iter().map(|unit| Bytes::from_static(unit)).collect())
}

fn length_prefixed(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), *unit].concat()).collect()
}

/// A key frame of H.264, or another picture, of this many bytes.
fn picture(key: bool, bytes: usize) -> Vec<u8> {
    let mut slice = vec![0xab; bytes.max(2)];
    slice[0] = if key { 0x65 } else { 0x41 };
    length_prefixed(&[&slice])
}

/// A packet without its payload: the PID, the counter, whether there is a payload, whether it starts a unit, whether decoding
/// can start there, and the clock in ticks of 90 kHz.
#[derive(Debug)]
struct Header {
    pid: u16,
    counter: u8,
    has_payload: bool,
    is_start: bool,
    random_access: bool,
    clock: Option<i64>,
}

/// Reads the headers byte by byte, as the standard has them.
fn headers(stream: &[u8]) -> Vec<Header> {
    assert_eq!(stream.len() % PACKET, 0);
    let read = |packet: &[u8]| {
        assert_eq!((packet[0], packet[1] & 0x80, packet[3] & 0xc0), (0x47, 0, 0));
        let field = packet[3] & 0x20 != 0;
        let has_payload = packet[3] & 0x10 != 0;
        assert!(field || has_payload);
        let length = if field { usize::from(packet[4]) } else { 0 };
        // A field without a payload behind it fills the packet.
        assert!(if has_payload { length <= 182 } else { length == 183 });
        let flags = if length > 0 { packet[5] } else { 0 };
        assert_eq!(flags & !0x50, 0);
        let base = || i64::from(u32::from_be_bytes(packet[6..10].try_into().unwrap())) << 1;
        let clock = (flags & 0x10 != 0).then(|| base() | i64::from(packet[10] >> 7));
        let used = if clock.is_some() { 7 } else { length.min(1) };
        assert!(packet[5..5 + length].iter().skip(used).all(|&byte| byte == 0xff));
        Header {
            pid: u16::from_be_bytes([packet[1] & 0x1f, packet[2]]),
            counter: packet[3] & 0x0f,
            has_payload,
            is_start: packet[1] & 0x40 != 0,
            random_access: flags & 0x40 != 0,
            clock,
        }
    };
    stream.chunks(PACKET).map(read).collect()
}

/// Units by their PID: presentation and decoding time, and payload.
fn units(stream: &[u8]) -> BTreeMap<u8, Vec<(u64, u64, Vec<u8>)>> {
    let mut reader = PesPacketReader::new(TsPacketReader::new(stream));
    let mut units = BTreeMap::<_, Vec<_>>::new();
    while let Some(packet) = reader.read_pes_packet().unwrap() {
        let pts = packet.header.pts.unwrap().as_u64();
        let dts = packet.header.dts.map_or(pts, |dts| dts.as_u64());
        units.entry(packet.header.stream_id.as_u8()).or_default().push((pts, dts, packet.data));
    }
    units
}

fn write(writer: &mut TsWriter, track: usize, data: &[u8], dts: i64, key: bool, out: &mut Vec<u8>) {
    let sets = match track {
        0 => sets(&[b"\x67\x64\x00\x1f", b"\x68\xee"]),
        _ => sets(&[&[0x15, 0x88]]),
    };
    let unit = Unit { data, parameter_sets: key.then_some(&sets), pts: dts, dts, key };
    let before = out.len();
    assert_eq!(writer.write(track, &unit, out).unwrap(), out.len() - before);
}

#[test]
fn a_key_frame_has_tables_and_parameter_sets_in_front() {
    let mut writer = TsWriter::new(&[VIDEO, AAC, OPUS]).unwrap();
    let mut out = Vec::new();
    write(&mut writer, 0, &picture(true, 400), 0, true, &mut out);
    write(&mut writer, 1, &[1, 2, 3], 0, true, &mut out);
    write(&mut writer, 2, &[4; 300], 0, true, &mut out);
    write(&mut writer, 0, &picture(false, 10), FRAME, false, &mut out);
    write(&mut writer, 0, &picture(true, 10), 2 * FRAME, true, &mut out);

    let pids: Vec<_> =
        headers(&out).iter().filter(|header| header.is_start).map(|header| header.pid).collect();
    assert_eq!(pids, [0, 0x1000, 0x100, 0x101, 0x102, 0x100, 0, 0x1000, 0x100]);
    let random_access: Vec<_> = headers(&out).iter().map(|header| header.random_access).collect();
    assert_eq!(random_access.iter().filter(|is| **is).count(), 2);

    let units = units(&out);
    let of_video: Vec<Vec<_>> = units[&0xe0]
        .iter()
        .map(|(_, _, data)| crate::nal::annex_b_units(data).map(|unit| unit[0]).collect())
        .collect();
    assert_eq!(of_video, [&[0x09, 0x67, 0x68, 0x65][..], &[0x09, 0x41], &[0x09, 0x67, 0x68, 0x65]]);
    assert_eq!(units[&0xc0][0].2, [0xff, 0xf1, 0x6c, 0x40, 0x01, 0x5f, 0xfc, 1, 2, 3]);
    let opus = &units[&0xbd][0].2;
    assert_eq!((&opus[..4], opus.len()), (&[0x7f, 0xe0, 0xff, 45][..], 304));

    let mut packets = TsPacketReader::new(&out[..]);
    let pmt =
        std::iter::from_fn(|| packets.read_ts_packet().unwrap()).find_map(|packet| match packet.payload {
            Some(TsPayload::Pmt(pmt)) => Some(pmt),
            _ => None,
        });
    let streams: Vec<_> = pmt.unwrap().es_info.iter().map(|info| info.stream_type as u8).collect();
    assert_eq!(streams, [0x1b, 0x0f, 0x06]);
}

#[test]
fn parameter_sets_are_repeated_at_key_frames_and_written_where_they_change() {
    let mut writer = TsWriter::new(&[Track { codec: Codec::H265, ..VIDEO }]).unwrap();
    let first = sets(&[b"\x40\x01", b"\x42\x01", b"\x44\x01"]);
    let second = sets(&[b"\x40\x01", b"\x42\x01\x02", b"\x44\x01"]);
    let own = length_prefixed(&[&[0x46, 0x01, 0x10], &[0x26, 0x01, 0xaa]]);
    let trail = length_prefixed(&[&[0x02, 0x01, 0xaa]]);
    let mut out = Vec::new();
    for (index, (data, parameter_sets, key)) in [
        (&own, Some(&first), true),
        (&trail, Some(&first), false),
        (&trail, Some(&second), false),
        (&own, None, true),
    ]
    .into_iter()
    .enumerate()
    {
        let dts = index as i64 * FRAME;
        writer.write(0, &Unit { data, parameter_sets, pts: dts, dts, key }, &mut out).unwrap();
    }
    let units: Vec<Vec<_>> = units(&out)[&0xe0]
        .iter()
        .map(|(_, _, data)| crate::nal::annex_b_units(data).map(<[u8]>::to_vec).collect())
        .collect();
    let of_key = |sps: &[u8]| {
        [&[0x46, 0x01, 0x10][..], b"\x40\x01", sps, b"\x44\x01", &[0x26, 0x01, 0xaa]]
            .map(<[u8]>::to_vec)
            .to_vec()
    };
    assert_eq!(units[0], of_key(b"\x42\x01"));
    assert_eq!(units[1], [&[0x46, 0x01, 0x50][..], &[0x02, 0x01, 0xaa]]);
    assert_eq!(units[2].len(), 5);
    assert_eq!(units[3], of_key(b"\x42\x01\x02"));
}

#[test]
fn the_clock_runs_between_pictures_that_are_far_apart() {
    for (gap, expected) in [(9_000, 2), (9_001, 3), (90_000, 11), (900_000, 101), (1_000_000, 2)] {
        let mut writer = TsWriter::new(&[VIDEO]).unwrap();
        let mut out = Vec::new();
        write(&mut writer, 0, &picture(true, 10), 0, true, &mut out);
        write(&mut writer, 0, &picture(false, 10), gap, false, &mut out);
        let clocks: Vec<_> = headers(&out).iter().filter_map(|header| header.clock).collect();
        assert_eq!(clocks.len(), expected, "{gap}");
        assert_eq!((clocks[0], clocks[expected - 1]), (837_000, 837_000 + gap));
    }
}

#[test]
fn what_a_stream_cannot_carry_is_an_error() {
    for codec in [Codec::Jpeg, Codec::Pcma, Codec::Pcmu, Codec::L16, Codec::Metadata] {
        assert!(!can_carry(&Track { codec, ..VIDEO }, None));
        assert!(matches!(TsWriter::new(&[Track { codec, ..VIDEO }]), Err(Error::Codec(one)) if one == codec));
    }
    assert!(matches!(TsWriter::new(&[]), Err(Error::Tracks(0))));
    assert!(matches!(TsWriter::new(&[VIDEO; 17]), Err(Error::Tracks(17))));
    let surround = Track { channels: Some(6), ..OPUS };
    assert!(can_carry(&VIDEO, None) && can_carry(&OPUS, None) && !can_carry(&surround, None));
    assert!(can_carry(&AAC, Some(&sets(&[&[0x15, 0x88]]))) && !can_carry(&AAC, None));
    // Channels that the frames state.
    assert!(!can_carry(&AAC, Some(&sets(&[&[0x15, 0x80]]))));
    assert!(matches!(TsWriter::new(&[surround]), Err(Error::Channels { channels: 6, .. })));

    let mut writer = TsWriter::new(&[VIDEO, AAC, OPUS]).unwrap();
    let mut out = Vec::new();
    let mut error = |track, data: &[u8]| {
        let unit = Unit { data, parameter_sets: None, pts: 0, dts: 0, key: true };
        let error = writer.write(track, &unit, &mut out).unwrap_err();
        assert!(out.is_empty());
        error
    };
    assert!(matches!(error(0, &[0, 0, 0, 9, 0x65]), Error::Malformed(_)));
    assert!(matches!(error(1, &[1]), Error::AudioConfig));
    assert!(matches!(error(2, &[0; 65_500]), Error::Size { bytes: 65_500, .. }));
    assert!(matches!(error(3, &[1]), Error::NoTrack(3)));
}

#[test]
fn what_is_no_stream_is_not_whole() {
    for bytes in [&[][..], &[0x47; 187], &[0; 1000], &[0xff; 1000]] {
        assert_eq!(whole_length(&mut Cursor::new(bytes)).unwrap(), 0);
    }
}

#[test]
fn the_end_of_long_video_is_recognised() {
    for bytes in 70_000..70_000 + PACKET {
        let mut writer = TsWriter::new(&[VIDEO]).unwrap();
        let mut out = Vec::new();
        write(&mut writer, 0, &picture(true, bytes), 0, true, &mut out);
        assert_eq!(whole_length(&mut Cursor::new(&out)).unwrap(), out.len() as u64);
        out.truncate(out.len() - PACKET);
        assert_eq!(whole_length(&mut Cursor::new(&out)).unwrap(), 2 * PACKET as u64);
    }
}

#[derive(Clone, Debug)]
struct Step {
    is_audio: bool,
    key: bool,
    bytes: usize,
    ticks: i64,
    delay: i64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = prop_oneof![4 => 2..400usize, 1 => 2..8_000usize, 1 => 65_400..66_000usize, 1 => 400_000..401_000usize];
    let step = (any::<bool>(), any::<bool>(), bytes, 0..20_000i64, 0..20_000i64);
    let step =
        step.prop_map(|(is_audio, key, bytes, ticks, delay)| Step { is_audio, key, bytes, ticks, delay });
    prop::collection::vec(step, 1..40)
}

proptest! {
    /// Whatever the sizes and times, a reader gets back what was written, and the headers are as the standard has them.
    #[test]
    fn what_is_written_is_read(
        steps in steps(), start in prop_oneof![Just(0), Just((1i64 << 33) - 1_000_000), Just(-1_800_000)],
        cut in 0.0..=1.0,
    ) {
        let mut writer = TsWriter::new(&[VIDEO, AAC]).unwrap();
        let (mut out, mut expected, mut ends) = (Vec::new(), BTreeMap::<u8, Vec<_>>::new(), vec![]);
        let sets = [sets(&[b"\x67\x64\x00\x1f", b"\x68\xee"]), sets(&[&[0x15, 0x88]])];
        let mut dts = start;
        for step in &steps {
            dts += step.ticks;
            let track = usize::from(step.is_audio);
            let (data, pts) = match step.is_audio {
                true => (vec![7; step.bytes.min(8_000)], dts),
                false => (picture(step.key, step.bytes), dts + step.delay),
            };
            let unit = Unit { data: &data, parameter_sets: Some(&sets[track]), pts, dts, key: step.key };
            writer.write(track, &unit, &mut out).unwrap();
            ends.push(out.len());
            let time = |time: i64| (time + TIME_OFFSET).rem_euclid(1 << 33) as u64;
            expected.entry([0xe0, 0xc0][track]).or_default().push((time(pts), time(dts), data));
        }

        for (id, units) in units(&out) {
            let expected = expected.remove(&id).unwrap();
            prop_assert_eq!(units.len(), expected.len());
            for ((pts, dts, payload), (expected_pts, expected_dts, data)) in units.into_iter().zip(expected) {
                prop_assert_eq!((pts, dts), (expected_pts, expected_dts));
                match id {
                    0xe0 => {
                        let slice = crate::nal::annex_b_units(&payload).last().unwrap();
                        prop_assert_eq!(slice, &data[4..]);
                    }
                    _ => prop_assert_eq!(&payload[7..], data),
                }
            }
        }
        prop_assert!(expected.is_empty());

        // A stream that is cut anywhere ends with a whole unit, and with at most tables and clock references behind it.
        let cut = (out.len() as f64 * cut) as usize;
        let whole = whole_length(&mut Cursor::new(&out[..cut])).unwrap() as usize;
        let end = ends.iter().rfind(|end| **end <= cut).copied().unwrap_or(0);
        prop_assert!(end <= whole && whole <= cut, "{end} {whole} {cut}");
        prop_assert!(!headers(&out[end..whole]).iter().any(|header| header.has_payload && header.pid < 0x1000 && header.pid > 0));

        let (mut counters, mut last_clock) = (BTreeMap::new(), None);
        for header in headers(&out) {
            let last = counters.insert(header.pid, header.counter);
            let expected = last.map_or(0, |last| last + u8::from(header.has_payload)) & 15;
            prop_assert!(header.counter == expected || (last.is_none() && !header.has_payload));
            if let Some(clock) = header.clock {
                let since = last_clock.map_or(1, |last: i64| (clock - last).rem_euclid(1 << 33));
                prop_assert!((1..=9_000).contains(&since), "{since}");
                last_clock = Some(clock);
            }
        }
    }
}
