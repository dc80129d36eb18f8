//! Decides whether the owner of a record can still be alive.

use std::path::Path;
use std::time::Duration;

use super::node::NodeRecord;
use super::owner::{Owner, is_present};

/// How long the owner of `record` still counts as alive for `me` at `now` (seconds since 1970); `None` if it is dead.
pub(super) fn remaining_life(record: &NodeRecord, me: &Owner, now: f64) -> Option<Duration> {
    remaining_life_with(record, me, now, |pid| Path::new(&format!("/proc/{pid}")).exists(), is_present)
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
    // A heartbeat in the future comes from a host whose clock is ahead, so the node is alive.
    let age = (now - record.last_heartbeat).max(0.0);
    let left = record.expires_after().as_secs_f64() - age;
    // JSON has no NaN, so `left` is a number.
    (left > 0.0).then(|| Duration::from_secs_f64(left))
}

/// Describes the owner of a name for the user.
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
    fn a_name_is_held_until_its_owners_heartbeat_expires() {
        let elsewhere = Some(owner("b", 8, "pid:[1]"));
        assert_eq!(life(&record(elsewhere.clone(), 990.0), false, false), Some(5));
        assert_eq!(life(&record(elsewhere.clone(), 985.0), true, true), None);
        assert_eq!(life(&record(elsewhere, 5000.0), false, false), Some(15));
        assert_eq!(life(&record(None, 950.0), false, false), Some(10));
        assert_eq!(life(&record(None, 940.0), false, false), None);
    }

    #[test]
    fn a_process_that_no_longer_runs_here_holds_no_name() {
        let neighbour = record(Some(owner("a", 8, "pid:[1]")), 999.0);
        assert_eq!(life(&neighbour, true, false), Some(14));
        assert_eq!(life(&neighbour, false, false), None);
        // The same number in another container is another process.
        let container = record(Some(owner("a", 8, "pid:[2]")), 999.0);
        assert_eq!(life(&container, false, false), Some(14));
    }

    #[test]
    fn our_own_process_number_counts_only_if_this_process_holds_the_name() {
        let same = record(Some(owner("a", 7, "pid:[1]")), 999.0);
        assert_eq!(life(&same, true, true), Some(14));
        assert_eq!(life(&same, true, false), None);
    }

    #[test]
    fn the_holder_is_described() {
        let text = describe_holder(&record(Some(owner("box", 8, "x")), 996.75), 1000.0);
        assert_eq!(text, r#"held by process 8 on host "box" (device "d", T), last seen 3.2 s ago"#);
        assert!(describe_holder(&record(None, 2000.0), 1000.0).contains("clocks"));
    }
}
