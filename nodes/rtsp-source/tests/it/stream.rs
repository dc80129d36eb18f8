//! The source with a real RTSP server: published frames and capture times.

use std::process::Command;
use std::time::Duration;

use msight_node::testing::{in_process, run_source};
use msight_picture::{Colour, DecodedPicture, Picture};
use msight_proto::{ImageData, Sample};
use msight_rtsp_source::RtspSource;
use msight_test_support::camera::{CREDENTIALS, Camera, PASSWORD, USER};
use tokio::time::timeout;

const SMALL: &str = ",width=320,height=180";
const ZERO_LATENCY: &str = "tune=zerolatency";
/// A pyramid of B-frames keeps as many pictures in the decoder as any camera needs.
const B_FRAMES: &str = "bframes=3 b-adapt=false b-pyramid=true";
/// The payloader would ask for baseline, which has no B-frames.
const MAIN_PROFILE: &str = "! video/x-h264,profile=main";

async fn frames(flags: &[&str], count: usize) -> Vec<Sample<ImageData>> {
    timeout(Duration::from_secs(60), run_source::<RtspSource>(flags, count))
        .await
        .expect("frames come within a minute")
        .expect("the source runs")
}

fn capture_times(frames: &[Sample<ImageData>]) -> Vec<f64> {
    frames.iter().map(|frame| frame.head.capture_timestamp).collect()
}

/// Checks that all frames are present, in order, 1/20 s apart.
fn assert_complete(frames: &[Sample<ImageData>]) {
    let times = capture_times(frames);
    // In the first second, capture times may change from arrival to the camera's clock; later its reports may be
    // corrected.
    assert!(times.windows(2).skip(20).all(|w| (w[1] - w[0] - 0.05).abs() < 0.02), "{times:?}");
    assert!(times.windows(2).all(|w| w[0] < w[1]), "{times:?}");
    for frame in frames {
        let age = frame.head.creation_timestamp - frame.head.capture_timestamp;
        // The first frames may come at once, and are stamped ahead of their time then until this is slewed out.
        assert!((-0.5..5.0).contains(&age), "captured {age} s before it was made");
        assert_eq!(frame.head.sensor_name.as_deref(), Some("sensor"));
    }
    assert!(frames.windows(2).all(|w| w[0].head.frame_id < w[1].head.frame_id));
}

