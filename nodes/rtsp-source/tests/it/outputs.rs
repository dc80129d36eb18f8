//! Pictures and access units of one session, and cameras of which only one of the two can be had.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use msight_node::testing::run_source_with_both;
use msight_rtsp_source::{PACKETS, RtspSource};
use msight_test_support::camera::Camera;
use rtsp_types::Method;
use tokio::time::timeout;

use crate::program;
use crate::recording::Recording;
use crate::stub::Stub;
use crate::stub::footage::Footage;
use crate::stub::rtp::Sender;

const BOTH: [&str; 4] = ["--packet-topic", "units", "--metrics", "127.0.0.1:0"];

#[tokio::test(flavor = "multi_thread")]
async fn both_outputs_share_a_session() {
    let footage = Footage::h264("320x180", 75, 25, "");
    let camera = Stub::plays(footage, 25.0, || Sender::new(25.0));
    let url = camera.url("");
    let flags = ["-u", &url];
    let running = run_source_with_both::<RtspSource, _>(&PACKETS, &flags, 70);
    let (pictures, units) = timeout(Duration::from_secs(60), running).await.expect("in a minute").unwrap();
    assert_eq!(camera.connected().len(), 1);
    assert!(units.len() >= pictures.len(), "{} units", units.len());
    for (number, (picture, unit)) in pictures.iter().zip(&units).enumerate() {
        assert_eq!(picture.head.capture_timestamp, unit.head.capture_timestamp, "picture {number}");
        assert_eq!(picture.head.sensor_name, unit.head.sensor_name);
        assert_eq!((unit.body.sequence, unit.body.key), (number as u64, number % 25 == 0));
    }
    let sessions: HashSet<_> = units.iter().map(|unit| &unit.body.session).collect();
    assert_eq!(sessions.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_has_access_units_and_no_pictures() {
    let recording = Recording::video(3, "libx265", "-preset ultrafast -x265-params log-level=none");
    let camera = recording.camera("qtdemux ! h265parse ! rtph265pay name=pay0 pt=96");
    let mut alone = program::start(&camera.url(""), &[]);
    let said = alone.says("trying again").await;
    assert!(said.contains("H265") && said.contains("--packet-topic"), "{said}");
    let mut both = program::start(&camera.url(""), &BOTH);
    let said = both.says("-pt gets none").await;
    assert!(said.contains("WARN") && said.contains("H265"), "{said}");
    both.reaches("msight_rtsp_access_units_total{kind=\"video\"}", 20).await;
    assert_eq!(both.count("msight_rtsp_frames_total"), 0);
    both.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_that_cannot_be_decoded_has_access_units_and_no_pictures() {
    let footage = Footage::h264("320x180", 75, 25, "-pix_fmt yuv420p10le");
    let camera = Stub::plays(footage, 25.0, || Sender::new(25.0));
    let mut both = program::start(&camera.url(""), &BOTH);
    let said = both.says("no frames on -pt").await;
    assert!(said.contains("WARN") && said.contains("more than 8 bit"), "{said}");
    both.reaches("msight_rtsp_access_units_total{kind=\"video\"}", 60).await;
    assert_eq!((both.count("msight_rtsp_frames_total"), camera.connected().len()), (0, 1));
    both.stop().await;
}

/// The video is MPEG-4, which has no access units here.
#[tokio::test(flavor = "multi_thread")]
async fn a_track_that_is_left_out_is_named() {
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=stub\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 97\r\n\
               a=rtpmap:97 MP4V-ES/90000\r\na=control:video\r\nm=audio 0 RTP/AVP 0\r\na=control:audio\r\n";
    let camera = Stub::start(move |camera, _| {
        loop {
            let request = camera.request()?;
            let (headers, body) = match request.method() {
                Method::Describe => ("Content-Type: application/sdp\r\n", sdp),
                Method::Setup => ("Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n", ""),
                _ => ("Session: 1\r\n", ""),
            };
            camera.answer(&request, "200 OK", headers, body)?;
        }
    });
    let mut program = program::start(&camera.url(""), &BOTH);
    let said = program.says("going on without its").await;
    assert!(said.contains("WARN") && said.contains("MP4V-ES"), "{said}");
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_alone_has_no_pictures() {
    let pipeline =
        "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay0";
    let camera = Camera::start(pipeline, &[]);
    let mut program = program::start(&camera.url(""), &[]);
    let said = program.says("trying again").await;
    assert!(said.contains("PCMU") && said.contains("--packet-topic"), "{said}");
}

#[test]
fn one_of_both_outputs_is_required() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msight_launch_rtsp"));
    command.args(["-n", "test", "-sn", "sensor", "-u", "rtsp://127.0.0.1:1/main"]);
    let output = command.env("MSIGHT_EDGE_DEVICE_NAME", "test").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("error: one of the arguments -pt/--publish-topic --packet-topic is required"),
        "{said}"
    );
}
