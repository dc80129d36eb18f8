//! TCP servers that slow clients cannot block.
//!
//! A [`Listener`] accepts every connection at once and limits their number, in all and per address. When there are too
//! many, one that does nothing ends for the new one, first among those of the address that has most. So clients that
//! connect and send nothing, or a byte now and then, shut out only themselves.
//!
//! ```no_run
//! # async fn example(listener: tokio::net::TcpListener) {
//! use msight_listener::{Limits, Listener, WhenBusy};
//!
//! let limits = Limits { total: 256, per_address: 192, when_busy: WhenBusy::EndOldest };
//! let listener = Listener::new("store", listener, limits);
//! loop {
//!     let (tcp, peer, admitted) = listener.accept().await;
//!     let Some(client) = admitted else { continue };
//!     tokio::spawn(async move {
//!         tokio::select! {
//!             () = client.evicted() => {}
//!             () = async { /* read a request of `tcp`, then: */ let _working = client.work(); } => {}
//!         }
//!     });
//! }
//! # }
//! ```
//!
//! A server also sets a deadline for the head of a request.

mod clients;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use clients::Clients;
pub use clients::{Client, Work};

/// From one log line about too many connections to the next.
const REPORT_INTERVAL: Duration = Duration::from_secs(30);

/// How many connections a server has at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// From one address.
    pub per_address: usize,
    /// What becomes of a new connection when all those that it could replace are at work.
    pub when_busy: WhenBusy,
}

/// What becomes of a new connection when all those that it could replace are [at work](Client::work).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBusy {
    /// It replaces the oldest: for requests, which their clients repeat.
    EndOldest,
    /// It is refused: for streams.
    Refuse,
}

/// A TCP socket that accepts connections within [`Limits`].
#[derive(Debug)]
pub struct Listener {
    name: &'static str,
    socket: TcpListener,
    clients: Clients,
    excess: Mutex<Excess>,
}

/// Connections above the limits.
#[derive(Debug, Default)]
struct Excess {
    ended: u64,
    refused: u64,
    logged: Option<Instant>,
}

impl Listener {
    /// Log lines call the server `name`.
    pub fn new(name: &'static str, socket: TcpListener, limits: Limits) -> Self {
        Self { name, socket, clients: Clients::new(limits), excess: Mutex::default() }
    }

    /// The next connection, and its place among the clients; `None` for one that is refused. Drop the [`Client`] when the
    /// connection ends. Nothing is lost when the future is dropped.
    pub async fn accept(&self) -> (TcpStream, SocketAddr, Option<Client>) {
        loop {
            match self.socket.accept().await {
                Ok((tcp, peer)) => {
                    let (client, has_evicted) = self.clients.admit(peer.ip());
                    self.count(u64::from(has_evicted), u64::from(client.is_none()));
                    return (tcp, peer, client);
                }
                Err(error) => {
                    // Mostly no file descriptors left, which become free when connections end.
                    tracing::warn!(server = self.name, %error, "cannot accept a connection, trying again in 1 s");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    fn count(&self, ended: u64, refused: u64) {
        if ended + refused == 0 {
            return;
        }
        let mut excess = self.excess.lock().unwrap_or_else(PoisonError::into_inner);
        (excess.ended, excess.refused) = (excess.ended + ended, excess.refused + refused);
        if excess.logged.is_some_and(|at| at.elapsed() < REPORT_INTERVAL) {
            return;
        }
        let Excess { ended, refused, .. } =
            std::mem::replace(&mut *excess, Excess { logged: Some(Instant::now()), ..Excess::default() });
        drop(excess);
        tracing::warn!(
            server = self.name,
            limits = %self.clients.limits(),
            ended,
            refused,
            "too many connections: idle ones end for new ones"
        );
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in all, {} from one address", self.total, self.per_address)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn an_evicted_connection_can_be_closed_for_the_new_one() {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let limits = Limits { total: 1, per_address: 1, when_busy: WhenBusy::Refuse };
        let listener = Listener::new("test", socket, limits);
        let mut first = TcpStream::connect(address).await.expect("it listens");
        let (tcp, peer, client) = listener.accept().await;
        assert_eq!(peer, first.local_addr().expect("an address"));
        let serving = tokio::spawn(async move {
            client.expect("it is admitted").evicted().await;
            drop(tcp);
        });
        let _second_tcp = TcpStream::connect(address).await.expect("it listens");
        let (_, _, client) = listener.accept().await;
        let second = client.expect("it is admitted");
        let _working = second.work();
        serving.await.expect("no panic");
        assert_eq!(first.read(&mut [0]).await.expect("closed"), 0);

        let mut third = TcpStream::connect(address).await.expect("it listens");
        let (mut tcp, _, client) = listener.accept().await;
        assert!(client.is_none(), "the second is at work");
        tcp.write_all(b"busy").await.expect("writable");
        drop(tcp);
        let mut answer = String::new();
        third.read_to_string(&mut answer).await.expect("readable");
        assert_eq!(answer, "busy");
    }
}
