//! Any datagrams from a camera: no panic, and no more comes out of the reorder buffer than went in.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Datagram {
    control: bool,
    /// Of the stream that the first packet began; otherwise the bytes are as they come.
    number: Option<u8>,
    bytes: Vec<u8>,
}

fuzz_target!(|datagrams: Vec<Datagram>| {
    let datagrams: Vec<_> = (datagrams.into_iter())
        .map(|datagram| match datagram.number {
            // Version 2, type 96, one timestamp, one source (RFC 3550 section 5.1).
            Some(number) if !datagram.control => {
                let mut packet = vec![0x80, 96, number >> 7, number << 1, 0, 0, 0, 0, 0, 0, 0, 0];
                packet.extend(datagram.bytes);
                (false, packet)
            }
            _ => (datagram.control, datagram.bytes),
        })
        .collect();
    let datagrams = datagrams.iter().map(|(control, bytes)| (*control, bytes.as_slice()));
    #[cfg(fuzzing)]
    msight_rtsp_source::fuzz::datagrams(datagrams);
    #[cfg(not(fuzzing))]
    let _ = datagrams.count();
});
