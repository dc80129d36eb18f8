//! The connections of a server: how many there may be, and which one makes room for a new one.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The connections of a server, bounded in number. Clones share them.
///
/// A server accepts every connection at once and [`admit`](Self::admit)s it. When there are too many, the connection
/// that has waited longest for its request ends, first among those of the address that has most. So clients that connect
/// and send nothing, or a byte now and then, shut out only themselves. A connection at [`work`](Client::working) on a
/// request is never ended here; its server bounds it in time.
///
/// ```
/// # async fn serve(listener: tokio::net::TcpListener) -> std::io::Result<()> {
/// let clients = msight_bus::Clients::new(64);
/// loop {
///     let (stream, peer) = listener.accept().await?;
///     let Some(client) = clients.admit(peer.ip()) else { continue };
///     tokio::spawn(async move {
///         tokio::select! {
///             () = client.evicted() => {}
///             () = converse(stream, &client) => {}
///         }
///     });
/// }
/// # }
/// # async fn converse(_: tokio::net::TcpStream, _: &msight_bus::Client) {}
/// ```
#[derive(Debug, Clone)]
pub struct Clients(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    admitted: u64,
    /// In the order in which they began to wait.
    clients: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    address: IpAddr,
    is_working: bool,
    evicted: Arc<Notify>,
}

/// One connection of [`Clients`]. Dropping it makes room.
#[derive(Debug)]
pub struct Client {
    id: u64,
    evicted: Arc<Notify>,
    clients: Arc<Shared>,
}

impl Clients {
    /// No connection yet, of `max` at most.
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Shared { max, state: Mutex::default() }))
    }

    /// Admits a connection from `address`; `None` when all others are at work, and this one must end.
    pub fn admit(&self, address: IpAddr) -> Option<Client> {
        let mut state = self.0.lock();
        while state.clients.len() >= self.0.max {
            let victim = state.victim()?;
            state.clients.remove(victim).evicted.notify_one();
        }
        state.admitted += 1;
        let (id, evicted) = (state.admitted, Arc::new(Notify::new()));
        state.clients.push(Entry { id, address, is_working: false, evicted: evicted.clone() });
        Some(Client { id, evicted, clients: self.0.clone() })
    }
}

impl Client {
    /// Completes when this connection must make room for another one.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// A whole request has arrived, or the head of one.
    pub fn working(&self) {
        self.update(true);
    }

    /// The request is answered; the connection waits for the next one.
    pub fn waiting(&self) {
        self.update(false);
    }

    fn update(&self, is_working: bool) {
        let mut state = self.clients.lock();
        if let Some(at) = state.clients.iter().position(|entry| entry.id == self.id) {
            let entry = state.clients.remove(at);
            state.clients.push(Entry { is_working, ..entry });
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.clients.lock().clients.retain(|entry| entry.id != self.id);
    }
}

impl State {
    /// The connection that ends first.
    fn victim(&self) -> Option<usize> {
        let of_address =
            |entry: &Entry| self.clients.iter().filter(|one| one.address == entry.address).count();
        let waiting = self.clients.iter().enumerate().filter(|(_, entry)| !entry.is_working);
        // The first of equals is the one that has waited longest.
        waiting.rev().max_by_key(|(_, entry)| of_address(entry)).map(|(at, _)| at)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn ids(clients: &Clients) -> Vec<u64> {
        clients.0.lock().clients.iter().map(|entry| entry.id).collect()
    }

    #[tokio::test]
    async fn the_longest_waiting_of_the_busiest_address_makes_room() {
        let clients = Clients::new(3);
        let other = clients.admit(OTHER).unwrap();
        let first = clients.admit(ONE).unwrap();
        let second = clients.admit(ONE).unwrap();
        let third = clients.admit(ONE).unwrap();
        first.evicted().await;
        assert_eq!(ids(&clients), [other.id, second.id, third.id]);
        drop(second);
        assert_eq!(ids(&clients), [other.id, third.id]);
    }

    #[test]
    fn a_connection_at_work_stays_and_its_turn_begins_anew_afterwards() {
        let clients = Clients::new(2);
        let (first, second) = (clients.admit(ONE).unwrap(), clients.admit(ONE).unwrap());
        first.working();
        second.working();
        assert!(clients.admit(OTHER).is_none());
        second.waiting();
        first.waiting();
        assert!(clients.admit(OTHER).is_some());
        assert_eq!(ids(&clients)[0], first.id, "the second has waited longer");
    }
}
