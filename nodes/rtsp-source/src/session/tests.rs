use std::net::TcpListener;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::*;
use crate::settings::Tls;
use crate::url::CameraUrl;
use msight_test_support::camera::{CREDENTIALS, Camera};

use msight_node::metrics::Metrics;

fn settings(url: &str) -> Settings {
    Settings {
        url: CameraUrl::parse(url, None, None).unwrap(),
        transport: Transport::Tcp,
        connect_timeout: Duration::from_secs(20),
        read_timeout: Duration::from_secs(20),
        max_skew: Some(10.0),
        tls: Tls::default(),
        with_access_units: false,
        key_frames_only: false,
    }
}

const PICTURES: Demand<'_> = Demand { pictures: true, packets: None };

fn counts() -> Arc<Counts> {
    Arc::new(Counts::new(&Metrics::default()))
}

async fn failure(settings: &Settings) -> String {
    match connect(settings, PICTURES, counts(), &TaskTracker::new()).await {
        Ok(_) => panic!("{} plays", settings.url),
        Err(error) => format!("{error:#}"),
    }
}

fn h264() -> String {
    Camera::h264("", ",width=320,height=180", "tune=zerolatency")
}

#[tokio::test]
async fn wrong_credentials_are_rejected_and_not_shown() {
    for (transport, auth) in
        [Transport::Tcp, Transport::Udp].into_iter().flat_map(|t| [(t, "basic"), (t, "digest")])
    {
        let camera = Camera::start(&h264(), &["--auth", auth]);
        let settings = |url: &str| Settings { transport, ..settings(url) };
        let said = failure(&settings(&camera.url("viewer:geheim@"))).await;
        assert!(
            said.starts_with("refused: ") && said.contains("refused the user name or the password"),
            "{said}"
        );
        assert!(!said.contains("geheim") && !said.contains("viewer"), "{said}");
        let said = failure(&settings(&camera.url(""))).await;
        assert!(said.starts_with("refused: ") && said.contains("MSIGHT_RTSP_PASSWORD"), "{said}");
        assert!(
            connect(&settings(&camera.url(CREDENTIALS)), PICTURES, counts(), &TaskTracker::new())
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn the_errors_for_other_codecs_and_paths_name_them() {
    let pipeline = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=20/1 \
                    ! x265enc speed-preset=ultrafast ! rtph265pay name=pay0 pt=96";
    let camera = Camera::start(pipeline, &[]);
    let said = failure(&settings(&camera.url(""))).await;
    assert!(said.contains("video H265") && said.contains("set the camera's stream to H.264"), "{said}");
    let said = failure(&settings(&camera.url("").replace("main", "nowhere"))).await;
    assert!(said.contains("check the path of the URL"), "{said}");
}

#[tokio::test]
async fn connecting_to_a_silent_or_absent_camera_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://{}/main", listener.local_addr().unwrap());
    for transport in [Transport::Tcp, Transport::Udp] {
        let connect_timeout = Duration::from_millis(300);
        let said = failure(&Settings { transport, connect_timeout, ..settings(&url) }).await;
        assert!(said.contains("did not answer DESCRIBE within 0.3 s"), "{said}");
    }
    drop(listener);
    for transport in [Transport::Tcp, Transport::Udp] {
        let said = failure(&Settings { transport, ..settings(&url) }).await;
        assert!(said.contains("cannot open camera rtsp://127.0.0.1") && said.contains("refused"), "{said}");
    }
}

#[tokio::test]
async fn the_session_ends_with_the_camera() {
    let camera = Camera::start(&h264(), &[]);
    let mut playing =
        connect(&settings(&camera.url("")), PICTURES, counts(), &TaskTracker::new()).await.unwrap();
    let mut receiver = playing.take_pictures().unwrap().units;
    let reading = tokio::spawn(playing.ended());
    let first = tokio::task::spawn_blocking(move || receiver.blocking_recv().map(|unit| (unit, receiver)));
    let (unit, mut receiver) = first.await.unwrap().unwrap();
    assert!(unit.unit.key && unit.unit.parameter_sets.is_some());
    drop(camera);
    let said = reading.await.unwrap().to_string();
    assert!(said.contains("ended the stream") || said.contains("session failed"), "{said}");
    tokio::task::spawn_blocking(move || while receiver.blocking_recv().is_some() {}).await.unwrap();
}
