//! Registration of a node: claiming a name, keeping it, releasing it. A name has one owner.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{info, warn};

use super::error::RegistryError;
use super::liveness::{describe_holder, remaining_life};
use super::node::{NodeRecord, Status};
use super::owner::{Owner, Presence};
use super::table::{Registry, Table};

/// Attempts to write a record. An attempt fails when another program writes in between.
const ATTEMPTS: usize = 5;

/// The claim of this node to its name. [`release`](Self::release) ends it. If it is dropped instead, the record stays
/// and expires; for the next process on this host it expires at once.
pub struct Registration {
    registry: Arc<dyn Registry>,
    record: NodeRecord,
    owner: Owner,
    /// The JSON text of the record as it was last written.
    text: String,
    has_vanished_before: bool,
    _presence: Presence,
}

/// The result of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    /// The record was there.
    Kept,
    /// The record was missing (a restarted Redis, `msight_reset_redis`) and was written again. Topics are missing too:
    /// declare them again.
    Restored,
}

impl Registration {
    /// Claims the name of `record` for `owner`, with the status and topics of `record`.
    ///
    /// A name is taken over if its owner is dead: it has sent no heartbeat for 15 s (60 s for a Python node), or its
    /// process no longer runs on this host. Keys of the old record that this crate does not know are kept.
    ///
    /// # Errors
    /// [`RegistryError::Held`] if another live node owns the name; [`RegistryError::Bus`] if the registry fails.
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

    /// The record as it was last written.
    pub fn record(&self) -> &NodeRecord {
        &self.record
    }

    /// Writes a heartbeat with the node's status, and the reason why it is not `RUNNING`. Call it every 5 s. A reason is cut
    /// after [`NodeRecord::MAX_REASON`] characters.
    ///
    /// # Errors
    /// [`RegistryError::Lost`] if another live node has taken the name over; [`RegistryError::Bus`] while the registry
    /// is unavailable (retry).
    pub async fn heartbeat(
        &mut self,
        status: Status,
        reason: Option<&str>,
    ) -> Result<Heartbeat, RegistryError> {
        self.record.status = status;
        self.record.status_reason =
            reason.map(|reason| reason.chars().take(NodeRecord::MAX_REASON).collect());
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
                Some(text) => self.reconcile(text)?,
            }
            expected = current;
        }
        Err(contended(&self.record.name))
    }

    /// Releases the name: deletes the record, unless another node wrote it.
    ///
    /// # Errors
    /// [`RegistryError::Bus`] while the registry is unavailable. The record then expires.
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

    /// Reconciles a record that this node did not write. If it still has this owner, added keys are kept. If another
    /// live node owns it, the claim ends. A malformed record is overwritten.
    fn reconcile(&mut self, text: &str) -> Result<(), RegistryError> {
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
                        "node name taken over from a dead node"
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

/// Fails while the owner in `text` is alive. Otherwise keeps the unknown keys of its record.
fn take_over(record: &mut NodeRecord, me: &Owner, text: &str) -> Result<(), RegistryError> {
    let now = record.last_heartbeat;
    let previous = match NodeRecord::from_json(&record.name, text) {
        Ok(previous) => previous,
        Err(malformed) => {
            warn!(%malformed, "node record overwritten");
            return Ok(());
        }
    };
    // An earlier attempt of this claim was written, but its response was lost.
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

/// The time as MSight stores it: seconds since 1970 as a float.
fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
