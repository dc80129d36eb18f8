//! What cameras put into packets, and between them (RFC 3550, RFC 6184, RFC 2326 section 10.12).

use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;

use crate::camera::{Camera, Pieces, interleaved};
use crate::film;
use crate::row::{Row, loses, whole};

/// Types of NAL units (ITU-T H.264, table 7-1).
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
/// Of a payload (RFC 6184, table 1).
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_B: u8 = 29;

/// Bytes of a packet before its payload.
const HEADER: usize = 12;

pub(crate) fn rows() -> Vec<Row> {
    [nal_units(), parameter_sets(), payloads(), fragments(), headers(), sequence(), channels()].concat()
}

fn nal_units() -> Vec<Row> {
    vec![
        whole("NAL: type 0 before each picture", |c| before_slices(c, &[0x60, 1, 2, 3])),
        whole("NAL: type 30 before each picture", |c| before_slices(c, &[0x7e, 1, 2, 3])),
        whole("NAL: type 31 before each picture", |c| before_slices(c, &[0x7f, 1, 2, 3])),
        whole("NAL: type 14 before each picture", |c| before_slices(c, &[0x6e, 0xc0, 0, 7])),
        whole("NAL: type 20 behind each picture", |c| behind(c, &[0x74, 0xc0, 0, 7, 1, 2, 3, 0x80])),
        whole("NAL: type 15 behind the parameter sets", |c| before_slices(c, &[0x6f, 66, 0xc0, 13, 0xff])),
        whole("NAL: type 21 behind each picture", |c| behind(c, &[0x75, 0x80, 1, 2, 3, 0x80])),
        whole("NAL: forbidden bit on SEI before each picture", |c| before_slices(c, &[0x86, 1, 2, 3])),
        // Nothing tells whether the picture has its other slices.
        loses("NAL: forbidden bit on a slice of frame 15", 15..20, |c| {
            c.nals(|frame, mut nals| {
                (frame == 15).then(|| nals.insert(0, vec![0xe1, 1, 2, 3]));
                nals
            });
        }),
        whole("NAL: of one byte before each picture", |c| before_slices(c, &[0x61])),
        whole("NAL: delimiters", |c| first(c, &[9, 0xf0])),
        whole("NAL: delimiters without content", |c| first(c, &[9])),
        whole("NAL: SEI before each picture", |c| before_slices(c, &[6, 5, 4, 1, 2, 3, 4, 0x80])),
        whole("NAL: SEI that is cut", |c| before_slices(c, &[6, 5, 200, 1])),
        whole("NAL: SEI behind each picture", |c| behind(c, &[6, 5, 4, 1, 2, 3, 4, 0x80])),
        whole("NAL: filler behind each picture", |c| behind(c, &[&[12][..], &[0xff; 500], &[0x80]].concat())),
        whole("NAL: end of sequence before key frames", |c| {
            c.nals(|frame, mut nals| {
                (frame % film::KEY_INTERVAL == 9).then(|| nals.push(vec![10]));
                nals
            });
        }),
        whole("NAL: end of stream behind each picture", |c| behind(c, &[11])),
        whole("NAL: zeros behind each", |c| {
            c.nals(|_, nals| nals.into_iter().map(|nal| [&nal[..], &[0, 0]].concat()).collect());
        }),
        whole("NAL: start codes before each", |c| {
            c.nals(|_, nals| nals.into_iter().map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect());
        }),
        whole("NAL: a frame in one, with start codes of four bytes", |c| {
            c.nals(|_, nals| vec![nals.join(&[0, 0, 0, 1][..])]);
        }),
        whole("NAL: a frame in one, with start codes of three bytes", |c| {
            c.nals(|_, nals| vec![nals.join(&[0, 0, 1][..])]);
        }),
        whole("slices: four a frame", |c| c.shows(&film::SLICES)),
        whole("slices: four a frame, a marker on each", |c| {
            c.shows(&film::SLICES);
            mark(c, |_, packet, _| ends_nal(packet));
        }),
        whole("slices: four a frame, no markers", |c| {
            c.shows(&film::SLICES);
            mark(c, |_, _, _| false);
        }),
    ]
}

