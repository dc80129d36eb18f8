//! UDP from GStreamer's RTSP server to access units.

use std::sync::Arc;
use std::time::Duration;

use msight_media::AccessUnit;
use msight_node::metrics::Metrics;
use msight_test_support::camera::Camera;
use msight_test_support::film::film;
use tokio_util::task::TaskTracker;

use crate::counts::{Counts, Discard};
use crate::session::{Demand, connect};
use crate::settings::{Settings, Tls, Transport};
use crate::url::CameraUrl;

const PICTURES: Demand<'_> = Demand { pictures: true, packets: None };

/// All units of a session, the reason for its end, and its counters.
async fn session(url: &str, silence: Duration) -> (Vec<AccessUnit>, String, Arc<Counts>) {
    let settings = Settings {
        url: CameraUrl::parse(url, None, None).unwrap(),
        transport: Transport::Udp,
        connect_timeout: Duration::from_secs(20),
        read_timeout: silence,
        max_skew: None,
        tls: Tls::default(),
        with_access_units: false,
        key_frames_only: false,
    };
    let counts = Arc::new(Counts::new(&Metrics::default()));
    let mut playing = connect(&settings, PICTURES, counts.clone(), &TaskTracker::new()).await.unwrap();
    let mut units = playing.take_pictures().unwrap().units;
    let collecting = tokio::task::spawn_blocking(move || {
        std::iter::from_fn(|| units.blocking_recv().map(|encoded| encoded.unit)).collect()
    });
    let end = playing.ended().await.to_string();
    (collecting.await.unwrap(), end, counts)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_packet_of_a_1080p_camera_is_lost() {
    const FRAMES: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let options = "keyint=20:scenecut=0";
    let camera = Camera::start(&film(folder.path(), "1920x1080", 10, 6, "4M", options), &[]);
    let (units, end, counts) = session(&camera.url(""), Duration::from_secs(3)).await;
    let largest = units.iter().map(|unit| unit.data.len()).max().unwrap();
    assert!(largest > 120_000, "the default receive buffer would hold {largest} bytes");
    assert_eq!((units.len(), counts.lost_packets.get()), (FRAMES, 0), "{end}");
    assert!(units.iter().all(|unit| !unit.after_loss));
    for reason in [Discard::Late, Discard::Duplicate, Discard::Stray] {
        assert_eq!(counts.discarded(reason).get(), 0, "{reason:?}");
    }
    assert!(end.contains("no frame from") && end.contains("--rtsp-transport tcp"), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_ends_with_the_camera() {
    let pipeline = Camera::h264("", ",width=320,height=180", "tune=zerolatency");
    let camera = Camera::start(&pipeline, &["--die-at", "30"]);
    let (units, end, _) = session(&camera.url(""), Duration::from_secs(60)).await;
    assert!((1..30).contains(&units.len()) && units[0].key, "{} units", units.len());
    assert!(end.contains("ended the stream") || end.contains("session failed"), "{end}");
}
