//! Any bytes as a message to the pusher: what comes of it has a key below the prefix that S3 can carry, and a
//! sidecar that is JSON.
//!
//! The two files are the pusher's own; its crate is not linked, because the AWS SDK takes ten minutes to build with
//! the fuzzer's instruments.
#![no_main]

#[expect(dead_code, unreachable_pub, reason = "it is the public module of another crate")]
#[path = "../../../nodes/s3-pusher/src/key.rs"]
mod key;
#[expect(dead_code, unreachable_pub, reason = "it is the public module of another crate")]
#[path = "../../../nodes/s3-pusher/src/segment.rs"]
mod segment;

use bytes::Bytes;
use key::{Folders, Layout, MAX_KEY};
use libfuzzer_sys::fuzz_target;
use msight_proto::{VideoData, decode};
use segment::Segment;

fuzz_target!(|data: &[u8]| {
    let Ok(sample) = decode::<VideoData>(&Bytes::copy_from_slice(data)) else { return };
    let layout = Layout::new("prefix", "device", Folders::Utc).expect("the prefix is short");
    let Ok(mut segment) = Segment::new(sample, &layout, "device") else { return };
    for stem in [segment.stem.clone(), segment.suffixed_stem()] {
        let key = format!("{stem}.json");
        assert!(key.starts_with("prefix/device/") && key.len() <= MAX_KEY, "{key:?}");
        assert!(!key.split('/').any(|part| matches!(part, "" | "." | "..")), "{key:?}");
        assert!(!key.chars().any(char::is_control), "{key:?}");
    }
    assert!(
        segment.metadata.iter().all(|(_, value)| value.chars().all(|c| c == ' ' || c.is_ascii_graphic()))
    );
    let sidecar = segment.sidecar("key").expect("it was tried when the segment was made");
    assert!(sidecar.ends_with(b"}"));
});