fn parameter_sets() -> Vec<Row> {
    vec![
        whole("sets: only in the description", |c| c.nals(|_, nals| without(nals, &[SPS, PPS]))),
        whole("sets: only in the first key frame", |c| {
            c.sdp_text(|text| text.replace("sprop-parameter-sets", "x"));
            c.nals(|frame, nals| if frame == 0 { nals } else { without(nals, &[SPS, PPS]) });
        }),
        whole("sets: before each frame", |c| {
            first(c, film::PLAIN.nal(PPS));
            first(c, film::PLAIN.nal(SPS));
        }),
        whole("sets: behind each frame", |c| {
            behind(c, film::PLAIN.nal(SPS));
            behind(c, film::PLAIN.nal(PPS));
        }),
        whole("sets: PPS before SPS", |c| {
            c.nals(|_, mut nals| {
                let sps = nals.iter().position(|nal| kind(nal) == SPS);
                sps.into_iter().for_each(|at| nals.swap(at, at + 1));
                nals
            });
        }),
        whole("sets: SPS only in the description", |c| c.nals(|_, nals| without(nals, &[SPS]))),
        whole("sets: PPS only in the description", |c| c.nals(|_, nals| without(nals, &[PPS]))),
        whole("sets: with a marker", |c| mark(c, |_, packet, last| last || kind(&packet[HEADER..]) == PPS)),
        whole("sets: with a timestamp of their own", |c| {
            c.packets(|_, mut packets| {
                for packet in
                    packets.iter_mut().filter(|packet| [SPS, PPS].contains(&kind(&packet[HEADER..])))
                {
                    shift_stamp(packet, 1800);
                }
                packets
            });
        }),
        whole("sets: with a timestamp of their own and a marker", |c| {
            mark(c, |_, packet, last| last || [SPS, PPS].contains(&kind(&packet[HEADER..])));
            c.packets(|_, mut packets| {
                for packet in
                    packets.iter_mut().filter(|packet| [SPS, PPS].contains(&kind(&packet[HEADER..])))
                {
                    shift_stamp(packet, 1800);
                }
                packets
            });
        }),
        whole("sets: unused ones with another id behind those in use", |c| {
            before_slices(c, film::OTHER_ID.nal(SPS));
            before_slices(c, film::OTHER_ID.nal(PPS));
        }),
        whole("sets: unused ones with another id before those in use", |c| {
            first(c, film::OTHER_ID.nal(PPS));
            first(c, film::OTHER_ID.nal(SPS));
        }),
        whole("sets: with the id 5", |c| c.shows(&film::OTHER_ID)),
        whole("sets: with the id 5, only in the description", |c| {
            c.shows(&film::OTHER_ID);
            c.nals(|_, nals| without(nals, &[SPS, PPS]));
        }),
        whole("sets: other id from the middle on", |c| c.shows(&film::CHANGES_ID)),
        whole("sets: other id from the middle on, all in the description", |c| {
            c.shows(&film::CHANGES_ID);
            c.sdp_text(|text| {
                let other = film::OTHER_ID.description();
                let (_, sets) = other.split_once("sprop-parameter-sets=").expect("parameter sets");
                let (sets, _) = sets.split_once("\r\n").expect("the end of the line");
                text.replace("sprop-parameter-sets=", &format!("sprop-parameter-sets={sets},"))
            });
            c.nals(|_, nals| without(nals, &[SPS, PPS]));
        }),
        whole("sets: other size from the middle on", |c| c.shows(&film::GROWS)),
        whole("sets: of another film in the description", |c| {
            c.sdp_text(|_| film::OTHER_ID.description());
        }),
        whole("sets: of another size in the description", |c| {
            c.sdp_text(|_| film::LARGE.description());
        }),
        whole("sets: an SPS that is cut before the right one", |c| {
            let cut = film::PLAIN.nal(SPS)[..5].to_vec();
            first(c, &cut);
        }),
    ]
}

