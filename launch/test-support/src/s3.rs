//! An S3 server over a temporary folder that checks signatures, and misbehaves as it is told.

mod answer;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use self::answer::answer;

/// The key that requests are signed with.
pub const ACCESS_KEY: &str = "AKIDEXAMPLE";
/// The secret that requests are signed with.
pub const SECRET_KEY: &str = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";

/// What a request was.
#[derive(Debug, Clone)]
pub struct Seen {
    /// As in HTTP.
    pub method: String,
    /// Percent-encoded, from `/` on.
    pub path: String,
    /// What follows the path, or nothing.
    pub query: String,
    /// All of them.
    pub headers: hyper::HeaderMap,
    /// When it came.
    pub at: Instant,
}

impl Seen {
    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// An upload of an object, whole or a part of it, with this extension.
    pub fn puts(&self, extension: &str) -> bool {
        self.method == "PUT" && self.path.ends_with(extension)
    }
}

/// How to misbehave.
#[derive(Debug, Clone)]
pub enum Fault {
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
    /// Served, without an ETag in the answer.
    NoEtag,
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

/// A server that runs until it is dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    root: tempfile::TempDir,
    log: Arc<Mutex<Log>>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// A server on a free port, with the bucket `videos`.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), true).await
    }

    /// As [`start`](Self::start), for requests without a signature.
    pub async fn start_unsigned() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), false).await
    }

    /// Serves on a given address.
    pub async fn start_at(address: SocketAddr, signed: bool) -> Self {
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
    pub fn fault(&self, times: usize, fault: Fault, applies: fn(&Seen) -> bool) {
        self.log.lock().unwrap().rules.push(Rule { applies, times, fault });
    }

    /// Ends all misbehaviour.
    pub fn behave(&self) {
        self.log.lock().unwrap().rules.clear();
    }

    /// The requests so far that are meant.
    pub fn seen(&self, which: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        self.log.lock().unwrap().seen.iter().filter(|seen| which(seen)).cloned().collect()
    }

    /// How many they are.
    pub fn count(&self, which: impl Fn(&Seen) -> bool) -> usize {
        self.seen(which).len()
    }

    /// The keys in the bucket, sorted.
    pub fn keys(&self) -> Vec<String> {
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

    /// The bytes of an object.
    pub fn object(&self, key: &str) -> Vec<u8> {
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
