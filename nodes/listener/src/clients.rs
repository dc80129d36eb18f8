//! The connections of a server: how many there may be, and which one makes room for a new one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::{Limits, WhenBusy};

/// The connections of a server, bounded in number.
#[derive(Debug)]
pub(super) struct Clients(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
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
    at_work: bool,
    evicted: Arc<Notify>,
}

/// The place of a connection. Dropping it makes room.
#[derive(Debug)]
pub struct Client {
    id: u64,
    evicted: Arc<Notify>,
    clients: Arc<Shared>,
}

/// As long as it lives, its [`Client`] is at work.
#[derive(Debug)]
pub struct Work {
    id: u64,
    clients: Arc<Shared>,
}

impl Clients {
    /// No connection yet.
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared { limits, state: Mutex::default() }))
    }

    pub(super) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Admits a connection from `address` unless it is refused, and tells whether another one ends for it.
    pub(super) fn admit(&self, address: IpAddr) -> (Option<Client>, bool) {
        let mut state = self.0.lock();
        let is_full = state.is_full(self.0.limits, address);
        if is_full {
            let Some(victim) = state.victim(self.0.limits, address) else { return (None, false) };
            state.clients.remove(victim).evicted.notify_one();
        }
        state.admitted += 1;
        let (id, evicted) = (state.admitted, Arc::new(Notify::new()));
        state.clients.push(Entry { id, address, at_work: false, evicted: evicted.clone() });
        (Some(Client { id, evicted, clients: self.0.clone() }), is_full)
    }
}

impl Client {
    /// Completes when this connection must end for another one.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Marks the connection as one that works, on a request that has come whole or a stream that plays, until the result
    /// is dropped. Idle connections end before it.
    pub fn work(&self) -> Work {
        self.clients.set_at_work(self.id, true);
        Work { id: self.id, clients: self.clients.clone() }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.clients.lock().clients.retain(|entry| entry.id != self.id);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.clients.set_at_work(self.id, false);
    }
}

impl State {
    fn is_full(&self, limits: Limits, address: IpAddr) -> bool {
        self.clients.len() >= limits.total || self.of(address) >= limits.per_address
    }

    fn of(&self, address: IpAddr) -> usize {
        self.clients.iter().filter(|entry| entry.address == address).count()
    }

    /// The connection that ends first for a new one from `address`.
    fn victim(&self, limits: Limits, address: IpAddr) -> Option<usize> {
        let has_its_share = self.of(address) >= limits.per_address;
        let mut counts = HashMap::<IpAddr, usize>::new();
        self.clients.iter().for_each(|entry| *counts.entry(entry.address).or_default() += 1);
        // The first of equals was admitted first; `max_by_key` takes the last.
        let candidates = self.clients.iter().enumerate().rev().filter(|(_, entry)| {
            (!has_its_share || entry.address == address)
                && (!entry.at_work || limits.when_busy == WhenBusy::EndOldest)
        });
        candidates.max_by_key(|(_, entry)| (!entry.at_work, counts[&entry.address])).map(|(at, _)| at)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_at_work(&self, id: u64, at_work: bool) {
        if let Some(entry) = self.lock().clients.iter_mut().find(|entry| entry.id == id) {
            entry.at_work = at_work;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn clients(total: usize, per_address: usize, when_busy: WhenBusy) -> Clients {
        Clients::new(Limits { total, per_address, when_busy })
    }

    fn admit(clients: &Clients, address: IpAddr) -> Client {
        clients.admit(address).0.expect("it is admitted")
    }

    fn ids(clients: &Clients) -> Vec<u64> {
        clients.0.lock().clients.iter().map(|entry| entry.id).collect()
    }

    #[tokio::test]
    async fn the_first_of_the_busiest_address_makes_room() {
        let clients = clients(3, 3, WhenBusy::EndOldest);
        let other = admit(&clients, OTHER);
        let first = admit(&clients, ONE);
        let second = admit(&clients, ONE);
        let third = admit(&clients, ONE);
        first.evicted().await;
        assert_eq!(ids(&clients), [other.id, second.id, third.id]);
        drop(second);
        assert_eq!(ids(&clients), [other.id, third.id]);
    }

    #[tokio::test]
    async fn an_address_that_has_its_share_makes_room_itself() {
        let clients = clients(10, 2, WhenBusy::EndOldest);
        let others = [admit(&clients, OTHER), admit(&clients, OTHER)];
        let first = admit(&clients, ONE);
        let second = admit(&clients, ONE);
        let third = admit(&clients, ONE);
        first.evicted().await;
        assert_eq!(ids(&clients), [others[0].id, others[1].id, second.id, third.id]);
    }

    #[tokio::test]
    async fn idle_connections_end_before_those_at_work() {
        let clients = clients(2, 2, WhenBusy::EndOldest);
        let first = admit(&clients, ONE);
        let work = first.work();
        let second = admit(&clients, ONE);
        let third = admit(&clients, ONE);
        second.evicted().await;
        assert_eq!(ids(&clients), [first.id, third.id]);
        let other_work = third.work();
        let fourth = admit(&clients, ONE);
        first.evicted().await;
        assert_eq!(ids(&clients), [third.id, fourth.id]);
        drop((work, other_work));
        admit(&clients, ONE);
        third.evicted().await;
    }

    #[tokio::test]
    async fn an_idle_connection_ends_before_the_work_of_a_busier_address() {
        let clients = clients(3, 3, WhenBusy::EndOldest);
        let uploads = [admit(&clients, ONE), admit(&clients, ONE)];
        let _works = uploads.each_ref().map(Client::work);
        let silent = admit(&clients, OTHER);
        let new = admit(&clients, OTHER);
        silent.evicted().await;
        assert_eq!(ids(&clients), [uploads[0].id, uploads[1].id, new.id]);
    }

    #[tokio::test]
    async fn streams_never_end_for_a_new_connection() {
        let clients = clients(2, 2, WhenBusy::Refuse);
        let playing = [admit(&clients, ONE), admit(&clients, OTHER)];
        let works = playing.each_ref().map(Client::work);
        assert!(clients.admit(ONE).0.is_none() && clients.admit(OTHER).0.is_none());
        drop(works);
        let third = admit(&clients, OTHER);
        playing[0].evicted().await;
        assert_eq!(ids(&clients), [playing[1].id, third.id]);
    }
}
