//! The source over an unreliable network: it restores the order of packets, and publishes only whole pictures.

use std::collections::HashSet;
use std::time::Duration;

use msight_node::testing::run_source;
use msight_rtsp_source::RtspSource;
use msight_test_support::camera::Camera;
use msight_test_support::film::{RATE, film};
use tokio::time::timeout;

use crate::hop::{Hop, Impairments};

/// The JPEG pictures of the first frames, with their capture times.
async fn pictures(url: &str, transport: &str, count: usize) -> Vec<(Vec<u8>, f64)> {
    // Capture times by arrival, because the server's reports correct those of a file only after seconds.
    let flags = ["-u", url, "--rtsp-transport", transport, "--capture-clock", "arrival"];
    let frames = timeout(Duration::from_secs(60), run_source::<RtspSource>(&flags, count))
        .await
        .expect("frames come within a minute")
        .expect("the source runs");
    frames
        .into_iter()
        .map(|frame| (frame.body.image.unwrap().bytes().unwrap().to_vec(), frame.head.capture_timestamp))
        .collect()
}

/// The frames of a session.
const FRAMES: usize = 120;

/// A camera that sends the same video in every session, with at least four slices and packets per frame, more for every
/// tenth frame.
fn sliced_camera(folder: &tempfile::TempDir) -> Camera {
    let seconds = FRAMES as u32 / RATE;
    let options = "keyint=10:scenecut=0:slices=4";
    Camera::start(&film(folder.path(), "320x240", RATE, seconds, "400k", options), &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn reordered_packets_are_restored_and_the_camera_gets_reports() {
    let folder = tempfile::tempdir().unwrap();
    let camera = sliced_camera(&folder);
    let impairments = Impairments { seed: 1, reordering: 0.3, duplication: 0.05, ..Impairments::default() };
    let hop = Hop::start(camera.port, impairments);
    let sent = pictures(&camera.url(""), "tcp", FRAMES).await;
    let arrived = pictures(&hop.url(""), "udp", FRAMES).await;
    assert!(sent.iter().zip(&arrived).all(|(sent, arrived)| sent.0 == arrived.0));
    // The first opens the firewall.
    let reports = hop.reports();
    assert!(reports.len() >= 2, "{reports:?}");
    assert!(reports[1].len() > 32 && reports[1].starts_with(&[0x81, 201, 0, 7]), "{reports:?}");
    // No loss since the last report, and a total of zero or less: duplicates reduce it.
    assert!(
        reports[1][12] == 0 && (reports[1][13..16] == [0, 0, 0] || reports[1][13] & 0x80 != 0),
        "{reports:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn five_percent_loss_drops_frames_but_publishes_none_that_are_broken() {
    let folder = tempfile::tempdir().unwrap();
    let camera = sliced_camera(&folder);
    let impairments = Impairments { seed: 2, loss: 0.05, reordering: 0.1, duplication: 0.02 };
    let hop = Hop::start(camera.port, impairments);
    let sent: HashSet<_> =
        pictures(&camera.url(""), "tcp", FRAMES).await.into_iter().map(|(picture, _)| picture).collect();
    // More frames than fit between two losses.
    let arrived = pictures(&hop.url(""), "udp", 40).await;
    assert!(arrived.iter().all(|(picture, _)| sent.contains(picture)), "a broken picture was published");
    let interval = 1.0 / f64::from(RATE);
    let skipped = arrived.windows(2).filter(|pair| pair[1].1 - pair[0].1 > 1.5 * interval).count();
    assert!(skipped > 0, "the loss drops frames");
}

#[tokio::test(flavor = "multi_thread")]
async fn motion_jpeg_with_losses_has_no_broken_pictures() {
    // The same picture for the same frame of each session.
    let pipeline = "videotestsrc is-live=true pattern=ball animation-mode=frames background-color=0xff406080 \
                    ! video/x-raw,width=640,height=480,framerate=20/1,format=I420 ! jpegenc quality=95 \
                    ! rtpjpegpay name=pay0 pt=26";
    let camera = Camera::start(pipeline, &[]);
    let hop =
        Hop::start(camera.port, Impairments { seed: 3, loss: 0.03, reordering: 0.1, duplication: 0.02 });
    let sent: HashSet<_> =
        pictures(&camera.url(""), "tcp", 120).await.into_iter().map(|(picture, _)| picture).collect();
    let arrived = pictures(&hop.url(""), "udp", 30).await;
    assert!(arrived.iter().all(|(picture, _)| sent.contains(picture)), "a broken picture was published");
}
