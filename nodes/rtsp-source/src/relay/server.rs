//! The RTSP server on the loopback interface, to which the RTSP client connects instead of to the camera.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use msight_rtp::sdp::Description;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug};
use url::Url;

use super::connection::{Connection, ConnectionError, Received};
use super::dial::dial;
use super::link::{Link, Shared};
use super::message::{Message, Start};
use super::streams::Outputs;
use crate::settings::{Settings, Transport};

/// Time-out for the client to connect over the loopback and to send its first request.
const LOOPBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// An RTSP server on the loopback interface that offers the camera's tracks to one client, and ends when that client
/// disconnects.
pub(crate) struct Relay {
    url: Url,
    shared: Arc<Shared>,
}

impl Relay {
    /// Connects to the camera, whose tracks come over this transport and go to `outputs`. `relays` tracks the relay's task.
    ///
    /// # Errors
    /// Connecting to the camera, or opening a port on the loopback interface, failed.
    pub(crate) async fn open(
        settings: &Settings,
        transport: Transport,
        outputs: Outputs,
        relays: &TaskTracker,
    ) -> io::Result<Self> {
        let dialed = dial(settings).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = address(&listener)?;
        let shared = Arc::new(Shared::default());
        let mut link = Link::new(dialed, settings, transport, outputs, url.clone(), shared.clone());
        let (reported, address) = (shared.clone(), url.clone());
        let work = async move {
            let outcome = async {
                let (client, first) = accept(&listener, &address).await?;
                drop(listener);
                link.run(client, first).await
            };
            let outcome = outcome.await;
            link.finish();
            debug!(?outcome, "the relay ended");
            if let Err(error) = outcome {
                // Set the failure before the connections close, because the client notices their end.
                let _ = reported.failure.set(error.to_string());
            }
            drop(link);
        };
        relays.spawn(work.in_current_span());
        Ok(Self { url, shared })
    }

    /// The URL for the client, which uses TCP and sends no credentials.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The tracks of the camera, once it has answered DESCRIBE. The client sees the same, in the same order.
    pub(crate) fn description(&self) -> Option<&Description> {
        self.shared.description.get()
    }

    /// Why the relay ended, if the client cannot know.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.shared.failure.get().map(String::as_str)
    }
}

/// A URL with a random token, by which the relay recognises its own client.
fn address(listener: &TcpListener) -> io::Result<Url> {
    let mut token = [0; 16];
    getrandom::fill(&mut token).map_err(io::Error::other)?;
    let text = format!("rtsp://{}/{:032x}", listener.local_addr()?, u128::from_be_bytes(token));
    Url::parse(&text).map_err(io::Error::other)
}

/// Accepts the one client, with its first request.
async fn accept(listener: &TcpListener, address: &Url) -> Result<(Connection, Message), ConnectionError> {
    let is_ours = |request: &Message| matches!(&request.start, Start::Request { uri, .. } if uri.starts_with(address.as_str()));
    loop {
        let (tcp, _) = timeout(LOOPBACK_TIMEOUT, listener.accept()).await.map_err(io::Error::from)??;
        tcp.set_nodelay(true)?;
        let mut client = Connection::new(tcp);
        match timeout(LOOPBACK_TIMEOUT, client.read()).await {
            Ok(Ok(Some(Received::Message(request)))) if is_ours(&request) => return Ok((client, request)),
            _ => debug!("rejected a connection to the loopback port: not from our client"),
        }
    }
}
