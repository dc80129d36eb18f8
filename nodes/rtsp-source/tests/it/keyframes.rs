//! `--keyframes-only`: key frames alone are decoded, each at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rtsp_types::Method;

use crate::program;
use crate::stub::Stub;
use crate::stub::footage::Footage;
use crate::stub::rtp::Sender;

/// Frames from one key frame to the next.
const GROUP: usize = 10;
const GROUPS: usize = 5;

/// Plays groups of pictures. The key frame of a group is sent only when the one before it has been published, which the
/// test reports by a counter.
async fn each_key_frame_comes_at_once(options: &str) {
    let footage = Footage::h264("320x180", GROUPS * GROUP, GROUP, options);
    assert_eq!(footage.key_frames(), GROUPS);
    let published = Arc::new(AtomicUsize::new(0));
    let seen = published.clone();
    let camera = Stub::start(move |camera, _| {
        camera.serve(&footage, &Method::Play)?;
        let mut sender = Sender::new(25.0);
        for (number, unit) in footage.units.iter().enumerate() {
            let began = Instant::now();
            while number > 0 && number % GROUP == 0 && seen.load(Ordering::Relaxed) < number / GROUP {
                assert!(
                    began.elapsed() < Duration::from_secs(60),
                    "the picture of group {number} is missing"
                );
                thread::sleep(Duration::from_millis(10));
            }
            camera.unit(&mut sender, unit)?;
        }
        camera.wait_for_disconnect()
    });
    let flags = ["--keyframes-only", "--read-timeout", "60", "--metrics", "127.0.0.1:0"];
    let mut program = program::start(&camera.url(""), &flags);
    for group in 1..=GROUPS {
        program.reaches("msight_rtsp_frames_total", group as u64).await;
        published.store(group, Ordering::Relaxed);
    }
    // The last frame of a stream may wait for its successor.
    let others = GROUPS * (GROUP - 1);
    program.reaches("msight_rtsp_left_out_total{reason=\"not_key\"}", others as u64 - 1).await;
    assert_eq!(program.count("msight_rtsp_frames_total"), GROUPS as u64);
    assert_eq!(program.count("msight_rtsp_decoded_total"), GROUPS as u64);
    assert_eq!(program.count("msight_rtsp_dropped_total"), 0);
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_frames_alone_are_published() {
    each_key_frame_comes_at_once("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_frames_wait_for_no_b_frames() {
    each_key_frame_comes_at_once("-profile:v main -bf 3").await;
}
