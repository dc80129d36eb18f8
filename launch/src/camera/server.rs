//! The RTSP server (RFC 2326): takes connections, each with a task of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtsp_types::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::feed::{Feed, ParameterSets};
use super::session::{Connection, refusal};

/// The one stream that the server has.
pub(super) struct Stream {
    pub(super) feed: Arc<Feed>,
    /// The path of its address, with a slash before it.
    pub(super) path: String,
    pub(super) parameter_sets: ParameterSets,
    pub(super) fps: f32,
    pub(super) bitrate: u32,
    /// Tells this start of the camera from others.
    pub(super) origin: u64,
    /// The moment from which RTP timestamps are counted.
    pub(super) began: Instant,
}

/// Takes connections until `stop`, at most `max_clients` at a time, and waits for their ends.
pub(super) async fn serve(
    listener: TcpListener,
    stream: Arc<Stream>,
    max_clients: usize,
    stop: CancellationToken,
) {
    let clients = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: they come back when a client leaves.
                tracing::warn!(%error, "the camera could not take a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        if clients.len() >= max_clients {
            tracing::warn!(%peer, max_clients, "the camera has as many clients as it may have");
            clients.spawn(turn_away(tcp));
            continue;
        }
        let connection = Connection::new(tcp, stream.clone());
        let stop = stop.clone();
        clients.spawn(async move {
            tracing::debug!(%peer, "a client has come to the camera");
            match connection.serve(stop).await {
                Ok(()) => tracing::debug!(%peer, "a client has left the camera"),
                Err(error) => tracing::debug!(%peer, %error, "a client of the camera is lost"),
            }
        });
    }
    clients.close();
    clients.wait().await;
}

async fn turn_away(mut tcp: TcpStream) {
    let mut text = Vec::new();
    if rtsp_types::Message::Response(refusal(StatusCode::ServiceUnavailable)).write(&mut text).is_ok() {
        // Who does not listen is not told twice.
        let _ = tokio::time::timeout(Duration::from_secs(1), tcp.write_all(&text)).await;
    }
}
