//! The HTTP/1.1 server of the store.

use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use msight_listener::{Limits, Listener, WhenBusy};
use s3s::service::S3Service;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::AnswerBody;
use crate::unsigned::remove_signature;

/// Connections at a time. All nodes of a machine have one address; each has as many as it uploads segments at once.
pub(super) const LIMITS: Limits = Limits { total: 256, per_address: 192, when_busy: WhenBusy::EndOldest };

/// The time limit for the head of a request, from the end of the one before.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Accepts connections until `stop`; requests in progress are completed. With `is_open`, signatures do not count.
pub(super) async fn serve(listener: Listener, service: S3Service, is_open: bool, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let clients = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (tcp, peer, client) = accepted;
        let Some(client) = client.map(Arc::new) else { continue };
        let (service, working) = (service.clone(), client.clone());
        let answer = service_fn(move |mut request: Request<Incoming>| {
            if is_open {
                remove_signature(&mut request);
            }
            let (work, answer) = (working.work(), Service::call(&service, request));
            async move {
                let answer = answer.await?;
                Ok::<_, s3s::HttpError>(answer.map(|body| AnswerBody::new(body, work)))
            }
        });
        let connection = http.serve_connection(TokioIo::new(tcp), answer);
        let stop = stop.clone();
        clients.spawn(async move {
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = client.evicted() => return tracing::debug!(%peer, "store connection ended for a newer one"),
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "store connection failed");
            }
        });
    }
    clients.close();
    clients.wait().await;
}
