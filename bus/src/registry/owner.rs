//! The process of a node.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// The process of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// 128 random bits in hexadecimal, different for each registration.
    pub id: String,
    /// The host name; a container has its own.
    pub host: String,
    /// The process id, within `pid_namespace`.
    pub pid: u32,
    /// The PID namespace: the target of `/proc/self/ns/pid`, or empty on a system without it.
    pub pid_namespace: String,
}

impl Owner {
    /// This process, with a new id for each call.
    pub fn current() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        Self {
            id: format!("{:032x}", fastrand::u128(..)),
            host: host.trim().to_owned(),
            pid: std::process::id(),
            pid_namespace: namespace.to_string_lossy().into_owned(),
        }
    }

    /// Whether both have the same PID namespace, so that their process ids can be compared.
    pub(super) fn shares_pids_with(&self, other: &Self) -> bool {
        !self.pid_namespace.is_empty() && self.host == other.host && self.pid_namespace == other.pid_namespace
    }
}

/// The ids of the owners in this process that hold a name now. A restarted container has process number 1 again, and
/// would otherwise look like a second node in the same process.
static OWNERS_HERE: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

fn owners_here() -> MutexGuard<'static, HashSet<String>> {
    OWNERS_HERE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Marks an owner as alive in this process until it is dropped.
#[derive(Debug)]
pub(super) struct Presence(String);

impl Presence {
    pub(super) fn of(owner: &Owner) -> Self {
        owners_here().insert(owner.id.clone());
        Self(owner.id.clone())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        owners_here().remove(&self.0);
    }
}

/// Whether the owner of this id holds a name in this process.
pub(super) fn is_present(id: &str) -> bool {
    owners_here().contains(id)
}
