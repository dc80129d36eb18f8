//! Any bytes as a camera's description: no panic, a bounded number of tracks, and texts that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use msight_rtp::sdp::Description;

fuzz_target!(|body: &[u8]| {
    let description = Description::parse(body);
    assert!(description.tracks.len() + description.left_out.len() <= 33);
    for track in &description.tracks {
        assert!(track.clock_rate > 0 && track.payload_type < 128);
    }
    let controls = description.tracks.iter().filter_map(|track| track.control.as_ref());
    let names = description.left_out.iter().map(|track| &track.what);
    for text in names.chain(controls).chain(&description.control) {
        assert!(text.len() < 10_000 && !text.chars().any(char::is_control), "{text:?}");
    }
});
