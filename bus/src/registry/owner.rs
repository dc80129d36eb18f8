//! Which process a node is, and whether it can still be alive.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::NodeRecord;

/// A node with an owner that gave no sign of life for so long is dead: three of the kit's
/// heartbeats.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(15);
/// A Python node beats with its messages, not with the clock: MSight's own tolerance.
pub(super) const PYTHON_DEAD_AFTER: Duration = Duration::from_secs(60);

/// Which process a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// 128 random bits in hexadecimal: no two registrations share them.
    pub id: String,
    /// The host name; a container has its own.
    pub host: String,
    /// The process id, within `pid_namespace`.
    pub pid: u32,
    /// Which numbering of processes `pid` belongs to: the target of `/proc/self/ns/pid`, or empty
    /// where there is none.
    pub pid_namespace: String,
}

impl Owner {
    /// This process, with an id of its own for each call.
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

    /// Whether process ids mean the same to both.
    fn shares_pids_with(&self, other: &Self) -> bool {
        !self.pid_namespace.is_empty() && self.host == other.host && self.pid_namespace == other.pid_namespace
    }
}

/// The owners in this process that hold a name now. Without it a restarted container, whose
/// process is number 1 again, could not be told from a second node in one process.
static HELD_HERE: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

fn held_here() -> MutexGuard<'static, HashSet<String>> {
    HELD_HERE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Marks an owner as alive in this process for as long as it exists.
#[derive(Debug)]
pub(super) struct Presence(String);

impl Presence {
    pub(super) fn of(owner: &Owner) -> Self {
        held_here().insert(owner.id.clone());
        Self(owner.id.clone())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        held_here().remove(&self.0);
    }
}

/// For how long the owner of `record` still has to be taken as alive, seen from `me` at `now`
/// (seconds since 1970); `None` if it is dead.
pub(super) fn remaining_life(record: &NodeRecord, me: &Owner, now: f64) -> Option<Duration> {
    remaining_life_with(
        record,
        me,
        now,
        |pid| Path::new(&format!("/proc/{pid}")).exists(),
        |id| held_here().contains(id),
    )
}

fn remaining_life_with(
    record: &NodeRecord,
    me: &Owner,
    now: f64,
    runs: impl Fn(u32) -> bool,
    is_held_here: impl Fn(&str) -> bool,
) -> Option<Duration> {
    if let Some(owner) = record.owner.as_ref().filter(|owner| owner.shares_pids_with(me)) {
        let alive = if owner.pid == me.pid { is_held_here(&owner.id) } else { runs(owner.pid) };
        if !alive {
            return None;
        }
    }
    // A sign of life from the future is one from a host whose clock is ahead: alive.
    let age = (now - record.last_heartbeat).max(0.0);
    let left = record.patience().as_secs_f64() - age;
    // NaN cannot come: JSON has none.
    (left > 0.0).then(|| Duration::from_secs_f64(left))
}

/// Who has a name, for people.
pub(super) fn describe_holder(record: &NodeRecord, now: f64) -> String {
    let age = now - record.last_heartbeat;
    let seen = if age >= 0.0 {
        format!("last seen {age:.1} s ago")
    } else {
        format!("last seen {:.1} s in the future, so the clocks of the two hosts differ", -age)
    };
    let device = record.device.as_deref().unwrap_or("unknown");
    match &record.owner {
        Some(owner) => format!(
            "held by process {} on host {:?} (device {device:?}, {}), {seen}",
            owner.pid, owner.host, record.node_type
        ),
        None => format!("held by an MSight node on device {device:?} ({}), {seen}", record.node_type),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(host: &str, pid: u32, namespace: &str) -> Owner {
        Owner { id: format!("{host}{pid}"), host: host.into(), pid, pid_namespace: namespace.into() }
    }

    fn record(owner: Option<Owner>, last_heartbeat: f64) -> NodeRecord {
        NodeRecord { owner, last_heartbeat, ..NodeRecord::new("n", "d".to_owned(), "T") }
    }

    fn life(record: &NodeRecord, runs: bool, held: bool) -> Option<u64> {
        let me = owner("a", 7, "pid:[1]");
        remaining_life_with(record, &me, 1000.0, |_| runs, |_| held).map(|left| left.as_secs())
    }

    #[test]
    fn a_name_is_held_until_its_owner_is_silent_for_long_enough() {
        let elsewhere = Some(owner("b", 8, "pid:[1]"));
        assert_eq!(life(&record(elsewhere.clone(), 990.0), false, false), Some(5));
        assert_eq!(life(&record(elsewhere.clone(), 985.0), true, true), None);
        assert_eq!(life(&record(elsewhere, 5000.0), false, false), Some(15));
        assert_eq!(life(&record(None, 950.0), false, false), Some(10));
        assert_eq!(life(&record(None, 940.0), false, false), None);
    }

    #[test]
    fn a_process_that_is_gone_from_this_host_holds_nothing() {
        let neighbour = record(Some(owner("a", 8, "pid:[1]")), 999.0);
        assert_eq!(life(&neighbour, true, false), Some(14));
        assert_eq!(life(&neighbour, false, false), None);
        // The same number in another container is somebody else.
        let container = record(Some(owner("a", 8, "pid:[2]")), 999.0);
        assert_eq!(life(&container, false, false), Some(14));
    }

    #[test]
    fn our_own_process_number_is_ours_only_if_we_hold_the_name() {
        let same = record(Some(owner("a", 7, "pid:[1]")), 999.0);
        assert_eq!(life(&same, true, true), Some(14));
        assert_eq!(life(&same, true, false), None);
    }

    #[test]
    fn the_holder_is_described_for_people() {
        let text = describe_holder(&record(Some(owner("box", 8, "x")), 996.75), 1000.0);
        assert_eq!(text, r#"held by process 8 on host "box" (device "d", T), last seen 3.2 s ago"#);
        assert!(describe_holder(&record(None, 2000.0), 1000.0).contains("clocks"));
    }
}
