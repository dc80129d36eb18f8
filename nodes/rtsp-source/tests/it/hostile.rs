//! The source with hostile servers: each session ends with an error in time, and memory stays bounded.

use std::io;
use std::time::{Duration, Instant};

use rtsp_types::Method;
use rtsp_types::headers::CSEQ;

use crate::program;
use crate::stub::Stub;
use crate::stub::connection::Connection;
use crate::stub::footage::Footage;
use crate::stub::rtp::Sender;

/// Bytes that a server sends before it stops.
const FLOOD: usize = 256 << 20;

/// Memory limit of the source. A tenth of the flood is its memory without load; the rest is its stated bounds.
const MAX_MEMORY: u64 = 96 << 20;

fn footage() -> Footage {
    Footage::h264("320x180", 10, 10, "")
}

/// Sends the same bytes until the client closes the connection.
fn flood(camera: &mut Connection, bytes: &[u8]) -> io::Result<()> {
    let many = bytes.repeat((1 << 20) / bytes.len() + 1);
    for _ in 0..FLOOD / many.len() {
        camera.send(&many)?;
    }
    camera.wait_for_disconnect()
}

/// Begins the answer to the first request, with further header lines.
fn begin(camera: &mut Connection, headers: &str) -> io::Result<()> {
    let request = camera.request()?;
    let cseq = request.header(&CSEQ).expect("every request has one");
    camera.send(format!(
        "RTSP/1.0 200 OK\r\nCSeq: {}\r\nContent-Type: application/sdp\r\n{headers}",
        cseq.as_str()
    ))
}

