//! `--metrics ADDR`: metrics and health over HTTP, for Prometheus, docker and Kubernetes.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | [`Metrics::render`] |
//! | `/healthz` | 200 while the process works at all |
//! | `/readyz` | 200 when the node does its work, else 503 with what it waits for |
//!
//! It is meant for a trusted network, and still survives what comes in: few connections, small heads, short
//! times, no bodies. Every connection is accepted at once, so that a client that sends nothing shuts out no other.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use msight_listener::{Limits, Listener, WhenBusy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::metrics::{self, Metrics};

/// Connections at a time; a further one ends one of those. Behind a proxy all clients have one address.
const LIMITS: Limits = Limits { total: 64, per_address: 48, when_busy: WhenBusy::EndOldest };
/// From a connection to its end, which comes after one answer.
const MAX_CONNECTION_TIME: Duration = Duration::from_secs(5);
/// The smallest that hyper can be told.
const MAX_HEAD_BYTES: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;

/// Whether the node does its work. Clones share the answer; it begins as not ready.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: watch::Sender<State>,
    /// The node has become blocked, or is no longer.
    block_changed: Notify,
}

/// What a node has said of its health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    ready: bool,
    reason: String,
    blocked: Option<String>,
}

impl Health {
    /// Whether the node does its work now.
    pub fn set_ready(&self, ready: bool) {
        self.update(|state| state.ready = ready);
    }

    /// What the node waits for while it is not ready. It is shown to anyone who can connect, so it holds no credentials.
    pub fn set_reason(&self, reason: &str) {
        self.update(|state| reason.clone_into(&mut state.reason));
    }

    /// Reports that something outside keeps the node from its work, and what; `None` ends that. A blocked node is not
    /// ready, and its record says ERROR: this is for what the kit cannot see, such as a bucket that refuses uploads.
    /// The text is shown to anyone who can connect, so it holds no credentials.
    pub fn set_blocked(&self, reason: Option<String>) {
        let mut changed = false;
        self.update(|state| {
            changed = state.blocked.is_some() != reason.is_some();
            state.blocked = reason;
        });
        if changed {
            self.0.block_changed.notify_one();
        }
    }

    /// What outside keeps the node from its work.
    pub(crate) fn blocked(&self) -> Option<String> {
        self.0.state.borrow().blocked.clone()
    }

    /// Waits until [`blocked`](Self::blocked) begins or ends. For one waiter.
    pub(crate) async fn block_changed(&self) {
        self.0.block_changed.notified().await;
    }

    /// Why the node is not ready; `None` when it is.
    pub fn unready(&self) -> Option<String> {
        let state = self.0.state.borrow();
        match (state.ready, state.reason.as_str()) {
            (true, _) => state.blocked.clone(),
            (false, "") => Some("starting".to_owned()),
            (false, reason) => Some(reason.to_owned()),
        }
    }

    /// Tells when the answer of [`unready`](Self::unready) may be another one.
    pub(crate) fn changes(&self) -> watch::Receiver<State> {
        self.0.state.subscribe()
    }

    fn update(&self, work: impl FnOnce(&mut State)) {
        self.0.state.send_if_modified(|state| {
            let before = state.clone();
            work(state);
            *state != before
        });
    }
}

/// Why metrics cannot be served.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} for --metrics: {}; choose another address, or port 0 for any free one",
    reason.kind()
)]
pub struct ListenError {
    address: SocketAddr,
    // Not called a source: the message has it already.
    reason: io::Error,
}

/// Starts to serve on `address`, until `stop` is cancelled. Gives the address served on, which tells the port
/// where `address` left it open.
///
/// # Errors
///
/// When the address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    metrics: Metrics,
    health: Health,
    stop: CancellationToken,
) -> Result<SocketAddr, ListenError> {
    let failed = |reason| ListenError { address, reason };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    let listener = Listener::new("metrics", listener, LIMITS);
    tokio::spawn(async move {
        stop.run_until_cancelled(accept(&listener, &metrics, &health, &stop)).await;
    });
    Ok(local)
}

async fn accept(listener: &Listener, metrics: &Metrics, health: &Health, stop: &CancellationToken) {
    loop {
        let (stream, peer, client) = listener.accept().await;
        let Some(client) = client else { continue };
        let (metrics, health, stop) = (metrics.clone(), health.clone(), stop.clone());
        tokio::spawn(async move {
            let conversation = converse(stream, metrics, health);
            let conversation = tokio::time::timeout(MAX_CONNECTION_TIME, conversation);
            tokio::select! {
                () = stop.cancelled() => {}
                () = client.evicted() => debug!(%peer, "metrics connection ended for a newer one"),
                outcome = conversation => if let Ok(Err(error)) = outcome {
                    debug!(%peer, %error, "metrics connection ended");
                }
            }
        });
    }
}

async fn converse(stream: TcpStream, metrics: Metrics, health: Health) -> hyper::Result<()> {
    let service = service_fn(|request| {
        let response = answer(&request, &metrics, &health);
        async { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(MAX_CONNECTION_TIME)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(request: &Request<Incoming>, metrics: &Metrics, health: &Health) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let (status, content_type, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            (StatusCode::OK, metrics::CONTENT_TYPE, metrics.render())
        }
        (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, TEXT, "ok\n".to_owned()),
        (&Method::GET | &Method::HEAD, "/readyz") => match health.unready() {
            None => (StatusCode::OK, TEXT, "ready\n".to_owned()),
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {reason}\n")),
        },
        (&Method::GET | &Method::HEAD, _) => {
            (StatusCode::NOT_FOUND, TEXT, "there are /metrics, /healthz and /readyz\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests;
