//! What cameras encode, and how it is put into payloads (H.264, RFC 6184).

use crate::camera::{Camera, Pieces};
use crate::film;
use crate::row::{Row, loses, whole};
use crate::stub::rtp::HEADER;

/// Types of NAL units (ITU-T H.264, table 7-1).
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
/// Of a payload (RFC 6184, table 1).
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_B: u8 = 29;

pub(crate) fn rows() -> Vec<Row> {
    [nal_units(), parameter_sets(), payloads(), fragments()].concat()
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
        // The packets do not show whether slices are missing.
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
        whole("sets: with a timestamp of their own", own_stamp),
        whole("sets: with a timestamp of their own and a marker", |c| {
            mark(c, |_, packet, last| last || [SPS, PPS].contains(&kind(&packet[HEADER..])));
            own_stamp(c);
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

fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |header| header & 0x1f)
}

/// Whether a packet ends a NAL unit.
pub(super) fn ends_nal(packet: &[u8]) -> bool {
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

/// Sets the marker on the packets that `marks` chooses by their index, their bytes and whether they are the last.
pub(super) fn mark(c: &mut Camera, marks: fn(usize, &[u8], bool) -> bool) {
    c.packets(move |_, mut packets| {
        let last = packets.len() - 1;
        for (index, packet) in packets.iter_mut().enumerate() {
            packet[1] = packet[1] & 0x7f | u8::from(marks(index, packet, index == last)) << 7;
        }
        packets
    });
}

/// The parameter sets have a timestamp before that of their frame.
fn own_stamp(c: &mut Camera) {
    c.packets(|_, mut packets| {
        for packet in packets.iter_mut().filter(|packet| [SPS, PPS].contains(&kind(&packet[HEADER..]))) {
            let stamp = u32::from_be_bytes(packet[4..8].try_into().expect("four bytes"));
            packet[4..8].copy_from_slice(&stamp.wrapping_sub(1800).to_be_bytes());
        }
        packets
    });
}
