//! Flags that make no sense together end the program before it contacts anything.

use std::process::Command;

#[test]
fn flags_that_make_no_sense_together_are_named() {
    for (flags, named) in [
        ("--pre-record 10", &["--pre-record", "--trigger-topic"][..]),
        ("--post-record 10", &["--post-record", "--trigger-topic"]),
        ("--pre-record-bytes 1MiB", &["--pre-record-bytes", "--trigger-topic"]),
        ("--gap 1", &["--gap 1", "cannot be decoded"]),
        ("--segment-duration none", &["--segment-duration none", "--spool"]),
        ("--segment-bytes 1GiB", &["--segment-bytes", "--spool"]),
        ("--spool s --segment-duration none --align-to-clock", &["--align-to-clock", "--segment-duration"]),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_msight_launch_recorder"))
            .args("-n recorder -st units -pt segments".split(' '))
            .args(flags.split(' '))
            .env_clear()
            .env("MSIGHT_EDGE_DEVICE_NAME", "edge1")
            // Nothing listens there.
            .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags}: {text}");
        assert!(named.iter().all(|word| text.contains(word)), "{flags}: {text}");
    }
}
