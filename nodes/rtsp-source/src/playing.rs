//! A playing session: keeps it alive until it ends, and finds out why.

use std::sync::Arc;

use anyhow::anyhow;
use futures_util::StreamExt as _;
use msight_media::Codec;
use retina::client;
use tokio::time::sleep_until;

use crate::progress::Progress;
use crate::relay::Relay;
use crate::settings::{Settings, Transport};
use crate::unit::UnitReceiver;

/// A playing session. Its units go to the outputs that the relay was opened with.
pub(crate) struct Playing {
    session: client::Session<client::Playing>,
    relay: Relay,
    transport: Transport,
    settings: Settings,
    progress: Arc<Progress>,
    pictures: Option<Pictures>,
}

/// The track for the decoding thread.
pub(crate) struct Pictures {
    pub(crate) codec: Codec,
    pub(crate) units: UnitReceiver,
}

impl Playing {
    /// A session after PLAY.
    pub(crate) fn new(
        session: client::Session<client::Playing>,
        relay: Relay,
        transport: Transport,
        settings: Settings,
        progress: Arc<Progress>,
        pictures: Option<Pictures>,
    ) -> Self {
        Self { session, relay, transport, settings, progress, pictures }
    }

    /// The units to decode; `None` if no track is decoded.
    pub(crate) fn take_pictures(&mut self) -> Option<Pictures> {
        self.pictures.take()
    }

    /// Waits until the session ends, and returns why it ended.
    pub(crate) async fn ended(mut self) -> anyhow::Error {
        self.progress.restart();
        loop {
            let deadline = self.progress.last() + self.settings.read_timeout;
            tokio::select! {
                item = self.session.next() => match item {
                    // The relay gives the client no packets.
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return self.failed(&format!("session failed: {error}")),
                    None => return self.failed("the camera ended the stream"),
                },
                () = sleep_until(deadline.into()) => {
                    if self.progress.last() + self.settings.read_timeout <= deadline {
                        return self.silence();
                    }
                }
            }
        }
    }

    /// The error for the end of the session that retina reported. If the relay knows the cause, the error has that.
    fn failed(&self, reason: &str) -> anyhow::Error {
        let url = &self.settings.url;
        match self.relay.failure() {
            Some(failure) => anyhow!("{url}: session failed: {}", url.scrub(failure)),
            None => anyhow!("{url}: {}", url.scrub(reason)),
        }
    }

    fn silence(&self) -> anyhow::Error {
        let (url, seconds) = (&self.settings.url, self.settings.read_timeout.as_secs_f64());
        let hint = match self.transport {
            Transport::Udp => "; if a firewall blocks UDP, use --rtsp-transport tcp",
            Transport::Tcp => "",
        };
        anyhow!("{url}: no frame from the camera for {seconds} s{hint}")
    }
}
