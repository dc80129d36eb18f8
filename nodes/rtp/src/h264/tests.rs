//! What cameras deviate in, and what comes of it.

mod arbitrary;
mod losses;
mod pictures;
mod structures;

use super::*;
use crate::fault::Fault;
use crate::testing::{Sent, gap, nals, packet, push_all, with_marker};
use crate::unit::{MAX_UNIT_BYTES, Unit};

// Written by x264 0.164 from pictures of 320x180.
const SPS: &[u8] = b"\x67\x42\xc0\x0b\xda\x05\x06\x7e\x7c\x04\x40\0\0\x03\0\x40\0\0\x05\x03\xc5\x0a\xa8";
const OTHER_SPS: &[u8] =
    b"\x67\x4d\x40\x0c\xec\xa0\xa0\xcf\xcf\x80\x88\0\0\x03\0\x08\0\0\x03\0\xa0\x78\xa1\x4c\xb0";
const PPS: &[u8] = b"\x68\xce\x0f\x2c\x80";
/// `pic_parameter_set_id` 1.
const PPS_1: &[u8] = b"\x68\x53\x8f\x2c\x80";
const SEI: &[u8] = b"\x06\x05\x02\x11\x22\x80";
const AUD: &[u8] = b"\x09\x10";
const FILLER: &[u8] = b"\x0c\xff\xff\x80";
/// The only slice of a key frame.
const IDR: &[u8] = b"\x65\x88\x84\x11\x12\x13\x14\x15";
/// Its second slice: `first_mb_in_slice` is 1.
const IDR_2: &[u8] = b"\x65\x42\x84\x21\x22\x23\x24\x25";
const P: &[u8] = b"\x41\x9a\x31\x32\x33\x34\x35\x36";
const P_2: &[u8] = b"\x41\x46\x41\x42\x43\x44\x45\x46";
/// What may be between the first two bytes of [`P`] and the others, and the slice then.
const LONG: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const LONG_P: &[u8] = b"\x41\x9a\x31abcdefghijklmnopqrstuvwxyz0123456789\x32\x33\x34\x35\x36";
/// An intra picture that is no IDR picture.
const I: &[u8] = b"\x41\x88\x51\x52\x53\x54\x55\x56";

fn push(packets: &[Sent]) -> (Vec<Unit>, Vec<(Fault, u64)>) {
    // The first slice of one more picture ends the last one.
    let mut h264 = H264::new(None);
    push_all(&[packets, &[packet(999_999, P)]].concat(), |packet, gap, out| h264.push(packet, gap, out))
}

fn units(packets: &[Sent]) -> Vec<Vec<Vec<u8>>> {
    push(packets).0.iter().map(nals).collect()
}

fn faults(packets: &[Sent]) -> Vec<(Fault, u64)> {
    push(packets).1
}

fn stap(nals: &[&[u8]]) -> Vec<u8> {
    let units = nals.iter().flat_map(|nal| [&(nal.len() as u16).to_be_bytes(), *nal].concat());
    [24].into_iter().chain(units).collect()
}

/// A part of a NAL unit: `flags` has the start bit (0x80) and the end bit (0x40).
fn fu(flags: u8, header: u8, body: &[u8]) -> Vec<u8> {
    [&[28 | header & 0xe0, flags | header & 0x1f], body].concat()
}

fn annex_b(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect()
}
