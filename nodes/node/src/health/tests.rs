use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::metrics::{Metric, Unit};

struct Served {
    address: SocketAddr,
    metrics: Metrics,
    health: Health,
    stop: CancellationToken,
}

impl Served {
    async fn start() -> Self {
        let (metrics, health, stop) = (Metrics::default(), Health::default(), CancellationToken::new());
        let address =
            serve(([127, 0, 0, 1], 0).into(), metrics.clone(), health.clone(), stop.clone()).await.unwrap();
        Self { address, metrics, health, stop }
    }

    /// Everything the server says to these bytes, until it closes.
    async fn say(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may close before it has read all of a hostile request.
        let _ = stream.write_all(request).await;
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response).await;
        String::from_utf8(response).unwrap()
    }

    async fn get(&self, path: &str) -> (String, String) {
        let response = self.say(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await;
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }
}

const FRAMES: Metric = Metric::count("msight_frames_total", Unit::Frames, "Frames.");

#[tokio::test]
async fn the_three_paths() {
    let served = Served::start().await;
    served.metrics.counter(&FRAMES).inc();
    let (status, body) = served.get("/metrics").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body.contains("\nmsight_frames_total 1\n"), "{body}");

    assert_eq!(served.get("/healthz").await, ("HTTP/1.1 200 OK".into(), "ok\n".into()));

    let unready =
        |reason: &str| ("HTTP/1.1 503 Service Unavailable".to_owned(), format!("not ready: {reason}\n"));
    assert_eq!(served.get("/readyz").await, unready("starting"));
    served.health.set_reason("waiting for Redis");
    assert_eq!(served.get("/readyz").await, unready("waiting for Redis"));
    served.health.set_ready(true);
    assert_eq!(served.get("/readyz").await, ("HTTP/1.1 200 OK".into(), "ready\n".into()));
    served.health.set_ready(false);
    assert_eq!(served.get("/readyz").await, unready("waiting for Redis"));

    assert_eq!(served.get("/").await.0, "HTTP/1.1 404 Not Found");
    let post = served.say(b"POST /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").await;
    assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    let head = served.say(b"HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn hostile_requests_end_and_others_are_served() {
    let served = Served::start().await;
    let endless = [b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &vec![b'x'; 1 << 20]].concat();
    let response = served.say(&endless).await;
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 4"), "{response}");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
    assert!(served.say(many.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    assert!(served.say(b"\x16\x03\x01\x00\xff\xff\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    assert_eq!(served.get("/healthz").await.0, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn clients_that_send_a_byte_now_and_then_shut_out_no_other() {
    let served = Served::start().await;
    let slow = async {
        let mut slow = Vec::new();
        for _ in 0..145 {
            let mut stream = TcpStream::connect(served.address).await.unwrap();
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\n").await;
            slow.push(stream);
        }
        slow
    };
    let mut slow = slow.await;
    for _ in 0..10 {
        for stream in &mut slow {
            let _ = stream.write_all(b"X").await;
        }
        let answer = tokio::time::timeout(Duration::from_secs(1), served.get("/healthz")).await;
        assert_eq!(answer.expect("an answer within a second").0, "HTTP/1.1 200 OK");
    }
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let served = Served::start().await;
    let error = serve(served.address, Metrics::default(), Health::default(), CancellationToken::new()).await;
    let message = error.unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("cannot listen on {} for --metrics: ", served.address)),
        "{message}"
    );
    assert_eq!(message.matches("address in use").count(), 1, "{message}");
    assert!(message.contains("choose another address"), "{message}");
}

#[tokio::test]
async fn stop_frees_the_address() {
    let served = Served::start().await;
    let mut open = TcpStream::connect(served.address).await.unwrap();
    served.stop.cancel();
    // The connection that was open ends too.
    let mut rest = Vec::new();
    let _ = open.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(served.address).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "the server still accepts");
        tokio::task::yield_now().await;
    }
}