fn payloads() -> Vec<Row> {
    vec![
        whole("payload: empty before each picture", |c| payload_before(c, Vec::new())),
        whole("payload: empty at each frame's end", |c| {
            c.payloads(|_, mut payloads| {
                payloads.push(Vec::new());
                payloads
            });
        }),
        whole("payload: STAP-A of the parameter sets", |c| {
            c.payloads(|_, payloads| aggregate(payloads, &[]));
        }),
        whole("payload: STAP-A with bytes behind", |c| c.payloads(|_, payloads| aggregate(payloads, &[0]))),
        whole("payload: STAP-A with a length beyond its end", |c| {
            c.payloads(|_, payloads| aggregate(payloads, &[0, 50, 6, 5]));
        }),
        whole("payload: STAP-A with a unit of no bytes", |c| {
            c.payloads(|_, payloads| aggregate(payloads, &[0, 0, 0, 3, 9, 0xf0, 0]));
        }),
        whole("payload: STAP-A of nothing", |c| payload_before(c, vec![STAP_A])),
        whole("payload: STAP-A in a STAP-A", |c| {
            c.payloads(|_, payloads| aggregate(payloads, &[0, 4, STAP_A, 0, 1, 9]));
        }),
        whole("payload: STAP-B of the parameter sets", |c| {
            c.payloads(|_, payloads| aggregate_as(payloads, 25, &[0, 0], &[]));
        }),
        whole("payload: MTAP16 of the parameter sets", |c| {
            c.payloads(|_, payloads| aggregate_as(payloads, 26, &[0, 0], &[0, 0, 0]));
        }),
        whole("payload: MTAP24 of the parameter sets", |c| {
            c.payloads(|_, payloads| aggregate_as(payloads, 27, &[0, 0], &[0, 0, 0, 0]));
        }),
    ]
}

fn fragments() -> Vec<Row> {
    vec![
        whole("FU: the end bit is never set", |c| each_fragment(c, |fu| fu[1] &= !0x40)),
        whole("FU: the reserved bit is set", |c| each_fragment(c, |fu| fu[1] |= 0x20)),
        whole("FU: of one fragment", |c| {
            c.payloads(|_, payloads| {
                let wrap = |nal: Vec<u8>| match kind(&nal) {
                    FU_A => nal,
                    _ => [&[nal[0] & 0x60 | FU_A, nal[0] & 0x1f | 0xc0], &nal[1..]].concat(),
                };
                payloads.into_iter().map(wrap).collect()
            });
        }),
        whole("FU: with an empty fragment", |c| {
            c.payloads(|_, payloads| {
                let with_empty = |payload: Vec<u8>| match kind(&payload) {
                    FU_A if payload[1] & 0x80 != 0 => {
                        vec![payload.clone(), vec![payload[0], payload[1] & 0x1f]]
                    }
                    _ => vec![payload],
                };
                payloads.into_iter().flat_map(with_empty).collect()
            });
        }),
        whole("FU: of the header only before each picture", |c| payload_before(c, vec![FU_A])),
        whole("FU: FU-B first", |c| {
            c.payloads(|_, payloads| {
                let with_number = |payload: Vec<u8>| match kind(&payload) {
                    FU_A if payload[1] & 0x80 != 0 => {
                        [&[payload[0] & 0x60 | FU_B, payload[1], 0, 0], &payload[2..]].concat()
                    }
                    _ => payload,
                };
                payloads.into_iter().map(with_number).collect()
            });
        }),
        loses("FU: without its first fragment in frame 15", 15..20, |c| {
            edit_frame(c, 15, |payloads| drop(payloads.remove(0)));
        }),
        loses("FU: without its last fragment in frame 15", 15..20, |c| {
            edit_frame(c, 15, |payloads| drop(payloads.pop()));
        }),
        loses("FU: without its first fragment in a key frame", 20..30, |c| {
            edit_frame(c, 20, |payloads| {
                let at = payloads.iter().position(|payload| kind(payload) == FU_A).expect("it is long");
                payloads.remove(at);
            });
        }),
        whole("FU: fragments of SEI without a first one", |c| payload_before(c, vec![FU_A, 6, 1, 2, 3])),
    ]
}

