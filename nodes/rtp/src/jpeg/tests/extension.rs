//! Sizes and segments in the header extension, and in the description.

use super::*;

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
