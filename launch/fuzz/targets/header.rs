//! Any text as a header of a camera's response: no panic, and nothing in our requests that the text may not decide.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &str| {
    #[cfg(fuzzing)]
    msight_rtsp_source::fuzz::header(value);
    #[cfg(not(fuzzing))]
    let _ = value;
});
