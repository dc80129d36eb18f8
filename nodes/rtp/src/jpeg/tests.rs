use std::process::Command;
use std::sync::LazyLock;

use image::RgbImage;
use proptest::prelude::*;

use super::segments::{EOI, SOI, Segments};
use super::tables::Tables;
use super::*;
use crate::testing::Sent;

/// A picture of ffmpeg, taken apart as a camera does.
#[derive(Clone)]
struct Picture {
    file: Vec<u8>,
    frame: Vec<u8>,
    tables: Vec<u8>,
    restart_interval: Option<u16>,
    kind: u8,
    size: (u32, u32),
    scan: Vec<u8>,
}

fn encode(size: (u32, u32), pixels: &str, more: &[&str]) -> Picture {
    let source = format!("testsrc2=s={}x{}:r=1", size.0, size.1);
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", &source, "-frames:v", "1", "-pix_fmt", pixels])
        .args(["-c:v", "mjpeg", "-huffman", "default", "-q:v", "6"])
        .args(more)
        .args(["-f", "mjpeg", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = output.stdout;
    let segments = Segments::read(&file);
    let scan = segments.length + segments.scan.unwrap().len();
    Picture {
        frame: segments.frame.unwrap().bytes.to_vec(),
        tables: segments
            .quantization
            .iter()
            .flat_map(|dqt| dqt[4..].chunks(65))
            .flat_map(|t| t[1..].to_vec())
            .collect(),
        restart_interval: segments.restart.map(|dri| u16::from_be_bytes([dri[4], dri[5]])),
        kind: (pixels == "yuvj420p").into(),
        size,
        scan: file[scan..].strip_suffix(&EOI).unwrap().to_vec(),
        file,
    }
}

static PICTURE: LazyLock<Picture> = LazyLock::new(|| encode((320, 240), "yuvj420p", &[]));

impl Picture {
    /// As a camera that follows the standard sends it, with quantization tables.
    fn packets(&self, timestamp: u32, q: u8) -> Vec<Sent> {
        self.packets_of(timestamp, q, &self.tables, &self.scan)
    }

    fn packets_of(&self, timestamp: u32, q: u8, tables: &[u8], scan: &[u8]) -> Vec<Sent> {
        let pieces = scan.chunks(1000).enumerate().map(|(index, piece)| {
            let kind = self.kind + if self.restart_interval.is_some() { 64 } else { 0 };
            let mut payload = (index as u32 * 1000).to_be_bytes().to_vec();
            payload.extend([kind, q, (self.size.0 / 8) as u8, (self.size.1 / 8) as u8]);
            if let Some(interval) = self.restart_interval {
                payload.extend(interval.to_be_bytes());
                payload.extend([0xff; 2]);
            }
            if index == 0 && q >= 128 {
                payload.extend([0, 0]);
                payload.extend((tables.len() as u16).to_be_bytes());
                payload.extend(tables);
            }
            payload.extend(piece);
            let marker = (index + 1) * 1000 >= scan.len();
            Sent { timestamp, marker, after_gap: false, extension: None, payload }
        });
        pieces.collect()
    }

    fn pixels(&self) -> RgbImage {
        pixels(&self.file)
    }
}

fn pixels(file: &[u8]) -> RgbImage {
    image::load_from_memory_with_format(file, image::ImageFormat::Jpeg).unwrap().to_rgb8()
}

fn receive(jpeg: &mut Jpeg, packets: &[Sent]) -> Output {
    crate::testing::receive(packets, |packet, after_gap, out| jpeg.push(packet, after_gap, out))
}

#[track_caller]
fn assert_whole(out: &Output, picture: &Picture) {
    assert_complete(out, picture);
    assert!(pixels(&out.units[0].data) == picture.pixels(), "other pixels");
}

/// Like [`assert_whole`], for large pictures, which take seconds to decode.
#[track_caller]
fn assert_complete(out: &Output, picture: &Picture) {
    assert_eq!((out.units.len(), &out.faults[..]), (1, &[][..]));
    let unit = &out.units[0];
    assert_eq!((unit.size, unit.key, unit.after_loss), (Some(picture.size), true, false));
    assert!(unit.data.starts_with(&SOI) && unit.data.ends_with(&[&picture.scan[..], &EOI].concat()));
    assert_eq!(Segments::read(&unit.data).frame.map(|frame| frame.size), unit.size);
}

#[test]
fn pictures_decode_to_the_pixels_that_were_sent() {
    let with_restarts = encode((320, 240), "yuvj420p", &["-threads", "4", "-thread_type", "slice"]);
    assert!(with_restarts.restart_interval.is_some(), "no restart markers to test with");
    for picture in [PICTURE.clone(), encode((648, 488), "yuvj420p", &[]), with_restarts] {
        assert_whole(&receive(&mut Jpeg::new(None), &picture.packets(7, 255)), &picture);
    }
}

#[test]
fn type_0_is_4_2_2() {
    // ffmpeg has another 4:2:2. Four units of two blocks luma and one of each chroma; all are grey, but the first blue
    // has the difference 31.
    let bits =
        ["00 1010 00 1010 11110 11111 00 00 00", &" 00 1010 00 1010 00 00 00 00".repeat(3), " 1111111"]
            .concat();
    let bits = bits.replace(' ', "");
    let scan: Vec<u8> = bits
        .as_bytes()
        .as_chunks::<8>()
        .0
        .iter()
        .map(|byte| u8::from_str_radix(str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect();
    assert!(!scan.contains(&0xff));
    for (restart_interval, kind) in [(None, 0), (Some(4), 64)] {
        let picture = Picture { kind: 0, size: (32, 16), restart_interval, ..PICTURE.clone() };
        let packets = picture.packets_of(0, 255, &[8; 128], &scan);
        assert_eq!(packets[0].payload[4], kind);
        let unit = &receive(&mut Jpeg::new(None), &packets).units[0];
        let segments = Segments::read(&unit.data);
        assert_eq!(
            segments.restart.map(|segment| segment[5]),
            restart_interval.map(|interval| interval as u8)
        );
        for pixel in pixels(&unit.data).pixels() {
            assert!(
                pixel.0.iter().zip([128, 117, 183]).all(|(is, expected)| is.abs_diff(expected) < 3),
                "{pixel:?}"
            );
        }
    }
}

#[test]
fn tables_of_a_quality_are_those_of_encoders() {
    for q in 1..=100 {
        let mut file = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, q);
        RgbImage::new(8, 8).write_with_encoder(encoder).unwrap();
        let mut tables = Tables::default();
        Segments::read(&file).quantization.iter().for_each(|segment| tables.replace(segment));
        assert_eq!(Tables::of_quality(q), Ok(tables), "{q}");
    }
    let mut jpeg = Jpeg::new(None);
    let unit = receive(&mut jpeg, &PICTURE.packets_of(0, 75, &[], &PICTURE.scan)).units.pop_front().unwrap();
    assert_eq!(pixels(&unit.data).dimensions(), PICTURE.size);
    for q in [0, 101, 127] {
        let out = receive(&mut jpeg, &PICTURE.packets_of(0, q, &[], &PICTURE.scan));
        assert_eq!((out.units.len(), &out.faults[..]), (0, &[(Fault::BadPayload, 1)][..]), "{q}");
    }
}

#[test]
fn tables_are_kept_for_their_quality() {
    let mut jpeg = Jpeg::new(None);
    let without = |q| PICTURE.packets_of(0, q, &[], &PICTURE.scan);
    assert_eq!(receive(&mut jpeg, &without(200)).faults, [(Fault::BadPayload, 1)]);
    for packets in
        [PICTURE.packets(0, 200), PICTURE.packets_of(0, 201, &[1; 128], &PICTURE.scan), without(200)]
    {
        assert_eq!(receive(&mut jpeg, &packets).units.len(), 1);
    }
    assert_whole(&receive(&mut jpeg, &without(200)), &PICTURE);
    assert_eq!(receive(&mut jpeg, &PICTURE.packets(0, 255)).units.len(), 1);
    assert_eq!(receive(&mut jpeg, &without(255)).faults, [(Fault::BadPayload, 1)]);
}

#[test]
fn tables_may_have_values_of_two_bytes_and_any_number() {
    let one = &PICTURE.tables[..64];
    let wide: Vec<u8> = one.iter().flat_map(|value| u16::from(*value).to_be_bytes()).collect();
    let same = [one, one].concat();
    for (precision, tables) in
        [(0b10, [one, &wide].concat()), (0b11, [&wide[..], &wide].concat()), (0, [one; 3].concat())]
    {
        let mut packets = PICTURE.packets_of(0, 255, &tables, &PICTURE.scan);
        packets[0].payload[9] = precision;
        let expected = receive(&mut Jpeg::new(None), &PICTURE.packets_of(0, 255, &same, &PICTURE.scan));
        let unit = &receive(&mut Jpeg::new(None), &packets).units[0];
        assert!(pixels(&unit.data) == pixels(&expected.units[0].data));
    }
    // 300 needs two bytes, and a frame of the extended process.
    let mut packets = PICTURE.packets_of(0, 255, &[1, 44].repeat(128), &PICTURE.scan);
    packets[0].payload[9] = 0b11;
    let unit = &receive(&mut Jpeg::new(None), &packets).units[0];
    let segments = Segments::read(&unit.data);
    assert_eq!((segments.frame.unwrap().bytes[1], segments.quantization[0].len()), (0xc1, 133));
    assert_eq!(pixels(&unit.data).dimensions(), PICTURE.size);
}

#[test]
fn large_pictures_have_their_size_in_the_extension_or_the_description() {
    let large = encode((2560, 1440), "yuvj420p", &[]);
    let zeros = |packets: &[Sent], blocks: [u8; 2]| {
        let mut packets = packets.to_vec();
        packets.iter_mut().for_each(|sent| sent.payload[6..8].copy_from_slice(&blocks));
        packets
    };
    let padded = |bytes: &[u8]| [bytes, &[0xff; 3][..bytes.len().wrapping_neg() % 4]].concat();
    let unknown = zeros(&large.packets(0, 255), [0, 0]);
    let out = receive(&mut Jpeg::new(None), &unknown);
    assert_eq!((out.units.len(), &out.faults[..]), (0, &[(Fault::UnknownSize, 1)][..]));

    // The description: with zeros, and modulo 2048 as some cameras write it.
    for blocks in [[0, 0], [0, 180], [64, 180]] {
        assert_complete(&receive(&mut Jpeg::new(Some(large.size)), &zeros(&unknown, blocks)), &large);
    }
    // The packets know better than a description of another size.
    assert_whole(&receive(&mut Jpeg::new(Some((640, 480))), &PICTURE.packets(0, 255)), &PICTURE);

    // The extension, also behind that of a replay. Later pictures have the same size.
    let replay = [&[0; 12][..], &[0xff, 0xd8, 0, 5], &padded(&large.frame)].concat();
    for extension in [(0xffd8, padded(&large.frame)), (0xabac, replay)] {
        let mut packets = unknown.clone();
        packets[0].extension = Some(extension);
        let mut jpeg = Jpeg::new(None);
        assert_complete(&receive(&mut jpeg, &packets), &large);
        packets[0].extension = Some((0xffd8, Vec::new()));
        assert_complete(&receive(&mut jpeg, &packets), &large);
        assert_complete(&receive(&mut jpeg, &unknown), &large);
    }
}

#[test]
fn the_extension_takes_precedence_and_may_precede_the_data() {
    // All segments up to the scan, in two packets without payload before those of the picture.
    let segments = Segments::read(&PICTURE.file);
    let head = &PICTURE.file[2..segments.length];
    let (one, two) = head.split_at(100);
    let bare = |profile, bytes: &[u8]| Sent {
        timestamp: 0,
        marker: false,
        after_gap: false,
        extension: Some((profile, bytes.to_vec())),
        payload: Vec::new(),
    };
    let mut jpeg = Jpeg::new(None);
    for (q, tables) in [(255, &[][..]), (255, &[9; 128]), (0, &[]), (50, &[])] {
        let packets = PICTURE.packets_of(0, q, tables, &PICTURE.scan);
        let packets = [vec![bare(0xffd8, one), bare(0xffff, two)], packets].concat();
        assert_whole(&receive(&mut jpeg, &packets), &PICTURE);
    }
    // Q 0 without tables: those of the previous picture.
    let mut packets = PICTURE.packets_of(0, 0, &[], &PICTURE.scan);
    packets[0].extension = Some((0xffd8, PICTURE.frame.clone()));
    assert_whole(&receive(&mut jpeg, &packets), &PICTURE);
    // Without an end, the extension is not kept in memory.
    let packets = vec![bare(0xffff, &[0xff; 8192]); 100];
    assert_eq!(receive(&mut jpeg, &packets).faults[0].0, Fault::TooLong);
}

#[test]
fn whole_files_as_data_are_completed() {
    let segments = Segments::read(&PICTURE.file);
    let without_huffman = segments.huffman.iter().fold(PICTURE.file.clone(), |file, segment| {
        let at = file.windows(segment.len()).position(|window| window == *segment).unwrap();
        [&file[..at], &file[at + segment.len()..]].concat()
    });
    for file in [
        &PICTURE.file[..],
        &without_huffman,
        &PICTURE.file[2..],
        &without_huffman[..without_huffman.len() - 2],
    ] {
        assert_whole(
            &receive(&mut Jpeg::new(None), &PICTURE.packets_of(0, 255, &PICTURE.tables, file)),
            &PICTURE,
        );
    }
    for file in [&PICTURE.file[..segments.length], &SOI, &[0xff, 0xda, 0, 2]] {
        let out = receive(&mut Jpeg::new(None), &PICTURE.packets_of(0, 255, &PICTURE.tables, file));
        assert_eq!((out.units.len(), &out.faults[..]), (0, &[(Fault::BadPayload, 1)][..]));
    }
}

#[test]
fn the_end_of_the_image_is_there_once() {
    for end in [&[][..], &EOI, &[EOI, EOI].concat(), &[&EOI[..], &[0; 900]].concat()] {
        let scan = [&PICTURE.scan[..], end].concat();
        let out = receive(&mut Jpeg::new(None), &PICTURE.packets_of(0, 255, &PICTURE.tables, &scan));
        let file = &out.units[0].data;
        assert!(file.ends_with(&EOI) && pixels(file) == PICTURE.pixels());
        assert!(file.len() <= PICTURE.scan.len() + 1024);
    }
}

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