/// Headers of packets.
fn headers() -> Vec<Row> {
    vec![
        whole("marker: never", |c| mark(c, |_, _, _| false)),
        whole("marker: on every packet", |c| mark(c, |_, _, _| true)),
        whole("marker: on each NAL unit", |c| mark(c, |_, packet, _| ends_nal(packet))),
        whole("marker: on the first packet of a frame", |c| mark(c, |index, _, _| index == 0)),
        whole("packet: with padding", |c| {
            each_packet(c, |packet| {
                packet[0] |= 0x20;
                packet.extend([0, 0, 0, 4]);
            });
        }),
        whole("packet: padding longer than the packet", |c| {
            each_packet(c, |packet| {
                let last = packet.last().copied().unwrap_or_default();
                if usize::from(last) > packet.len() - HEADER {
                    packet[0] |= 0x20;
                }
            });
        }),
        whole("packet: with two contributing sources", |c| {
            each_packet(c, |packet| {
                packet[0] |= 2;
                packet.splice(HEADER..HEADER, [1, 2, 3, 4, 5, 6, 7, 8]);
            });
        }),
        whole("packet: with an extension of one byte headers", |c| {
            extend(c, &[0xbe, 0xde, 0, 1, 0x10, 7, 0, 0]);
        }),
        whole("packet: with ONVIF's replay extension", |c| {
            extend(c, &[0xab, 0xac, 0, 3, 0xea, 1, 2, 3, 4, 5, 6, 7, 0xe0, 9, 0, 0]);
        }),
        whole("packet: with an empty extension", |c| extend(c, &[0xab, 0xac, 0, 0])),
        whole("packet: with an extension, sources and padding", |c| {
            extend(c, &[0xab, 0xac, 0, 1, 1, 2, 3, 4]);
            each_packet(c, |packet| {
                packet[0] |= 0x21;
                packet.splice(HEADER..HEADER, [1, 2, 3, 4]);
                packet.extend([0, 2]);
            });
        }),
        whole("packet: another source from the first key frame on", |c| {
            c.packets(|frame, packets| if frame >= 10 { with_source(packets) } else { packets });
        }),
        whole("packet: another source from frame 15 on", |c| {
            c.packets(|frame, packets| if frame >= 15 { with_source(packets) } else { packets });
        }),
        whole("packet: of another payload type between", |c| {
            c.packets(|frame, mut packets| {
                let payload = [0x80, 97, 0, frame as u8, 0, 0, 0, 0, 9, 9, 9, 9, 1, 2, 3, 4];
                packets.insert(0, payload.to_vec());
                packets
            });
        }),
        whole("packet: of another version between", |c| {
            insert(c, &[0x40, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x61]);
        }),
        whole("packet: of three bytes between", |c| insert(c, &[0x80, 96, 0])),
        whole("packet: of no bytes between", |c| insert(c, &[])),
        whole("packet: cut in its extension between", |c| {
            insert(c, &[0x90, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xac, 0, 9, 1]);
        }),
    ]
}

fn sequence() -> Vec<Row> {
    vec![
        whole("sequence: each packet comes twice", |c| {
            c.packets(|_, packets| packets.into_iter().flat_map(|packet| [packet.clone(), packet]).collect());
        }),
        whole("sequence: the last packet of each frame comes twice", |c| {
            c.packets(|_, mut packets| {
                packets.extend(packets.last().cloned());
                packets
            });
        }),
        whole("sequence: restarts at a key frame", |c| shift_sequence(c, 20, 50_000)),
        loses("sequence: restarts at frame 15", 15..20, |c| shift_sequence(c, 15, 50_000)),
        whole("sequence: jumps by 1000 at a key frame", |c| shift_sequence(c, 20, 1000)),
        // ffmpeg takes no notice of the gap. To the source, packets are missing.
        loses("sequence: jumps by 1000 at frame 15", 15..20, |c| shift_sequence(c, 15, 1000)),
        whole("sequence: goes back by 5 at a key frame", |c| shift_sequence(c, 20, u16::MAX - 4)),
        whole("sequence: wraps", |c| shift_sequence(c, 0, u16::MAX - 1000 - 30)),
        whole("sequence: numbers by two", |c| renumber(c, |index| index * 2)),
        whole("sequence: the number stands", |c| renumber(c, |_| 7)),
        whole("sequence: numbers of other packets in each frame", |c| {
            let number = AtomicU16::new(1000);
            c.packets(move |_, packets| {
                let next = || number.fetch_add(1, Relaxed).to_be_bytes();
                let mut numbered = Pieces::new();
                for mut packet in packets {
                    packet[2..4].copy_from_slice(&next());
                    // Redundancy (RFC 5109) has the source and the numbers of what it protects.
                    let mut redundancy = [&packet[..HEADER], &[0; 20]].concat();
                    redundancy[1] = 127;
                    redundancy[2..4].copy_from_slice(&next());
                    numbered.extend([packet, redundancy]);
                }
                numbered
            });
        }),
        loses("sequence: joins in the middle of a key frame", 0..10, |c| {
            c.packets(
                |frame, packets| if frame == 0 { packets[packets.len() / 2..].to_vec() } else { packets },
            );
        }),
        loses("sequence: joins at frame 5", 0..10, |c| {
            c.packets(|frame, packets| if frame < 5 { Vec::new() } else { packets });
        }),
    ]
}

