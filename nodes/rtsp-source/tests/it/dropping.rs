//! A camera that drops its session repeatedly and accepts a new one at once: a real RTSP server behind a proxy that
//! closes connections.

use std::time::Duration;

use msight_node::testing::run_source;
use msight_rtsp_source::RtspSource;
use msight_test_support::DEADLINE;
use msight_test_support::camera::Camera;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Duration of a connection.
const SESSION: Duration = Duration::from_secs(2);
/// Usual duration of the sessions of such cameras, in seconds.
const USUAL_SESSION: f64 = 8.0;

/// Starts a proxy to the camera that closes each connection after [`SESSION`]. Returns its port.
async fn proxy(camera: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut camera = TcpStream::connect(("127.0.0.1", camera)).await?;
                timeout(SESSION, copy_bidirectional(&mut client, &mut camera)).await?
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_drops_its_sessions_is_recorded_for_most_of_the_time() {
    let camera = Camera::start(&Camera::h264("", ",width=320,height=180", "tune=zerolatency"), &[]);
    let url = format!("rtsp://127.0.0.1:{}/main", proxy(camera.port).await);
    let flags = ["-u", &url, "--capture-clock", "arrival"];
    let frames = timeout(DEADLINE, run_source::<RtspSource>(&flags, 200)).await.unwrap().unwrap();
    let times: Vec<f64> = frames.iter().map(|frame| frame.head.capture_timestamp).collect();
    let pauses: Vec<f64> =
        times.windows(2).map(|pair| pair[1] - pair[0]).filter(|pause| *pause > 0.2).collect();
    assert!(pauses.len() >= 3, "{pauses:?}");
    let mean = pauses.iter().sum::<f64>() / pauses.len() as f64;
    let recorded = USUAL_SESSION / (USUAL_SESSION + mean);
    assert!(recorded >= 0.85, "{recorded:.2}, with pauses of {pauses:?} s");
}
