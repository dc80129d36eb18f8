//! The HTTP/1.1 server of the store.

use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::service::S3Service;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::unsigned::remove_signature;

/// The time limit for the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Accepts connections until `stop`; requests in progress are completed. With `is_open`, signatures do not count.
pub(super) async fn serve(listener: TcpListener, service: S3Service, is_open: bool, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let clients = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let tcp = match accepted {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                // Probably out of file descriptors, which become free when clients disconnect.
                tracing::warn!(%error, "store cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let service = service.clone();
        let answer = service_fn(move |mut request: Request<Incoming>| {
            if is_open {
                remove_signature(&mut request);
            }
            Service::call(&service, request)
        });
        let connection = http.serve_connection(TokioIo::new(tcp), answer);
        let stop = stop.clone();
        clients.spawn(async move {
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "store connection failed");
            }
        });
    }
    clients.close();
    clients.wait().await;
}
