//! RTP packets, and what is between them (RFC 3550, RFC 2326 section 10.12).

use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;

use super::nals::{ends_nal, mark};
use crate::camera::{Camera, Pieces};
use crate::row::{Row, loses, whole};
use crate::stub::rtp::{HEADER, interleaved};

pub(crate) fn rows() -> Vec<Row> {
    [headers(), sequence(), channels()].concat()
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
        // ffmpeg ignores the gap. To the source, packets are missing.
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
