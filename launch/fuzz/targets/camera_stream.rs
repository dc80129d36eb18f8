//! Any bytes as the access units of a camera: no panic, and each unit is published or counted as dropped.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// Units of one input: far fewer than the queue before the decoder holds.
const MOST_UNITS: usize = 100;

/// Bytes that separate the access units of an input; what follows says whether it is a key frame.
const SEPARATOR: &[u8] = b"unit";

fuzz_target!(|data: &[u8]| {
    let mut units = Vec::new();
    let mut begin = 0;
    for at in (0..data.len()).filter(|&at| data[at..].starts_with(SEPARATOR)) {
        units.push(&data[begin.min(at)..at]);
        begin = at + SEPARATOR.len();
    }
    units.push(&data[begin.min(data.len())..]);
    let units = units.into_iter().take(MOST_UNITS);
    let units = units.filter_map(|unit| unit.split_first()).map(|(flags, unit)| (flags & 1 == 1, unit));
    #[cfg(fuzzing)]
    msight_rtsp_source::fuzz::stream(units);
    #[cfg(not(fuzzing))]
    let _ = units.count();
});
