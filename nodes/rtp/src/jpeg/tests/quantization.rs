//! Quantization tables.

use super::*;

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
