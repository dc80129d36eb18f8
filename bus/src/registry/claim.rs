//! One name, one owner: taking a name, keeping it, giving it back.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{info, warn};

use super::error::RegistryError;
use super::liveness::{describe_holder, remaining_life};
use super::node::{NodeRecord, Status};
use super::owner::{Owner, Presence};
use super::table::{Registry, Table};

/// How many concurrent writes of a record are retried. Each attempt fails because another program
/// wrote in between.
const ATTEMPTS: usize = 5;

/// A name that this node owns. Give it back with [`release`](Self::release). Dropping it leaves
/// the record behind, which then expires (at once for the next process on this host).
pub struct Registration {
    registry: Arc<dyn Registry>,
    record: NodeRecord,
    owner: Owner,
    /// The record as last written.
    text: String,
    has_vanished_before: bool,
    _presence: Presence,
}

/// What a heartbeat found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    /// The record was there.
    Kept,
    /// The record was gone (a restarted Redis, `msight_reset_redis`) and is there again. Topics
    /// are gone too: declare them again.
    Restored,
}

impl Registration {
    /// Takes the name of `record` for `owner`, with the status and topics that `record` has.
    ///
    /// A name is taken over when its owner is dead: no heartbeat for 15 s (60 s for a Python
    /// node), or its process no longer runs on this host. Keys that this crate does not know
    /// are taken over with it.
    ///
    /// # Errors
    /// [`RegistryError::Held`] names the owner of the name; [`RegistryError::Bus`] comes from the registry itself.
    pub async fn claim(
        registry: Arc<dyn Registry>,
        mut record: NodeRecord,
        owner: Owner,
    ) -> Result<Self, RegistryError> {
        let presence = Presence::of(&owner);
        record.owner = Some(owner.clone());
        let name = record.name.clone();
        let mut current = registry.get(Table::Nodes, &name).await?;
        for _ in 0..ATTEMPTS {
            record.last_heartbeat = seconds_since_1970();
            if let Some(text) = &current {
                take_over(&mut record, &owner, text)?;
            }
            let text = write(&record)?;
            match registry.swap(Table::Nodes, &name, current.as_deref(), Some(&text)).await? {
                Ok(()) => {
                    return Ok(Self {
                        registry,
                        record,
                        owner,
                        text,
                        has_vanished_before: false,
                        _presence: presence,
                    });
                }
                Err(other) => current = other,
            }
        }
        Err(contended(&name))
    }

    /// The record as last written.
    pub fn record(&self) -> &NodeRecord {
        &self.record
    }

    /// Writes that the node lives, and its status. Call it every 5 s.
    ///
    /// # Errors
    /// [`RegistryError::Lost`] when another live node has the name now; [`RegistryError::Bus`] while
    /// the registry is unavailable (call again).
    pub async fn heartbeat(&mut self, status: Status) -> Result<Heartbeat, RegistryError> {
        self.record.status = status;
        let mut expected = Some(self.text.clone());
        let mut found = Heartbeat::Kept;
        for _ in 0..ATTEMPTS {
            self.record.last_heartbeat = seconds_since_1970();
            let text = write(&self.record)?;
            let swapped =
                self.registry.swap(Table::Nodes, &self.record.name, expected.as_deref(), Some(&text)).await?;
            let Err(current) = swapped else {
                self.text = text;
                if found == Heartbeat::Restored && !self.has_vanished_before {
                    self.has_vanished_before = true;
                    warn!(
                        node = self.record.name,
                        "registered again: the registry had lost this node's record"
                    );
                }
                return Ok(found);
            };
            match &current {
                None => found = Heartbeat::Restored,
                Some(text) => self.adopt(text)?,
            }
            expected = current;
        }
        Err(contended(&self.record.name))
    }

    /// Gives the name back: deletes the record, unless another node wrote it.
    ///
    /// # Errors
    /// [`RegistryError::Bus`] while the registry is unavailable: the record expires.
    pub async fn release(self) -> Result<(), RegistryError> {
        let mut expected = self.text.clone();
        for _ in 0..ATTEMPTS {
            match self.registry.swap(Table::Nodes, &self.record.name, Some(&expected), None).await? {
                Ok(()) | Err(None) => return Ok(()),
                Err(Some(current)) => {
                    if !self.is_ours(&current) {
                        info!(node = self.record.name, "node record kept: the name has another owner");
                        return Ok(());
                    }
                    expected = current;
                }
            }
        }
        Err(contended(&self.record.name))
    }

    fn is_ours(&self, text: &str) -> bool {
        NodeRecord::from_json(&self.record.name, text)
            .is_ok_and(|record| record.owner.is_some_and(|owner| owner.id == self.owner.id))
    }

    /// Reconciles a record that this node did not write. A rewrite of its own record keeps the added keys. The
    /// record of another live owner ends the claim. A malformed record is overwritten.
    fn adopt(&mut self, text: &str) -> Result<(), RegistryError> {
        match NodeRecord::from_json(&self.record.name, text) {
            Ok(current) if current.owner.as_ref().is_some_and(|owner| owner.id == self.owner.id) => {
                self.record.extra = current.extra;
                Ok(())
            }
            Ok(current) => {
                let now = seconds_since_1970();
                let holder = describe_holder(&current, now);
                let Some(retry_after) = remaining_life(&current, &self.owner, now) else {
                    info!(
                        node = self.record.name,
                        previous = holder,
                        "node name taken back from a dead node"
                    );
                    self.record.extra = current.extra;
                    return Ok(());
                };
                Err(RegistryError::Lost { name: self.record.name.clone(), holder, retry_after })
            }
            Err(malformed) => {
                warn!(%malformed, "node record overwritten");
                Ok(())
            }
        }
    }
}

/// Fails while the owner in `text` lives; otherwise keeps the unknown keys of its record.
fn take_over(record: &mut NodeRecord, me: &Owner, text: &str) -> Result<(), RegistryError> {
    let now = record.last_heartbeat;
    let previous = match NodeRecord::from_json(&record.name, text) {
        Ok(previous) => previous,
        Err(malformed) => {
            warn!(%malformed, "node record overwritten");
            return Ok(());
        }
    };
    // An earlier attempt of this claim was written, but its answer was lost.
    if previous.owner.as_ref().is_some_and(|owner| owner.id == me.id) {
        record.extra = previous.extra;
        return Ok(());
    }
    let holder = describe_holder(&previous, now);
    if let Some(retry_after) = remaining_life(&previous, me, now) {
        return Err(RegistryError::Held { name: record.name.clone(), holder, retry_after });
    }
    info!(node = record.name, previous = holder, "node name taken over from a dead node");
    record.extra = previous.extra;
    Ok(())
}

fn write(record: &NodeRecord) -> Result<String, RegistryError> {
    record
        .to_json()
        .map_err(|error| RegistryError::Unwritable { name: record.name.clone(), reason: error.to_string() })
}

fn contended(name: &str) -> RegistryError {
    RegistryError::Lost {
        name: name.to_owned(),
        holder: "several nodes write its record at the same time".to_owned(),
        retry_after: Duration::ZERO,
    }
}

/// MSight's clock: seconds since 1970 as a float.
fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
