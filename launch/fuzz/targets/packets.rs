//! Any packets of any format: no panic, every unit is bounded, and all units together are not much more than the packets.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use msight_media::{Codec, nal};
use msight_rtp::{Depacketizer, Format, MAX_UNIT_BYTES, Output, Packet, Track};

#[derive(Arbitrary, Debug)]
struct Input {
    format: u8,
    packets: Vec<Sent>,
}

#[derive(Arbitrary, Debug)]
struct Sent {
    after_gap: bool,
    marker: bool,
    timestamp: u8,
    payload: Vec<u8>,
}

/// What a unit may have beside what was in its packets, bytes: the header and tables of a JPEG picture.
const MOST_ADDED: usize = 2048;
/// How much longer than its packets a unit may be: each byte may be a NAL unit with a length of four.
const MOST_GROWTH: usize = 8;

fuzz_target!(|input: Input| {
    let format = format(input.format);
    let codec = format.codec();
    let mut depacketizer =
        Depacketizer::new(&Track { format, payload_type: 96, clock_rate: 90_000, control: None });
    let mut out = Output::default();
    for (sent, sequence) in input.packets.iter().zip(0..) {
        let packet = Packet {
            marker: sent.marker,
            payload_type: 96,
            sequence,
            timestamp: sent.timestamp.into(),
            ssrc: 1,
            extension: None,
            payload: &sent.payload,
        };
        depacketizer.push(&packet, sent.after_gap, &mut out);
    }
    let received: usize = input.packets.iter().map(|sent| sent.payload.len() + 1).sum();
    let sent: usize = out.units.iter().map(|unit| unit.data.len()).sum();
    let discarded: u64 = out.faults.iter().map(|(_, count)| count).sum();
    assert!(sent <= received * MOST_GROWTH + out.units.len() * MOST_ADDED, "{sent} bytes of {received}");
    assert!(out.units.len() <= 2 * received && discarded <= 4 * received as u64);
    for unit in &out.units {
        assert!(unit.data.len() <= MAX_UNIT_BYTES);
        if matches!(codec, Codec::H264 | Codec::H265) {
            let whole: usize = nal::units(&unit.data).map(|nal| nal.len() + 4).sum();
            assert!(whole == unit.data.len() && whole > 0, "lengths that exceed the unit");
        }
    }
});

fn format(choice: u8) -> Format {
    match choice % 14 {
        0 | 1 => Format::H264 { sets: None },
        2 | 3 => Format::H265 { sets: None, has_decoding_order: choice & 1 == 0 },
        4 => Format::Jpeg { size: None },
        5 => Format::Jpeg { size: Some((2560, 1440)) },
        6 => Format::Aac { config: None, header: [13, 3, 3] },
        7 => Format::Aac { config: None, header: [6, 2, 2] },
        8 => Format::Latm { config: None },
        9 => Format::Opus,
        10 => Format::Pcma,
        11 => Format::Pcmu,
        12 => Format::L16 { channels: 2 },
        _ => Format::Metadata,
    }
}
