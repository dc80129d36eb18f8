//! The connections of a server: how many there may be, and which one makes room for a new one.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The connections of a server, bounded in number. Clones share them.
///
/// A server accepts every connection at once and [`admit`](Self::admit)s it. When there are too many, the connection
/// that was admitted first ends, first among those of the address that has most. So clients that connect and send
/// nothing, or a byte now and then, shut out only themselves.
#[derive(Debug, Clone)]
pub(super) struct Clients(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    admitted: u64,
    /// In the order in which they were admitted.
    clients: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    address: IpAddr,
    evicted: Arc<Notify>,
}

/// One connection of [`Clients`]. Dropping it makes room.
#[derive(Debug)]
pub(super) struct Client {
    id: u64,
    evicted: Arc<Notify>,
    clients: Arc<Shared>,
}

impl Clients {
    /// No connection yet, of `max` at most.
    pub(super) fn new(max: usize) -> Self {
        Self(Arc::new(Shared { max, state: Mutex::default() }))
    }

    /// Admits a connection from `address`, for which another one may have to end.
    pub(super) fn admit(&self, address: IpAddr) -> Client {
        let mut state = self.0.lock();
        if state.clients.len() >= self.0.max
            && let Some(victim) = state.victim()
        {
            state.clients.remove(victim).evicted.notify_one();
        }
        state.admitted += 1;
        let (id, evicted) = (state.admitted, Arc::new(Notify::new()));
        state.clients.push(Entry { id, address, evicted: evicted.clone() });
        Client { id, evicted, clients: self.0.clone() }
    }
}

impl Client {
    /// Completes when this connection must make room for another one.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
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
        // The first of equals was admitted first.
        let clients = self.clients.iter().enumerate().rev();
        clients.max_by_key(|(_, entry)| of_address(entry)).map(|(at, _)| at)
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
    async fn the_first_of_the_busiest_address_makes_room() {
        let clients = Clients::new(3);
        let other = clients.admit(OTHER);
        let first = clients.admit(ONE);
        let second = clients.admit(ONE);
        let third = clients.admit(ONE);
        first.evicted().await;
        assert_eq!(ids(&clients), [other.id, second.id, third.id]);
        drop(second);
        assert_eq!(ids(&clients), [other.id, third.id]);
    }
}
