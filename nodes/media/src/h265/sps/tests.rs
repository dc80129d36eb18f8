//! Sets that encoders write, and damaged ones.

use proptest::prelude::*;

use super::*;
use crate::h265::id_of_set;

fn nal(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

// Written by x265 3.5, from pictures of 320x180, 1270x718 and 640x360.
const IN_ORDER: &str = "42010101600000030090000003000003003ca00a080b9f7964a924caf0168080000003008000000504";
const WITH_B_FRAMES: &str =
    "42010101600000030090000003000003003ca00a080b9f796565924caf0168080000030008000003005040";
const TEN_BITS: &str =
    "42010102200000030090000003000003005da0027c802d1d5365959a4932bc05a02000000300200000030321";
const FULL_4_4_4: &str =
    "4201010408000003009e0800000300003f9000a0402d2cb2b349265780b7020201040000030004000003006420";

#[test]
fn sets_of_x265_are_read() {
    let sps = |hex| Sps::parse(&nal(hex)).unwrap();
    let in_order = sps(IN_ORDER);
    assert_eq!(in_order.to_string(), "320x180 Main level 2.0");
    assert_eq!((in_order.reorder_depth, in_order.fps), (0, Some(10.0)));
    assert_eq!((in_order.chroma_format, in_order.luma_bits, in_order.chroma_bits), (1, 8, 8));
    assert_eq!((in_order.temporal_layers, in_order.is_temporally_nested), (1, true));
    let profile = Profile {
        idc: 1,
        compatibility: 0x6000_0000,
        constraints: 0x9000_0000_0000,
        level: 60,
        ..Profile::default()
    };
    assert_eq!(in_order.profile, profile);
    assert_eq!((sps(WITH_B_FRAMES).reorder_depth, sps(WITH_B_FRAMES).fps), (2, Some(10.0)));
    let ten = sps(TEN_BITS);
    assert_eq!(ten.to_string(), "1270x718 Main 10 level 3.1");
    assert_eq!((ten.luma_bits, ten.reorder_depth, ten.fps), (10, 2, Some(25.0)));
    let full = sps(FULL_4_4_4);
    assert_eq!((full.chroma_format, full.full_range, full.fps), (3, Some(true), Some(25.0)));
    assert_eq!(full.colour.map(|colour| colour.matrix), Some(1));
}

#[test]
fn ids_are_read() {
    for (set, id) in [
        (nal("40010c01ffff01600000030090000003000003003c928090"), Some(0)),
        (nal(IN_ORDER), Some(0)),
        (nal("4401c172b46240"), Some(0)),
        // `pps_pic_parameter_set_id` 63 and 64; a set without content; a slice.
        (nal("4401020190"), Some(63)),
        (nal("4401020990"), None),
        (nal("4401"), None),
        (nal("2601af"), None),
    ] {
        assert_eq!(id_of_set(&set), id, "{set:02x?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_accepted(bytes in prop::collection::vec(any::<u8>(), 0..80), flip in any::<(usize, u8)>()) {
        let _ = Sps::parse(&[&[0x42, 1], &bytes[..]].concat());
        let mut damaged = nal(FULL_4_4_4);
        let at = flip.0 % damaged.len();
        damaged[at] ^= flip.1;
        let (_, _) = (Sps::parse(&damaged), id_of_set(&damaged));
    }
}
