//! The RTSP server (RFC 2326): accepts connections and serves each in its own task.

use std::sync::Arc;
use std::time::Duration;

use msight_listener::Listener;
use rtsp_types::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::session::{Connection, refusal};
use super::stream::Stream;

/// Accepts connections until `stop`, then waits for them to end. Clients that play are at work: those that do not make
/// room for new ones.
pub(super) async fn serve(listener: Listener, stream: Arc<Stream>, stop: CancellationToken) {
    let clients = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (tcp, peer, client) = accepted;
        let Some(client) = client else {
            clients.spawn(reject(tcp));
            continue;
        };
        let connection = Connection::new(tcp, client, stream.clone());
        let stop = stop.clone();
        clients.spawn(async move {
            tracing::debug!(%peer, "camera client connected");
            match connection.serve(stop).await {
                Ok(()) => tracing::debug!(%peer, "camera client disconnected"),
                Err(error) => tracing::debug!(%peer, %error, "camera client failed"),
            }
        });
    }
    clients.close();
    clients.wait().await;
}

async fn reject(mut tcp: TcpStream) {
    let mut text = Vec::new();
    if rtsp_types::Message::Response(refusal(StatusCode::ServiceUnavailable)).write(&mut text).is_ok() {
        // A client that does not read the answer is not worth waiting for.
        let _ = tokio::time::timeout(Duration::from_secs(1), tcp.write_all(&text)).await;
    }
}
