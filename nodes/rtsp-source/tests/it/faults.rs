//! The source with misbehaving cameras: published frames, capture times and log lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use msight_node::testing::run_source;
use msight_picture::Picture;
use msight_proto::{ImageData, Sample};
use msight_rtsp_source::RtspSource;
use rtsp_types::Method;
use rtsp_types::headers::SESSION;
use tokio::time::timeout;

use crate::program;
use crate::stub::footage::Footage;
use crate::stub::rtp::Sender;
use crate::stub::{self, Stub};

const SIZE: &str = "320x180";

async fn frames(flags: &[&str], count: usize) -> Vec<Sample<ImageData>> {
    timeout(Duration::from_secs(60), run_source::<RtspSource>(flags, count))
        .await
        .expect("frames come within a minute")
        .expect("the source runs")
}

fn spacings(frames: &[Sample<ImageData>]) -> Vec<f64> {
    frames.windows(2).map(|w| w[1].head.capture_timestamp - w[0].head.capture_timestamp).collect()
}

fn widths(frames: &[Sample<ImageData>]) -> Vec<u64> {
    frames.iter().map(|frame| frame.body.size.as_ref().unwrap()[1]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_waits_for_an_absent_camera() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut program =
        program::start(&format!("rtsp://viewer:geheim@{port}/main"), &["--metrics", "127.0.0.1:0"]);
    let said = program.says("trying again").await;
    assert!(said.contains("connection refused; check"), "{said}");
    let footage = Footage::h264(SIZE, 100, 25, "");
    let _camera = Stub::start_at(&port.to_string(), move |camera, _| {
        camera.serve(&footage, &Method::Play)?;
        camera.play(&mut Sender::new(25.0), &footage, 25.0)
    });
    program.reaches("msight_rtsp_frames_total", 20).await;
    assert!(!program.log().contains("geheim"), "{}", program.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_camera_gets_a_teardown_when_the_source_ends() {
    let footage = Footage::h264(SIZE, 100, 25, "");
    let (asked, requests) = channel();
    let camera = Stub::start(move |camera, _| {
        camera.serve(&footage, &Method::Play)?;
        let mut sender = Sender::new(25.0);
        loop {
            for unit in &footage.units {
                // A client that has disconnected reads nothing more, but its request may have arrived.
                let _ = camera.unit(&mut sender, unit);
                std::thread::sleep(Duration::from_millis(40));
                let Some(request) = camera.request_by_now()? else { continue };
                let _ = camera.answer(&request, "200 OK", "", "");
                let _ = asked.send(request);
            }
        }
    });
    let mut program = program::start(&camera.url(""), &["--metrics", "127.0.0.1:0"]);
    program.reaches("msight_rtsp_frames_total", 5).await;
    program.stop().await;
    let request = requests.recv_timeout(Duration::from_secs(10)).expect("a last request");
    assert_eq!(*request.method(), Method::Teardown);
    let session = request.header(&SESSION).expect("which session");
    assert!(session.as_str().starts_with(stub::connection::SESSION), "{session:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_stops_responding_at_any_step_is_reopened() {
    let footage = Footage::h264(SIZE, 100, 25, "");
    let camera = Stub::start(move |camera, before| {
        match before {
            // Accepts the connection, and sends nothing.
            0 => return camera.wait_for_disconnect(),
            1 => camera.serve(&footage, &Method::Describe)?,
            2 => camera.serve(&footage, &Method::Setup)?,
            // Plays, and sends nothing.
            3 => camera.serve(&footage, &Method::Play)?,
            _ => {
                camera.serve(&footage, &Method::Play)?;
                camera.play(&mut Sender::new(25.0), &footage, 25.0)?;
            }
        }
        camera.wait_for_disconnect()
    });
    let flags = ["--connect-timeout", "0.5", "--read-timeout", "0.5", "--metrics", "127.0.0.1:0"];
    let mut program = program::start(&camera.url(""), &flags);
    for step in ["DESCRIBE", "SETUP", "PLAY"] {
        program.says(&format!("did not answer {step} within 0.5 s")).await;
    }
    program.says("no frame from").await;
    program.reaches("msight_rtsp_frames_total", 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_password_is_retried_rarely_so_that_no_account_is_locked() {
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = requests.clone();
    let camera = Stub::start(move |camera, _| {
        loop {
            let request = camera.request()?;
            if stub::connection::knows(&request, "abc") {
                seen.fetch_add(1, Ordering::Relaxed);
            }
            camera.challenge(&request, "abc")?;
        }
    });
    let mut program = program::start(&camera.url("viewer:geheim@"), &[]);
    let said = program.says("trying again").await;
    assert!(said.contains("refused the user name or the password"), "{said}");
    let delay: f64 =
        said.split("trying again in ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((15.0..=300.0).contains(&delay), "{delay} s");
    assert_eq!(
        (camera.connected().len(), requests.load(Ordering::Relaxed)),
        (1, 1),
        "one connection, one attempt"
    );
    assert!(!program.log().contains("geheim") && program.is_running(), "{}", program.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_that_changes_during_the_session_is_answered() {
    let footage = Footage::h264(SIZE, 50, 25, "");
    let renewed = Arc::new(AtomicUsize::new(0));
    let seen = renewed.clone();
    let camera = Stub::start(move |camera, _| {
        // The client's keepalive is due every half second, and each finds a new nonce.
        camera.lifetime = 1;
        let mut nonce = 0;
        camera.serve_to("nonce-0", &footage)?;
        let mut sender = Sender::new(25.0);
        loop {
            for unit in &footage.units {
                camera.unit(&mut sender, unit)?;
                std::thread::sleep(Duration::from_millis(40));
                let Some(request) = camera.request_by_now()? else { continue };
                nonce += 1;
                camera.challenge(&request, &format!("nonce-{nonce}"))?;
                let request = camera.request()?;
                if !stub::connection::knows(&request, &format!("nonce-{nonce}")) {
                    // Cameras end a session without keepalives like this.
                    return Ok(());
                }
                seen.fetch_add(1, Ordering::Relaxed);
                camera.answer(&request, "200 OK", "", "")?;
            }
        }
    });
    let frames = frames(&["-u", &camera.url("viewer:geheim@")], 75).await;
    assert!(renewed.load(Ordering::Relaxed) >= 3, "{renewed:?}");
    assert_eq!(camera.connected().len(), 1, "one session");
    assert!(spacings(&frames).iter().all(|spacing| *spacing < 0.3), "{:?}", spacings(&frames));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_report_a_day_off_is_rejected() {
    let footage = Footage::h264(SIZE, 100, 25, "");
    let camera = Stub::start(move |camera, _| {
        camera.serve(&footage, &Method::Play)?;
        let mut sender = Sender::new(25.0);
        camera.interleaved(1, &sender.report(86_400.0))?;
        for unit in &footage.units {
            camera.unit(&mut sender, unit)?;
            std::thread::sleep(Duration::from_millis(40));
            camera.interleaved(1, &sender.report(86_400.0))?;
        }
        camera.wait_for_disconnect()
    });
    for frame in frames(&["-u", &camera.url("")], 60).await {
        let age = frame.head.creation_timestamp - frame.head.capture_timestamp;
        assert!((-1.0..5.0).contains(&age), "captured {age} s before it was made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_recorded_frames_keeps_its_spacing() {
    let footage = Footage::h264(SIZE, 80, 25, "");
    let camera = Stub::start(move |camera, _| {
        camera.serve(&footage, &Method::Play)?;
        let mut sender = Sender::new(10.0);
        for unit in &footage.units[..50] {
            camera.unit(&mut sender, unit)?;
        }
        let live = Footage { units: footage.units[50..].to_vec() };
        camera.play(&mut sender, &live, 10.0)?;
        camera.wait_for_disconnect()
    });
    let spacings = spacings(&frames(&["-u", &camera.url("")], 70).await);
    // By their arrival they would be less than 10 ms apart. The clock corrects itself by some milliseconds on a busy machine.
    assert!(spacings[..48].iter().all(|spacing| (spacing - 0.1).abs() < 0.02), "{spacings:?}");
    assert!(spacings.iter().all(|spacing| (0.001..0.2).contains(spacing)), "{spacings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn video_with_a_wrong_declared_rate_is_published_in_real_time() {
    let camera = Stub::plays(Footage::h264(SIZE, 200, 25, ""), 21.0, || Sender::new(25.0));
    let frames = frames(&["-u", &camera.url("")], 190).await;
    let ages = frames.iter().map(|frame| frame.head.creation_timestamp - frame.head.capture_timestamp);
    let ages: Vec<f64> = ages.collect();
    // Without correction the last frame would be a second and a half too early.
    assert!(ages.iter().all(|age| (-0.5..3.0).contains(age)), "{ages:?}");
    let late = spacings(&frames[110..]);
    let fps = late.len() as f64 / late.iter().sum::<f64>();
    assert!((19.0..23.2).contains(&fps), "{fps} frames a second");
}

#[tokio::test(flavor = "multi_thread")]
async fn sequence_numbers_and_timestamps_may_wrap() {
    let camera = Stub::plays(Footage::h264(SIZE, 100, 25, ""), 25.0, || Sender {
        sequence: u16::MAX - 20,
        timestamp: u32::MAX - 25 * 3600,
        step: 3600,
    });
    let spacings = spacings(&frames(&["-u", &camera.url("")], 90).await);
    assert!(spacings.iter().all(|spacing| (spacing - 0.04).abs() < 0.01), "{spacings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_before_the_first_key_frame_are_counted_and_a_long_wait_is_logged() {
    let mut footage = Footage::h264(SIZE, 170, 1000, "");
    assert_eq!(footage.key_frames(), 1);
    let key = footage.units[0].clone();
    footage.units[0] = footage.units[1].clone();
    footage.units.push(key);
    let late = footage.units.len() as u64 - 1;
    let camera = Stub::plays(footage, 25.0, || Sender::new(25.0));
    let mut program = program::start(&camera.url(""), &["--metrics", "127.0.0.1:0"]);
    let said = program.says("waiting for a key frame").await;
    assert!(said.contains("no_key_frame") && said.contains("key frame interval"), "{said}");
    program.reaches("msight_rtsp_frames_total", 1).await;
    assert_eq!(program.count(r#"msight_rtsp_dropped_total{reason="no_key_frame""#), late);
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_cropping_and_4k_are_decoded() {
    for (size, options, width) in
        [(SIZE, "-slices 4 -threads 4", 320), ("1270x718", "", 1270), ("3840x2160", "", 3840)]
    {
        let footage = Footage::h264(size, 4, 2, options);
        let camera = Stub::plays(footage, 10.0, || Sender::new(10.0));
        let frames = frames(&["-u", &camera.url("")], 3).await;
        assert_eq!(widths(&frames), [width; 3], "{size}");
        let picture = Picture::from_image(&frames[2].body).unwrap().to_rgb();
        // The test picture has large fields of saturated colour, also in its last rows; a broken one is grey or green.
        for rows in [0..picture.height() / 4, picture.height() * 3 / 4..picture.height()] {
            let colours = rows.flat_map(|y| (0..picture.width()).map(move |x| (x, y)));
            let vivid = colours.filter(|&(x, y)| {
                let [r, g, b] = picture.get_pixel(x, y).0;
                r.max(g).max(b) - r.min(g).min(b) > 100
            });
            assert!(vivid.count() as u32 > picture.width() * picture.height() / 16, "{size}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_for_an_unsupported_stream_states_the_solution() {
    let streams = [
        ("interlaced", SIZE, "-flags +ildct+ilme -x264-params interlaced=1"),
        ("with more than 8 bit", SIZE, "-pix_fmt yuv420p10le"),
        ("in 4:2:2", SIZE, "-pix_fmt yuv422p"),
        ("in 4:4:4", SIZE, "-pix_fmt yuv444p"),
        ("lossless", SIZE, "-pix_fmt yuv420p -qp 0"),
        ("in monochrome", SIZE, "-pix_fmt gray"),
        ("with too large pictures (5120x2880", "5120x2880", "-pix_fmt yuv420p"),
    ];
    // They are independent of each other.
    let checks = streams.map(|(named, size, options)| {
        tokio::spawn(async move {
            let camera = Stub::plays(Footage::h264(size, 2, 1, options), 25.0, || Sender::new(25.0));
            let mut program = program::start(&camera.url("viewer:geheim@"), &[]);
            let said = program.says("trying again").await;
            assert!(said.contains("refused") && said.contains(named), "{named}: {said}");
            assert!(said.contains("H.264 baseline, main or high profile"), "{said}");
            assert!(!program.log().contains("geheim"), "{}", program.log());
        })
    });
    for check in checks {
        check.await.unwrap();
    }
}