/// The mean colour of the picture.
fn mean_rgb(image: &ImageData) -> [f64; 3] {
    let rgb = Picture::from_image(image).unwrap().to_rgb();
    let mut sum = [0.0; 3];
    for pixel in rgb.pixels() {
        for (sum, value) in sum.iter_mut().zip(pixel.0) {
            *sum += f64::from(value);
        }
    }
    sum.map(|sum| sum / f64::from(rgb.width() * rgb.height()))
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_and_udp_with_basic_and_digest_authentication() {
    for (transport, auth) in [("tcp", "digest"), ("udp", "basic"), ("udp", "digest")] {
        let camera = Camera::start(
            &Camera::h264("", SMALL, ZERO_LATENCY),
            &["--auth", auth, "--protocols", transport],
        );
        let frames = frames(&["-u", &camera.url(CREDENTIALS), "--rtsp-transport", transport], 40).await;
        assert_complete(&frames);
        let image = &frames[0].body;
        assert_eq!(image.size, Some(vec![180, 320, 3]));
        assert!(image.is_encoded && image.image.as_ref().unwrap().bytes().unwrap().starts_with(b"\xff\xd8"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_transport_is_tried_if_the_camera_rejects_one() {
    for (has, wanted) in [("tcp", "udp"), ("udp", "tcp")] {
        let camera = Camera::start(&Camera::h264("", SMALL, ZERO_LATENCY), &["--protocols", has]);
        frames(&["-u", &camera.url(""), "--rtsp-transport", wanted], 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_in_presentation_order_with_b_frames() {
    let options = format!("{B_FRAMES} speed-preset=medium {MAIN_PROFILE}");
    let camera = Camera::start(&Camera::h264("pattern=ball", SMALL, &options), &[]);
    // The server's reports jump by the encoder's delay of two seconds when the machine is busy; what is tested here
    // is the order.
    assert_complete(&frames(&["-u", &camera.url(""), "--capture-clock", "arrival"], 110).await);
}

/// With B-frames pictures leave the decoder in another order than their units enter it.
#[tokio::test(flavor = "multi_thread")]
async fn frames_carry_the_access_units_that_they_were_decoded_from() {
    let options = format!("{B_FRAMES} speed-preset=medium {MAIN_PROFILE}");
    let camera = Camera::start(&Camera::h264("pattern=ball", SMALL, &options), &[]);
    let url = camera.url("");
    let frames = frames(&["-u", &url, "--capture-clock", "arrival", "--with-access-units"], 60).await;
    let units: Vec<_> =
        frames.iter().map(|frame| frame.body.access_unit.as_deref().expect("each has one")).collect();
    assert!(units[0].key && units[0].parameter_sets.is_some() && units[0].size == Some(vec![180, 320]));
    for pair in units.windows(2) {
        assert_eq!((&pair[0].session, pair[1].pts - pair[0].pts), (&pair[1].session, 4500));
    }
    assert!(units.iter().all(|unit| unit.codec == "h264" && unit.dts <= unit.pts && !unit.data.is_empty()));
    let mut sequence: Vec<u64> = units.iter().map(|unit| unit.sequence).collect();
    assert!(!sequence.is_sorted(), "presentation order is not decoding order: {sequence:?}");
    sequence.sort_unstable();
    sequence.dedup();
    assert_eq!(sequence.len(), units.len());
    let plain = self::frames(&["-u", &url], 1).await;
    assert_eq!(plain[0].body.access_unit, None, "they would double the load on Redis");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_left_out_evenly_and_by_count() {
    let camera = Camera::start(&Camera::h264("", SMALL, ZERO_LATENCY), &[]);
    let url = camera.url("");
    let times = capture_times(&frames(&["-u", &url, "--fps", "5"], 10).await);
    assert!(times.windows(2).skip(5).all(|w| (w[1] - w[0] - 0.2).abs() < 0.02), "{times:?}");
    let times = capture_times(&frames(&["-u", &url, "--gap", "1"], 30).await);
    assert!(times.windows(2).skip(10).all(|w| (w[1] - w[0] - 0.1).abs() < 0.02), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_kept() {
    // Large areas of red, green and blue, in both common matrices.
    for colorimetry in ["bt601", "bt709"] {
        let caps = format!("{SMALL},colorimetry={colorimetry}");
        let pipeline = Camera::h264(
            "pattern=solid-color foreground-color=0xffb43c14",
            &caps,
            "tune=zerolatency quantizer=10 pass=quant",
        );
        let camera = Camera::start(&pipeline, &[]);
        for format in ["jpeg", "raw"] {
            let frames = frames(&["-u", &camera.url(""), "--format", format, "-r", "0.5"], 2).await;
            let image = &frames[1].body;
            assert_eq!((image.is_encoded, &image.size), (format == "jpeg", &Some(vec![90, 160, 3])));
            let mean = mean_rgb(image);
            let wanted = [180.0, 60.0, 20.0];
            assert!(
                mean.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 4.0),
                "{colorimetry} {format}: {mean:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_resolution_may_change() {
    let pipeline = "videotestsrc is-live=true ! videoscale ! capsfilter name=size ! video/x-raw,framerate=20/1,format=I420 \
                    ! x264enc speed-preset=ultrafast tune=zerolatency key-int-max=20 ! rtph264pay name=pay0 pt=96";
    let camera = Camera::start(pipeline, &["--sizes", "320x180,160x120"]);
    let frames = frames(&["-u", &camera.url("")], 100).await;
    let sizes: Vec<_> = frames.iter().map(|frame| frame.body.size.clone().unwrap()[1]).collect();
    assert!(sizes.windows(2).filter(|w| w[0] != w[1]).count() >= 3, "{sizes:?}");
    assert_complete(&frames);
}

#[tokio::test(flavor = "multi_thread")]
async fn motion_jpeg_is_published_unchanged() {
    let pipeline = "videotestsrc is-live=true pattern=solid-color foreground-color=0xffb43c14 \
                    ! video/x-raw,width=320,height=176,framerate=20/1,format=I420 ! jpegenc ! rtpjpegpay name=pay0 pt=26";
    let camera = Camera::start(pipeline, &[]);
    let frames = frames(&["-u", &camera.url("")], 30).await;
    assert_complete(&frames);
    assert_eq!(frames[0].body.size, Some(vec![176, 320, 3]));
    assert_eq!(Picture::from_image(&frames[0].body).unwrap().size().width(), 320);
    let flags = ["-u", &camera.url(""), "-r", "0.5"];
    let smaller = timeout(Duration::from_secs(60), in_process::run_source::<RtspSource>(&flags, 2));
    let smaller = smaller.await.expect("frames come within a minute").expect("the source runs");
    assert_eq!(smaller[1].body.size, Some(vec![88, 160, 3]));
    assert_eq!(DecodedPicture::of(&smaller[1].body).expect("a picture").planes().size().width(), 160);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_camera_is_reopened() {
    // Each session has 30 frames and then stays open without further ones.
    let camera = Camera::start(&Camera::h264("num-buffers=30", SMALL, ZERO_LATENCY), &[]);
    let frames = frames(&["-u", &camera.url(""), "--read-timeout", "1"], 80).await;
    let times = capture_times(&frames);
    assert_eq!(times.windows(2).filter(|w| w[1] - w[0] > 0.5).count(), 2, "two gaps: {times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_and_restarted_camera_is_reopened() {
    let first = Camera::start(&Camera::h264("", SMALL, ZERO_LATENCY), &["--die-at", "40"]);
    let (url, port) = (first.url(""), first.port.to_string());
    let running = tokio::spawn(async move { frames(&["-u", &url], 60).await });
    tokio::task::spawn_blocking(|| first.wait()).await.unwrap();
    let second = Camera::h264("", ",width=160,height=120", ZERO_LATENCY);
    let _second = Camera::start(&second, &["--port", &port]);
    let frames = running.await.unwrap();
    let widths: Vec<_> = frames.iter().map(|frame| frame.body.size.clone().unwrap()[1]).collect();
    let before = widths.iter().take_while(|width| **width == 320).count();
    assert!((1..40).contains(&before), "{widths:?}");
    assert!(widths[before..].iter().all(|width| *width == 160), "{widths:?}");
    let times = capture_times(&frames);
    assert!(times.windows(2).all(|w| w[0] < w[1]), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_may_come_from_a_file() {
    let camera = Camera::start(&Camera::h264("", SMALL, ZERO_LATENCY), &["--auth", "digest"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{PASSWORD}\n")).unwrap();
    let file = file.path().to_str().unwrap();
    frames(&["-u", &camera.url(""), "--username", USER, "--password-file", file], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_may_come_from_the_environment() {
    // The environment of a process with threads cannot be changed safely, so this test runs itself in another process.
    const INSIDE: &str = "MSIGHT_TEST_CREDENTIALS_ARE_SET";
    if std::env::var_os(INSIDE).is_some() {
        frames(&[], 2).await;
        return;
    }
    let camera = Camera::start(&Camera::h264("", SMALL, ZERO_LATENCY), &["--auth", "basic"]);
    let inside = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stream::credentials_may_come_from_the_environment"])
        .env(INSIDE, "1")
        .env("MSIGHT_RTSP_URL", camera.url(""))
        .env("MSIGHT_RTSP_USERNAME", USER)
        .env("MSIGHT_RTSP_PASSWORD", PASSWORD)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inside.stdout);
    assert!(inside.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_process_messages_hold_the_decoders_pictures() {
    let camera = Camera::start(&Camera::h264("pattern=smpte75", SMALL, ZERO_LATENCY), &[]);
    for (flags, width) in [(&[][..], 320), (&["-r", "0.5"], 160)] {
        let (url, count) = (camera.url(""), 20);
        let flags = [&["-u", &url], flags].concat();
        let frames = timeout(Duration::from_secs(60), in_process::run_source::<RtspSource>(&flags, count));
        let frames = frames.await.expect("frames come within a minute").expect("the source runs");
        assert_complete(&frames);
        for frame in &frames {
            let decoded = DecodedPicture::of(&frame.body).expect("a decoded picture");
            assert_eq!((decoded.planes().colour(), decoded.planes().size().width()), (Colour::VIDEO, width));
            assert_eq!(frame.body.size.as_deref(), Some(&[width as u64 * 9 / 16, width as u64, 3][..]));
            // A resized picture is not what the camera sent.
            assert_eq!(frame.body.access_unit.is_some(), width == 320);
        }
        // A node that needs bytes gets the JPEG of a program's message.
        let mut bytes = frames[0].body.clone();
        bytes.image = bytes.image.map(|image| image.bytes().expect("a file").clone().into());
        let (planes, file) =
            (Picture::from_image(&frames[0].body).unwrap(), Picture::from_image(&bytes).unwrap());
        let squares =
            planes.planes().y().iter().zip(file.planes().y()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
        assert!(squares.sum::<f64>() / (planes.planes().y().len() as f64) < 40.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_jpeg_quality_makes_smaller_pictures() {
    // Each session begins with the same picture.
    let camera = Camera::start(&Camera::h264("pattern=circular", SMALL, ZERO_LATENCY), &[]);
    let url = camera.url("");
    let mut sizes = Vec::new();
    for flags in [&["--jpeg-quality", "10"][..], &[], &["--jpeg-quality", "90"]] {
        let frames = frames(&[&["-u", &url], flags].concat(), 1).await;
        sizes.push(frames[0].body.image.as_ref().unwrap().bytes().unwrap().len());
    }
    assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
}

#[test]
fn the_command_line_of_the_tutorial_is_accepted() {
    let command = msight_rtsp_source::ENTRY.command();
    command.clone().debug_assert();
    let args = "--name cam -u rtsp://10.0.0.1/main -pt frames --sensor-name gs -g 0 --gap 1"
        .split(' ')
        .map(Into::into);
    let matches = msight_node::argparse::parse(&command, args).unwrap_or_else(|_| panic!("it is refused"));
    assert_eq!(matches.get_one::<i64>("gpu"), Some(&0));
    assert_eq!(matches.get_one::<i64>("gap"), Some(&1));
}