/// Between packets.
fn channels() -> Vec<Row> {
    vec![
        whole("channel: line ends between packets", |c| between(c, b"\r\n")),
        whole("channel: a line of garbage between packets", |c| between(c, b"garbage\r\n")),
        whole("channel: packets of an unknown channel", |c| between(c, b"$\x09\0\x08garbage!")),
        whole("channel: packets of no bytes", |c| between(c, b"$\0\0\0")),
        whole("channel: RTCP of garbage", |c| between(c, b"$\x01\0\x08garbage!")),
        whole("channel: RTCP of no bytes", |c| between(c, b"$\x01\0\0")),
        whole("channel: RTCP that is cut", |c| between(c, b"$\x01\0\x04\x80\xc8\0\x06")),
        whole("channel: RTCP of an application", |c| between(c, b"$\x01\0\x0c\x80\xcc\0\x02\0\0\0\x01MSGT")),
        whole("channel: RTCP BYE in the middle", |c| {
            c.blocks(|frame, mut blocks| {
                (frame == 15)
                    .then(|| blocks.insert(0, interleaved(1, &[0x81, 203, 0, 1, 0x6d, 0x73, 0x69, 0x67])));
                blocks
            });
        }),
        whole("channel: RTP of sound on its own channels", |c| {
            c.sdp_text(|text| text + "m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=control:other\r\n");
            c.blocks(|frame, mut blocks| {
                let header = [0x80, 8, 0, frame as u8, 0, 0, frame as u8, 0, 5, 5, 5, 5];
                blocks.insert(0, interleaved(2, &[&header[..], &[0xd5; 160]].concat()));
                blocks
            });
        }),
        loses("channel: a packet that is cut in frame 15", 15..20, |c| {
            c.blocks(|frame, mut blocks| {
                if frame == 15 {
                    let half = blocks[0].len() / 2;
                    blocks[0].truncate(half);
                }
                blocks
            });
        }),
    ]
}

fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |header| header & 0x1f)
}

/// Whether a packet ends a NAL unit.
fn ends_nal(packet: &[u8]) -> bool {
    kind(&packet[HEADER..]) != FU_A || packet[HEADER + 1] & 0x40 != 0
}

fn without(nals: Pieces, kinds: &[u8]) -> Pieces {
    nals.into_iter().filter(|nal| !kinds.contains(&kind(nal))).collect()
}

/// The NAL unit comes first in each frame.
fn first(c: &mut Camera, nal: &[u8]) {
    let nal = nal.to_vec();
    c.nals(move |_, mut nals| {
        nals.insert(0, nal.clone());
        nals
    });
}

/// The NAL unit comes last in each frame.
fn behind(c: &mut Camera, nal: &[u8]) {
    let nal = nal.to_vec();
    c.nals(move |_, mut nals| {
        nals.push(nal.clone());
        nals
    });
}

/// The NAL unit comes before the first slice of each frame.
fn before_slices(c: &mut Camera, nal: &[u8]) {
    let nal = nal.to_vec();
    c.nals(move |_, mut nals| {
        let at = nals.iter().position(|nal| (1..=IDR).contains(&kind(nal))).expect("a slice");
        nals.insert(at, nal.clone());
        nals
    });
}

/// The payload comes before the first slice of each frame.
fn payload_before(c: &mut Camera, payload: Vec<u8>) {
    c.payloads(move |_, mut payloads| {
        let is_slice = |payload: &Vec<u8>| (1..=IDR).contains(&kind(payload)) || kind(payload) == FU_A;
        let at = payloads.iter().position(is_slice).expect("a slice");
        payloads.insert(at, payload.clone());
        payloads
    });
}

