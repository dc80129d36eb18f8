//! An S3 server over a temporary folder that checks signatures, and misbehaves as it is told.

#![allow(dead_code, reason = "each test program uses its part")]

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use s3s::auth::SimpleAuth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) const ACCESS_KEY: &str = "AKIDEXAMPLE";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";

/// What a request was.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) at: Instant,
}

impl Seen {
    /// An upload of an object, whole or a part of it, with this extension.
    pub(crate) fn puts(&self, extension: &str) -> bool {
        self.method == "PUT" && self.path.ends_with(extension)
    }
}

/// How to misbehave.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// An error, with its S3 code, instead of doing anything. Without a code it is plain text, as from a proxy.
    Answer(u16, &'static str),
    /// As `Answer(429, "TooManyRequests")`, with this `Retry-After`.
    Busy(&'static str),
    /// The connection breaks when so many bytes of the body have come and others are on their way.
    BreakAfter(usize),
    /// Served, but the body is read at so many bytes a second.
    Drip(usize),
    /// The request is served, and the connection breaks before the answer.
    LoseAnswer,
    /// No answer, ever.
    Stall,
    /// The request is served, and no answer ever comes.
    StoreAndStall,
    /// The server's clock is so many seconds ahead: what is signed by another is refused, the rest served.
    Clock(i64),
    /// The bucket is in this region: what is signed for another is sent there, the rest served.
    Region(&'static str),
    /// Served, with this ETag in the answer.
    Etag(&'static str),
    /// Served, but so many bytes of the object are all that is stored, and the answer's ETag is of something else.
    Tear(u64),
    /// A page of HTML with status 200, as captive portals have it.
    Portal,
}

struct Rule {
    applies: fn(&Seen) -> bool,
    times: usize,
    fault: Fault,
}

#[derive(Default)]
struct Log {
    rules: Vec<Rule>,
    seen: Vec<Seen>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    root: tempfile::TempDir,
    log: Arc<Mutex<Log>>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// A server on a free port, with the bucket `videos`.
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), true).await
    }

    /// As [`start`](Self::start), for requests without a signature.
    pub(crate) async fn start_unsigned() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), false).await
    }

    pub(crate) async fn start_at(address: SocketAddr, signed: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("videos")).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        if signed {
            builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        }
        // The clock is a fault of ours.
        let mut config = S3Config::default();
        config.presigned_url_max_skew_time_secs = u32::MAX;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        let service = builder.build();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let accepting = tokio::spawn(accept(listener, service, log.clone(), root.path().to_owned()));
        Self { address, root, log, accepting }
    }

    /// Misbehaves at the next `times` requests to which the rule applies.
    pub(crate) fn fault(&self, times: usize, fault: Fault, applies: fn(&Seen) -> bool) {
        self.log.lock().unwrap().rules.push(Rule { applies, times, fault });
    }

    pub(crate) fn behave(&self) {
        self.log.lock().unwrap().rules.clear();
    }

    pub(crate) fn seen(&self, which: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        self.log.lock().unwrap().seen.iter().filter(|seen| which(seen)).cloned().collect()
    }

    pub(crate) fn count(&self, which: impl Fn(&Seen) -> bool) -> usize {
        self.seen(which).len()
    }

    /// The keys in the bucket, sorted.
    pub(crate) fn keys(&self) -> Vec<String> {
        let bucket = self.root.path().join("videos");
        let mut folders = vec![bucket.clone()];
        let mut keys = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path: PathBuf = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    keys.push(path.strip_prefix(&bucket).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        keys.sort();
        keys
    }

    pub(crate) fn object(&self, key: &str) -> Vec<u8> {
        std::fs::read(self.root.path().join("videos").join(key)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, service: S3Service, log: Arc<Mutex<Log>>, root: PathBuf) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let (service, log, root) = (service.clone(), log.clone(), root.clone());
        connections.spawn(async move {
            let answer = service_fn(|request| answer(request, service.clone(), log.clone(), root.clone()));
            // A small buffer, so that a body is where the faults say it is.
            let _ = hyper::server::conn::http1::Builder::new()
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(socket), answer)
                .await;
        });
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the connection breaks, as told")]
struct Broken;

async fn answer(
    request: Request<Incoming>,
    service: S3Service,
    log: Arc<Mutex<Log>>,
    root: PathBuf,
) -> Result<Response<s3s::Body>, Broken> {
    let seen = Seen {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: request.headers().clone(),
        at: Instant::now(),
    };
    let fault = {
        let mut log = log.lock().unwrap();
        let rule = log.rules.iter_mut().find(|rule| rule.times > 0 && (rule.applies)(&seen));
        let fault = rule.map(|rule| {
            rule.times -= 1;
            rule.fault.clone()
        });
        log.seen.push(seen);
        fault
    };
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let signed = |header: &str| head.headers.get(header).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match &fault {
        Some(Fault::BreakAfter(bytes)) => {
            let mut read = 0;
            while read < *bytes
                && let Some(Ok(frame)) = body.frame().await
            {
                read += frame.data_ref().map_or(0, Bytes::len);
            }
            return Err(Broken);
        }
        Some(Fault::Stall) => std::future::pending::<()>().await,
        Some(Fault::Answer(status, code)) => {
            let _ = body.collect().await;
            return Ok(error(*status, code).header("retry-after", "0").body(text(code)).unwrap());
        }
        Some(Fault::Busy(asked)) => {
            let _ = body.collect().await;
            let code = "TooManyRequests";
            return Ok(error(429, code).header("retry-after", *asked).body(text(code)).unwrap());
        }
        Some(Fault::Portal) => {
            let _ = body.collect().await;
            return Ok(Response::new(s3s::Body::from("<html>Please pay</html>".to_owned())));
        }
        Some(Fault::Clock(ahead)) if !in_time(signed("x-amz-date"), *ahead) => {
            let _ = body.collect().await;
            let code = "RequestTimeTooSkewed";
            return Ok(error(403, code).header("date", date(*ahead)).body(text(code)).unwrap());
        }
        Some(Fault::Region(region)) if !signed("authorization").contains(&format!("/{region}/s3/")) => {
            let _ = body.collect().await;
            let code = "PermanentRedirect";
            return Ok(error(301, code).header("x-amz-bucket-region", *region).body(text(code)).unwrap());
        }
        _ => {}
    }
    if let Some(Fault::Drip(rate)) = fault {
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame.map_err(|_| Broken)?.into_data().unwrap_or_default();
            tokio::time::sleep(Duration::from_secs_f64(data.len() as f64 / rate as f64)).await;
            read.extend_from_slice(&data);
        }
        let request = Request::from_parts(head, s3s::Body::from(Bytes::from(read)));
        return service.call(request).await.map_err(|_| Broken);
    }
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let request = Request::from_parts(head, s3s::Body::from(body));
    let mut answer = service.call(request).await.map_err(|_| Broken)?;
    match fault {
        Some(Fault::LoseAnswer) => return Err(Broken),
        Some(Fault::StoreAndStall) => std::future::pending::<()>().await,
        Some(Fault::Etag(etag)) => {
            answer.headers_mut().insert("etag", etag.parse().unwrap());
        }
        Some(Fault::Tear(bytes)) => {
            let key = percent_encoding::percent_decode_str(&path).decode_utf8().unwrap();
            let object = std::fs::OpenOptions::new().write(true).open(root.join(&key[1..])).unwrap();
            object.set_len(bytes).unwrap();
            answer.headers_mut().insert("etag", "\"00000000000000000000000000000000\"".parse().unwrap());
        }
        Some(Fault::Clock(ahead)) => {
            answer.headers_mut().insert("date", date(ahead).parse().unwrap());
        }
        _ => {}
    }
    Ok(answer)
}

fn error(status: u16, code: &str) -> hyper::http::response::Builder {
    let kind = if code.is_empty() { "text/plain" } else { "application/xml" };
    Response::builder().status(status).header("content-type", kind)
}

fn text(code: &str) -> s3s::Body {
    s3s::Body::from(match code {
        "" => "Client sent an HTTP request to an HTTPS server.".to_owned(),
        code => format!("<Error><Code>{code}</Code><Message>as told</Message></Error>"),
    })
}

fn now(ahead: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(ahead)
}

/// As HTTP has dates.
fn date(ahead: i64) -> String {
    now(ahead).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Whether the signature's time is within the quarter of an hour that S3 allows.
fn in_time(signed: &str, ahead: i64) -> bool {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", signed).unwrap();
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    now(ahead).duration_since(time).abs() < SignedDuration::from_mins(15)
}
