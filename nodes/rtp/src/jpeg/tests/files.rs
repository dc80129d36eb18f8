//! The files that pictures become.

use super::*;

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