fn edit_frame(c: &mut Camera, at: usize, edit: fn(&mut Pieces)) {
    c.payloads(move |frame, mut payloads| {
        (frame == at).then(|| edit(&mut payloads));
        payloads
    });
}

fn each_fragment(c: &mut Camera, edit: fn(&mut Vec<u8>)) {
    c.payloads(move |_, mut payloads| {
        payloads.iter_mut().filter(|payload| kind(payload) == FU_A).for_each(edit);
        payloads
    });
}

/// The parameter sets of a key frame in one payload (STAP-A), and further bytes behind them.
fn aggregate(payloads: Pieces, behind: &[u8]) -> Pieces {
    let mut payloads = aggregate_as(payloads, STAP_A, &[], &[]);
    if kind(&payloads[0]) == STAP_A {
        payloads[0].extend(behind);
    }
    payloads
}

/// The parameter sets of a key frame in one payload of a type; `head` follows its header, `offset` the length of each.
fn aggregate_as(payloads: Pieces, kind_of_payload: u8, head: &[u8], offset: &[u8]) -> Pieces {
    let (sets, rest): (Pieces, Pieces) =
        payloads.into_iter().partition(|payload| [SPS, PPS].contains(&kind(payload)));
    if sets.is_empty() {
        return rest;
    }
    let mut whole = [&[0x60 | kind_of_payload], head].concat();
    for set in sets {
        // In MTAPs the length covers the unit only; the offset is beside it (RFC 6184, section 5.7.2).
        whole.extend((set.len() as u16).to_be_bytes());
        whole.extend(offset);
        whole.extend(set);
    }
    [vec![whole], rest].concat()
}

fn mark(c: &mut Camera, marks: fn(usize, &[u8], bool) -> bool) {
    c.packets(move |_, mut packets| {
        let last = packets.len() - 1;
        for (index, packet) in packets.iter_mut().enumerate() {
            packet[1] = packet[1] & 0x7f | u8::from(marks(index, packet, index == last)) << 7;
        }
        packets
    });
}

fn each_packet(c: &mut Camera, edit: fn(&mut Vec<u8>)) {
    c.packets(move |_, mut packets| {
        packets.iter_mut().for_each(edit);
        packets
    });
}

/// Each packet has this header extension.
fn extend(c: &mut Camera, extension: &'static [u8]) {
    c.packets(move |_, mut packets| {
        for packet in &mut packets {
            packet[0] |= 0x10;
            packet.splice(HEADER..HEADER, extension.iter().copied());
        }
        packets
    });
}

/// This packet comes before each frame.
fn insert(c: &mut Camera, packet: &'static [u8]) {
    c.packets(move |_, mut packets| {
        packets.insert(0, packet.to_vec());
        packets
    });
}

/// These bytes come before every packet.
fn between(c: &mut Camera, bytes: &'static [u8]) {
    c.blocks(move |_, blocks| blocks.into_iter().flat_map(|block| [bytes.to_vec(), block]).collect());
}

fn with_source(mut packets: Pieces) -> Pieces {
    for packet in &mut packets {
        packet[8..12].copy_from_slice(&[1, 2, 3, 4]);
    }
    packets
}

fn shift_stamp(packet: &mut [u8], by: u32) {
    let stamp = u32::from_be_bytes(packet[4..8].try_into().expect("four bytes"));
    packet[4..8].copy_from_slice(&stamp.wrapping_sub(by).to_be_bytes());
}

/// Numbers all packets in another way.
fn renumber(c: &mut Camera, number: fn(u16) -> u16) {
    let index = AtomicU16::new(0);
    c.packets(move |_, mut packets| {
        for packet in &mut packets {
            packet[2..4].copy_from_slice(&number(index.fetch_add(1, Relaxed)).to_be_bytes());
        }
        packets
    });
}

/// From a frame on, sequence numbers are larger by this.
fn shift_sequence(c: &mut Camera, from: usize, by: u16) {
    c.packets(move |frame, mut packets| {
        for packet in packets.iter_mut().filter(|_| frame >= from) {
            let number = u16::from_be_bytes([packet[2], packet[3]]).wrapping_add(by);
            packet[2..4].copy_from_slice(&number.to_be_bytes());
        }
        packets
    });
}
