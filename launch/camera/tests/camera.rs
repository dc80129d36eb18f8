//! The camera with FFmpeg and with hostile clients.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use msight_camera::{Camera, CameraConfig};
use msight_test_support::until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

async fn small_camera() -> Camera {
    let config =
        CameraConfig { width: 320, height: 180, fps: 20.0, bitrate: 300_000, ..CameraConfig::default() };
    Camera::start(config).await.expect("the camera starts")
}

async fn run(program: &str, arguments: &[&str]) -> Output {
    let child = Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    timeout(PATIENCE, child)
        .await
        .expect("it ends in time")
        .expect("it is installed (apt-get install ffmpeg)")
}

/// Frames that FFmpeg decodes without a single complaint.
async fn decoded(url: &str, transport: &str, frames: u32) -> Vec<u8> {
    let count = frames.to_string();
    let arguments = [
        ["-v", "error"],
        ["-rtsp_transport", transport],
        ["-i", url],
        ["-frames:v", &count],
        ["-f", "rawvideo"],
        ["-pix_fmt", "yuv420p"],
    ];
    let output = run("ffmpeg", &[arguments.as_flattened(), &["-"]].concat()).await;
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{transport}: {complaints}");
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_it_over_tcp_and_udp() {
    let camera = small_camera().await;
    for transport in ["tcp", "udp"] {
        let pictures = decoded(&camera.url(), transport, 12).await;
        assert_eq!(pictures.len(), 12 * 320 * 180 * 3 / 2, "{transport}");
        // The yellow bar of the test card along the lower edge: BT.709 at 75 %.
        let last = &pictures[11 * 320 * 180 * 3 / 2..];
        let (x, y) = (30, 176);
        let sample = [last[y * 320 + x], last[320 * 180 + y / 2 * 160 + x / 2]];
        assert!(sample[0].abs_diff(168) < 12 && sample[1].abs_diff(44) < 12, "{transport}: {sample:?}");
    }
    until("all clients are gone", async || camera.stats().clients == 0).await;
    assert_eq!(camera.stats().frames_dropped, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_clients_play_at_once() {
    let camera = small_camera().await;
    let url = camera.url();
    let (one, two, three) =
        tokio::join!(decoded(&url, "tcp", 10), decoded(&url, "udp", 10), decoded(&url, "tcp", 10));
    assert!([one, two, three].iter().all(|pictures| pictures.len() == 10 * 320 * 180 * 3 / 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn ffprobe_reads_the_description() {
    let camera = small_camera().await;
    let entries =
        "stream=codec_name,profile,width,height,pix_fmt,color_range,color_space,has_b_frames,avg_frame_rate";
    let arguments = [
        "-v",
        "error",
        "-rtsp_transport",
        "tcp",
        "-show_entries",
        entries,
        "-of",
        "default=nw=1",
        &camera.url(),
    ];
    let output = run("ffprobe", &arguments).await;
    let said = String::from_utf8_lossy(&output.stdout);
    for line in [
        "codec_name=h264",
        "profile=Constrained Baseline",
        "width=320",
        "height=180",
        "pix_fmt=yuv420p",
        "color_range=tv",
        "color_space=bt709",
        "has_b_frames=0",
    ] {
        assert!(said.lines().any(|said| said == line), "{line} is not in:\n{said}");
    }
    // ffprobe measures the rate, which falls while the machine is busy, and says 0/0 where it could not. The description
    // has it exactly.
    let rate = said.lines().find_map(|line| line.strip_prefix("avg_frame_rate=")?.split_once('/'));
    let (frames, seconds) = rate.expect("a rate");
    let rate = frames.parse::<f64>().expect("a number") / seconds.parse::<f64>().expect("a number");
    assert!(rate.is_nan() || (5.0..22.0).contains(&rate), "{rate} frames a second");
    let description = Client::connect(&camera).await.ask("DESCRIBE", "", "").await;
    assert!(description.lines().any(|line| line == "a=framerate:20"), "{description}");
}

fn address(camera: &Camera) -> SocketAddr {
    let url = camera.url();
    let address = url.trim_start_matches("rtsp://").split('/').next().expect("an address");
    address.parse().expect("an address")
}

/// A client that speaks RTSP by hand.
struct Client {
    tcp: TcpStream,
    received: Vec<u8>,
    url: String,
    sequence: u32,
}

impl Client {
    async fn connect(camera: &Camera) -> Self {
        let tcp = TcpStream::connect(address(camera)).await.expect("it listens");
        Self { tcp, received: Vec::new(), url: camera.url(), sequence: 0 }
    }

    async fn more(&mut self) -> usize {
        timeout(PATIENCE, self.tcp.read_buf(&mut self.received)).await.expect("in time").expect("readable")
    }

    /// Sends a request and returns the text of the answer.
    async fn ask(&mut self, method: &str, track: &str, headers: &str) -> String {
        self.sequence += 1;
        let request =
            format!("{method} {}{track} RTSP/1.0\r\nCSeq: {}\r\n{headers}\r\n", self.url, self.sequence);
        self.tcp.write_all(request.as_bytes()).await.expect("writable");
        loop {
            while let Some((_, packet)) = self.packet() {
                drop(packet);
            }
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                let mut text: Vec<u8> = self.received.drain(..end + 4).collect();
                let head = String::from_utf8_lossy(&text).into_owned();
                let length =
                    header(&head, "Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
                while self.received.len() < length {
                    assert_ne!(self.more().await, 0, "the answer is cut short");
                }
                text.extend(self.received.drain(..length));
                return String::from_utf8(text).expect("text");
            }
            assert_ne!(self.more().await, 0, "no answer to {method}");
        }
    }

    /// The next interleaved packet that has been received wholly, with its channel.
    fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let [b'$', channel, high, low, ..] = self.received[..] else { return None };
        let length = 4 + usize::from(u16::from_be_bytes([high, low]));
        if self.received.len() < length {
            return None;
        }
        let packet: Vec<u8> = self.received.drain(..length).skip(4).collect();
        Some((channel, packet))
    }

    async fn next_packet(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some(packet) = self.packet() {
                return packet;
            }
            assert_ne!(self.more().await, 0, "the stream ended");
        }
    }

    async fn set_up(&mut self) -> String {
        let answer =
            self.ask("SETUP", "/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=2-3\r\n").await;
        assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
        let session = header(&answer, "Session").expect("a session");
        format!("Session: {}\r\n", session.split(';').next().expect("an id"))
    }
}

fn header(answer: &str, name: &str) -> Option<String> {
    let line =
        answer.lines().find(|line| line.to_ascii_lowercase().starts_with(&name.to_ascii_lowercase()))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

#[tokio::test]
async fn timestamps_sequence_numbers_and_reports_agree() {
    let camera = small_camera().await;
    let mut client = Client::connect(&camera).await;
    let session = client.set_up().await;
    let answer = client.ask("PLAY", "", &session).await;
    let info = header(&answer, "RTP-Info").expect("RTP-Info");
    let value = |name: &str| -> u32 {
        info.split(';').find_map(|part| part.strip_prefix(name)).expect("a value").parse().expect("a number")
    };
    let (first_sequence, start) = (value("seq="), value("rtptime="));

    // The report comes first, so that the first frame's time is known already.
    let (channel, report) = client.next_packet().await;
    assert_eq!((channel, report[1]), (3, 200));
    let ntp = f64::from(number(&report[8..12])) + f64::from(number(&report[12..16])) / 2_f64.powi(32);
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    assert!((ntp - 2_208_988_800.0 - wall).abs() < 5.0, "{ntp} is not now");
    let reported = number(&report[16..20]);
    assert!(reported.wrapping_sub(start) < 90_000 * 5);

    let (channel, first) = client.next_packet().await;
    assert_eq!(channel, 2);
    assert_eq!(u32::from(u16::from_be_bytes([first[2], first[3]])), first_sequence);
    let time = number(&first[4..8]);
    assert!(time.wrapping_sub(start) < 90_000 * 5, "a live stream starts at its first picture");
    // 24: the parameter sets come together before the key frame.
    assert_eq!(first[12] & 0x1f, 24);
}

#[tokio::test]
async fn a_session_lives_from_setup_to_teardown() {
    let camera = small_camera().await;
    let mut client = Client::connect(&camera).await;
    let answer = client.ask("DESCRIBE", "", "Accept: application/sdp\r\n").await;
    assert!(answer.contains("packetization-mode=1") && answer.contains("sprop-parameter-sets="), "{answer}");
    assert_eq!(header(&answer, "Content-Base"), Some(format!("{}/", camera.url())));

    let status = |answer: String| answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    assert_eq!(status(client.ask("PLAY", "", "").await), Some(454));
    let session = client.set_up().await;
    assert_eq!(status(client.ask("PLAY", "", "Session: 0000\r\n").await), Some(454));
    assert_eq!(status(client.ask("PLAY", "", &session).await), Some(200));
    client.next_packet().await;
    until("the client plays", async || camera.stats().clients == 1).await;
    assert_eq!(status(client.ask("GET_PARAMETER", "", &session).await), Some(200));
    assert_eq!(status(client.ask("SET_PARAMETER", "", &session).await), Some(200));
    assert_eq!(status(client.ask("OPTIONS", "", "").await), Some(200));
    assert_eq!(status(client.ask("PAUSE", "", &session).await), Some(200));
    until("all clients are gone", async || camera.stats().clients == 0).await;
    assert_eq!(status(client.ask("PLAY", "", &session).await), Some(200));
    assert_eq!(status(client.ask("TEARDOWN", "", &session).await), Some(200));
    until("all clients are gone", async || camera.stats().clients == 0).await;

    assert_eq!(status(client.ask("DESCRIBE", "/other", "").await), Some(404));
    assert_eq!(status(client.ask("RECORD", "", "").await), Some(501));
    assert_eq!(status(client.ask("SETUP", "", "Transport: RTP/AVP;multicast\r\n").await), Some(461));
    assert_eq!(status(client.ask("OPTIONS", "", "Require: implicit-play\r\n").await), Some(551));
}

#[tokio::test]
async fn malformed_requests_are_answered_and_disconnected() {
    let camera = small_camera().await;
    let endless = [b"OPTIONS * RTSP/1.0\r\nX: ".as_slice(), &[b'a'; 70_000]].concat();
    for (nonsense, expected) in [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(), "RTSP/1.0 400"),
        (endless.as_slice(), "RTSP/1.0 413"),
    ] {
        let mut client = Client::connect(&camera).await;
        // The camera may hang up before it has read everything.
        let _ = client.tcp.write_all(nonsense).await;
        while client.received.len() < expected.len() && client.more().await > 0 {}
        assert_eq!(String::from_utf8_lossy(&client.received[..expected.len()]), expected);
    }
}

#[tokio::test]
async fn clients_are_limited() {
    let config = CameraConfig { width: 320, height: 180, max_clients: 1, ..CameraConfig::default() };
    let camera = Camera::start(config).await.expect("the camera starts");
    let mut idle = Client::connect(&camera).await;
    idle.ask("OPTIONS", "", "").await;
    let mut first = Client::connect(&camera).await;
    assert_eq!(idle.more().await, 0, "a client that does not play makes room");
    let session = first.set_up().await;
    first.ask("PLAY", "", &session).await;
    let mut second = Client::connect(&camera).await;
    while second.more().await > 0 {}
    assert!(second.received.starts_with(b"RTSP/1.0 503"), "{}", String::from_utf8_lossy(&second.received));
    first.ask("OPTIONS", "", "").await;
}

#[tokio::test]
async fn clients_that_send_a_byte_now_and_then_shut_out_no_other() {
    let camera = small_camera().await;
    let mut playing = Client::connect(&camera).await;
    let session = playing.set_up().await;
    playing.ask("PLAY", "", &session).await;
    let mut slow = Vec::new();
    for _ in 0..145 {
        let mut client = Client::connect(&camera).await;
        let _ = client.tcp.write_all(b"OPTIONS rtsp://camera/ RTSP/1.0\r\n").await;
        slow.push(client);
    }
    for _ in 0..10 {
        for client in &mut slow {
            let _ = client.tcp.write_all(b"X").await;
        }
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.2:0".parse().expect("an address")).expect("an address of this machine");
        let tcp = socket.connect(address(&camera)).await.expect("it listens");
        let mut other = Client { tcp, received: Vec::new(), url: camera.url(), sequence: 0 };
        let description = timeout(Duration::from_secs(1), other.ask("DESCRIBE", "", "")).await;
        assert!(description.expect("an answer within a second").starts_with("RTSP/1.0 200 "));
    }
    // The client that plays was not disturbed.
    playing.ask("OPTIONS", "", "").await;
    playing.next_packet().await;
}

#[tokio::test]
async fn dropping_the_camera_ends_its_streams() {
    let camera = small_camera().await;
    let mut client = Client::connect(&camera).await;
    let session = client.set_up().await;
    client.ask("PLAY", "", &session).await;
    client.next_packet().await;
    drop(camera);
    let mut last = (0, Vec::new());
    loop {
        if let Some(packet) = client.packet() {
            last = packet;
        } else if client.more().await == 0 {
            break;
        }
    }
    assert_eq!((last.0, last.1[9]), (3, 203), "the last packet is a BYE");
}

#[tokio::test]
async fn invalid_settings_are_rejected() {
    for config in [
        CameraConfig { width: 641, ..CameraConfig::default() },
        CameraConfig { height: 100, ..CameraConfig::default() },
        CameraConfig { fps: 0.0, ..CameraConfig::default() },
        CameraConfig { fps: f32::NAN, ..CameraConfig::default() },
        CameraConfig { bitrate: 1, ..CameraConfig::default() },
        CameraConfig { path: "a b\r\n".into(), ..CameraConfig::default() },
        CameraConfig { bind: ([192, 0, 2, 1], 0).into(), ..CameraConfig::default() },
    ] {
        assert!(Camera::start(config.clone()).await.is_err(), "{config:?}");
    }
}
