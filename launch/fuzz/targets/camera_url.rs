//! Any text as a camera's address: no panic, and no password in what is printed of it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    #[cfg(fuzzing)]
    msight_rtsp_source::fuzz::url(text);
    #[cfg(not(fuzzing))]
    let _ = text;
});
