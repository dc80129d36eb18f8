//! Any bytes as a message to the pusher: what comes of it has a key below the prefix that S3 can carry, and a
//! sidecar that is JSON.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use msight_proto::{VideoData, decode};
use msight_segment::{Folders, Layout, MAX_KEY, Segment};

fuzz_target!(|data: &[u8]| {
    let Ok(sample) = decode::<VideoData>(&Bytes::copy_from_slice(data)) else { return };
    let layout = Layout::new("prefix", "device", Folders::Utc).expect("the prefix is short");
    let Ok(segment) = Segment::new(sample, &layout, "device") else { return };
    for stem in [segment.stem.clone(), segment.suffixed_stem()] {
        let key = format!("{stem}.json");
        assert!(key.starts_with("prefix/device/") && key.len() <= MAX_KEY, "{key:?}");
        assert!(!key.split('/').any(|part| matches!(part, "" | "." | "..")), "{key:?}");
        assert!(!key.chars().any(char::is_control), "{key:?}");
    }
    assert!(
        segment.metadata.iter().all(|(_, value)| value.chars().all(|c| c == ' ' || c.is_ascii_graphic()))
    );
    let sidecar = segment.sidecar("key").expect("Segment::new has tried it");
    assert!(sidecar.ends_with(b"}"));
});
