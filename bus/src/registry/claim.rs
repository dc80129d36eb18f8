//! One name, one owner: taking a name, keeping it, giving it back.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{info, warn};

use super::owner::{Presence, describe_holder, remaining_life};
use super::{NodeRecord, Owner, RegistryError, Status};
use crate::{Bus, Table};

/// How often a record may change under our hands in one go before that is an error. Each round
/// means that somebody else wrote in between.
const ROUNDS: usize = 5;

/// A name that this node owns. Give it back with [`release`](Self::release); dropping it leaves
/// the record behind, which then dies of age (at once for the next process on this host).
pub struct Registration {
    bus: Arc<dyn Bus>,
    record: NodeRecord,
    owner: Owner,
    /// What the table holds as far as we know.
    text: String,
    has_vanished_before: bool,
    _presence: Presence,
}

/// What a heartbeat found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// The record was there.
    Kept,
    /// The record was gone (a restarted Redis, `msight_reset_redis`) and is there again. Topics
    /// are gone as well then: declare them again.
    Restored,
}

impl Registration {
    /// Takes the name of `record` for `owner`, with the status and topics that `record` has.
    ///
    /// A name is taken over when its owner is dead: no sign of life for 15 s (60 s for a Python
    /// node), or its process no longer runs on this very host. Keys that this crate does not know
    /// are taken over with it.
    ///
    /// # Errors
    /// [`RegistryError::Held`] says who has the name, [`RegistryError::Bus`] is the bus's.
    pub async fn claim(
        bus: Arc<dyn Bus>,
        mut record: NodeRecord,
        owner: Owner,
    ) -> Result<Self, RegistryError> {
        let presence = Presence::of(&owner);
        record.owner = Some(owner.clone());
        let name = record.name.clone();
        let mut current = bus.get(Table::Nodes, &name).await?;
        for _ in 0..ROUNDS {
            record.last_heartbeat = seconds_since_1970();
            if let Some(text) = &current {
                take_over(&mut record, &owner, text)?;
            }
            let text = write(&record)?;
            match bus.swap(Table::Nodes, &name, current.as_deref(), Some(&text)).await? {
                Ok(()) => {
                    return Ok(Self {
                        bus,
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

    /// Says that the node lives, and how it is. Call it every 5 s.
    ///
    /// # Errors
    /// [`RegistryError::Lost`] when somebody else who lives has the name now; [`RegistryError::Bus`] while
    /// the bus is away (call again).
    pub async fn heartbeat(&mut self, status: Status) -> Result<Beat, RegistryError> {
        self.record.status = status;
        let mut expected = Some(self.text.clone());
        let mut beat = Beat::Kept;
        for _ in 0..ROUNDS {
            self.record.last_heartbeat = seconds_since_1970();
            let text = write(&self.record)?;
            let swapped =
                self.bus.swap(Table::Nodes, &self.record.name, expected.as_deref(), Some(&text)).await?;
            let Err(current) = swapped else {
                self.text = text;
                if beat == Beat::Restored && !self.has_vanished_before {
                    self.has_vanished_before = true;
                    warn!(node = self.record.name, "the registry had lost this node; it is registered again");
                }
                return Ok(beat);
            };
            match &current {
                None => beat = Beat::Restored,
                Some(text) => self.adopt(text)?,
            }
            expected = current;
        }
        Err(contended(&self.record.name))
    }

    /// Gives the name back: deletes the record, unless somebody else wrote it.
    ///
    /// # Errors
    /// [`RegistryError::Bus`] while the bus is away: the record dies of age.
    pub async fn release(self) -> Result<(), RegistryError> {
        let mut expected = self.text.clone();
        for _ in 0..ROUNDS {
            match self.bus.swap(Table::Nodes, &self.record.name, Some(&expected), None).await? {
                Ok(()) | Err(None) => return Ok(()),
                Err(Some(current)) => {
                    if !self.is_ours(&current) {
                        info!(node = self.record.name, "the node's name has another owner; left to it");
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

    /// Deals with a record that we did not write: a rewrite of ours is welcome with what it adds,
    /// another owner's ends our claim as long as that one lives, and what nobody can read is nobody's.
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
                    info!(node = self.record.name, was = holder, "taking the name back from a dead node");
                    self.record.extra = current.extra;
                    return Ok(());
                };
                Err(RegistryError::Lost { name: self.record.name.clone(), holder, retry_after })
            }
            Err(malformed) => {
                warn!(%malformed, "writing this node's record again");
                Ok(())
            }
        }
    }
}

/// Refuses while the owner in `text` lives, else inherits what we do not know.
fn take_over(record: &mut NodeRecord, me: &Owner, text: &str) -> Result<(), RegistryError> {
    let now = record.last_heartbeat;
    let previous = match NodeRecord::from_json(&record.name, text) {
        Ok(previous) => previous,
        Err(malformed) => {
            warn!(%malformed, "taking the name over");
            return Ok(());
        }
    };
    // An earlier attempt of ours was written although its answer was lost.
    if previous.owner.as_ref().is_some_and(|owner| owner.id == me.id) {
        record.extra = previous.extra;
        return Ok(());
    }
    let holder = describe_holder(&previous, now);
    if let Some(retry_after) = remaining_life(&previous, me, now) {
        return Err(RegistryError::Held { name: record.name.clone(), holder, retry_after });
    }
    info!(node = record.name, was = holder, "taking over the name of a dead node");
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