/// Runs the program against a server with this script until it ends the session with an error that has `expected`.
async fn session_fails_with(
    script: impl Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static,
    expected: &str,
) {
    let server = Stub::start(move |camera, _| script(camera));
    let flags = ["--connect-timeout", "3", "--read-timeout", "3"];
    let began = Instant::now();
    let mut program = program::start(&server.url("viewer:geheim@"), &flags);
    let said = program.says("trying again").await;
    assert!(said.contains(expected), "not {expected:?}: {said}");
    assert!(said.len() < 1500, "{said}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let peak = program.peak_memory();
    assert!(peak < MAX_MEMORY, "{expected}: {} MB", peak >> 20);
    assert!(!program.log().contains("geheim") && program.is_running(), "{}", program.log());
}

#[tokio::test]
async fn a_header_without_end() {
    session_fails_with(
        |camera| {
            begin(camera, "X: ")?;
            flood(camera, b"xxxxxxxxxxxxxxxx")
        },
        "an RTSP header of more than 64 kB",
    )
    .await;
}

#[tokio::test]
async fn headers_without_end() {
    session_fails_with(
        |camera| {
            begin(camera, "")?;
            flood(camera, b"X-Filler: 0123456789\r\n")
        },
        "an RTSP header of more than 64 kB",
    )
    .await;
}

#[tokio::test]
async fn a_body_of_a_gigabyte() {
    session_fails_with(
        |camera| {
            begin(camera, "Content-Length: 1073741824\r\n\r\n")?;
            flood(camera, b"v=0\r\n")
        },
        "an RTSP body of more than 1024 kB",
    )
    .await;
}

#[tokio::test]
async fn invalid_lengths() {
    for length in ["-1", "18446744073709551616", "0x10", "1 1", ""] {
        let server = Stub::start(move |camera, _| {
            begin(camera, &format!("Content-Length: {length}\r\n\r\n"))?;
            camera.wait_for_disconnect()
        });
        let mut program = program::start(&server.url(""), &["--connect-timeout", "1"]);
        let said = program.says("trying again").await;
        let is_named = said.contains("DESCRIBE") || said.contains("offers no stream");
        assert!(is_named && program.is_running(), "{length:?}: {said}");
    }
}

#[tokio::test]
async fn a_description_of_too_many_streams() {
    session_fails_with(
        |camera| {
            let request = camera.request()?;
            let sdp = footage().sdp() + &"m=video 0 RTP/AVP 97\r\n".repeat(40_000);
            camera.answer(&request, "200 OK", "Content-Type: application/sdp\r\n", &sdp)?;
            camera.wait_for_disconnect()
        },
        "did not answer SETUP",
    )
    .await;
}

#[tokio::test]
async fn a_description_of_one_endless_line() {
    session_fails_with(
        |camera| {
            let request = camera.request()?;
            let sdp = format!("v=0\r\na={}", "x".repeat(1_000_000));
            camera.answer(&request, "200 OK", "Content-Type: application/sdp\r\n", &sdp)?;
            camera.wait_for_disconnect()
        },
        "offers no stream",
    )
    .await;
}

#[tokio::test]
async fn redirects_without_end_are_not_followed() {
    session_fails_with(
        |camera| {
            loop {
                let request = camera.request()?;
                let url = request.request_uri().expect("it names the stream").to_string();
                camera.answer(&request, "302 Moved Temporarily", &format!("Location: {url}\r\n"), "")?;
            }
        },
        "answered DESCRIBE with 302",
    )
    .await;
}

#[tokio::test]
async fn half_a_response_and_then_silence() {
    session_fails_with(
        |camera| {
            begin(camera, "Content-Length: 500\r\n\r\nv=0\r\no=- 1 1")?;
            camera.wait_for_disconnect()
        },
        "did not answer DESCRIBE within 3 s",
    )
    .await;
}

#[tokio::test]
async fn another_protocol() {
    session_fails_with(
        |camera| {
            camera.request()?;
            flood(camera, &[0xa7, 0x13, b'\r', b'\n', 0x00, 0xff])
        },
        "DESCRIBE",
    )
    .await;
}

#[tokio::test]
async fn an_endless_response_while_playing() {
    session_fails_with(
        |camera| {
            camera.serve(&footage(), &Method::Play)?;
            camera.play(&mut Sender::new(25.0), &footage(), 25.0)?;
            camera.send("RTSP/1.0 200 OK\r\nX: ")?;
            flood(camera, b"xxxxxxxxxxxxxxxx")
        },
        "no frame",
    )
    .await;
}

#[tokio::test]
async fn packets_that_never_complete_a_frame() {
    session_fails_with(
        |camera| {
            camera.serve(&footage(), &Method::Play)?;
            let mut sender = Sender::new(25.0);
            // The first fragment of a NAL unit (FU-A), followed by endless further ones.
            for number in 0.. {
                let mut payload = vec![0x7c, if number == 0 { 0x85 } else { 0x05 }];
                payload.resize(60_000, 0x55);
                let packet = sender.packet(false, &payload);
                camera.interleaved(0, &packet)?;
            }
            Ok(())
        },
        "no frame",
    )
    .await;
}

#[tokio::test]
async fn packets_of_channels_that_were_not_requested() {
    session_fails_with(
        |camera| {
            camera.serve(&footage(), &Method::Play)?;
            flood(camera, b"$\x09\x00\x08garbage!")
        },
        "no frame",
    )
    .await;
}

#[tokio::test]
async fn packets_that_are_not_rtp() {
    session_fails_with(
        |camera| {
            camera.serve(&footage(), &Method::Play)?;
            flood(camera, b"$\x00\x00\x08garbage!")
        },
        "no frame",
    )
    .await;
}

#[tokio::test]
async fn rtp_that_is_not_h264() {
    session_fails_with(
        |camera| {
            camera.serve(&footage(), &Method::Play)?;
            let mut sender = Sender::new(25.0);
            for number in 0..=u8::MAX {
                let packet = sender.packet(number % 3 == 0, &[number; 400]);
                camera.interleaved(0, &packet)?;
            }
            camera.wait_for_disconnect()
        },
        "no frame",
    )
    .await;
}

#[tokio::test]
async fn parameter_sets_of_absurd_sizes() {
    for (macroblocks, expected) in
        [(1024, "too large pictures (16384x16384"), (65_536, "too large pictures (1048576x1048576")]
    {
        let sps = square_sps(macroblocks);
        let script = move |camera: &mut Connection| {
            camera.serve(&footage(), &Method::Play)?;
            let mut unit = footage().units[0].clone();
            unit.retain(|nal| nal[0] & 0x1f != 7);
            unit.insert(0, sps.clone());
            let mut sender = Sender::new(25.0);
            camera.unit(&mut sender, &unit)?;
            // The next picture ends the first.
            camera.unit(&mut sender, &footage().units[1])?;
            camera.wait_for_disconnect()
        };
        session_fails_with(script, expected).await;
    }
}

/// A baseline sequence parameter set (ITU-T H.264, section 7.3.2.1.1) with this many macroblocks per side.
fn square_sps(macroblocks: u32) -> Vec<u8> {
    let ue = |value: u32| {
        let code = format!("{:b}", value + 1);
        "0".repeat(code.len() - 1) + &code
    };
    // Identifier, log2_max_frame_num, picture order type 2, one reference, no gaps; the size; frames only, direct
    // inference, no cropping, no VUI, the stop bit.
    let size = ue(macroblocks - 1);
    let mut bits = ue(0) + &ue(0) + &ue(2) + &ue(1) + "0" + &size + &size + "11001";
    while !bits.len().is_multiple_of(8) {
        bits.push('0');
    }
    let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
    let mut nal = vec![0x67, 66, 0xc0, 30];
    for byte in bits.as_bytes().chunks(8).map(byte) {
        // Emulation prevention (section 7.4.1.1).
        if nal.ends_with(&[0, 0]) && byte < 4 {
            nal.push(3);
        }
        nal.push(byte);
    }
    nal
}
