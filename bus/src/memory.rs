//! The bus and the registry of one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::bus::{BoxFuture, Bus, check_size};
use crate::delivery::Receivers;
use crate::error::Error;
use crate::inbox::QueueConfig;
use crate::local::LocalTopics;
use crate::registry::{Registry, Swapped, Table};
use crate::subscription::Subscription;
use crate::topic::Topic;

/// A bus in the memory of this process, for graphs in one process and for tests. Clones share the bus. A payload is not
/// copied: every subscriber gets the same bytes.
#[derive(Clone, Default)]
pub struct MemoryBus {
    topics: LocalTopics<Bytes>,
}

impl MemoryBus {
    /// A bus without subscribers.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Bus for MemoryBus {
    fn publish<'a>(&'a self, topic: &'a Topic, payload: Bytes) -> BoxFuture<'a, Result<Receivers, Error>> {
        Box::pin(async move {
            check_size(topic, &payload)?;
            Ok(Receivers::Known(self.topics.publish(topic, payload).unwrap_or(0)))
        })
    }

    fn subscribe<'a>(
        &'a self,
        topic: &'a Topic,
        queue: QueueConfig,
    ) -> BoxFuture<'a, Result<Subscription, Error>> {
        Box::pin(async move { Ok(self.topics.subscribe(topic, queue)) })
    }

    fn describe(&self) -> String {
        "memory://".to_owned()
    }
}

/// A registry in the memory of this process. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryRegistry {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Default)]
struct Tables {
    nodes: BTreeMap<String, String>,
    topics: BTreeMap<String, String>,
}

impl MemoryRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn swap_now(&self, table: Table, field: &str, expected: Option<&str>, new: Option<&str>) -> Swapped {
        let mut tables = self.lock();
        let fields = tables.table(table);
        let current = fields.get(field).map(String::as_str);
        if current != expected {
            return Err(current.map(str::to_owned));
        }
        match new {
            Some(new) => drop(fields.insert(field.to_owned(), new.to_owned())),
            None => drop(fields.remove(field)),
        }
        Ok(())
    }

    fn reset_now(&self) -> u64 {
        let mut tables = self.lock();
        // A hash without fields does not exist in Redis, so it is not counted either.
        let keys = [Table::Nodes, Table::Topics].map(|table| std::mem::take(tables.table(table)));
        keys.iter().filter(|fields| !fields.is_empty()).count() as u64
    }
}

impl Tables {
    fn table(&mut self, table: Table) -> &mut BTreeMap<String, String> {
        match table {
            Table::Nodes => &mut self.nodes,
            Table::Topics => &mut self.topics,
        }
    }
}

impl Registry for MemoryRegistry {
    fn read<'a>(&'a self, table: Table) -> BoxFuture<'a, Result<Vec<(String, String)>, Error>> {
        Box::pin(async move { Ok(self.lock().table(table).clone().into_iter().collect()) })
    }

    fn get<'a>(&'a self, table: Table, field: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(async move { Ok(self.lock().table(table).get(field).cloned()) })
    }

    fn swap<'a>(
        &'a self,
        table: Table,
        field: &'a str,
        expected: Option<&'a str>,
        new: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Swapped, Error>> {
        Box::pin(async move { Ok(self.swap_now(table, field, expected, new)) })
    }

    fn reset<'a>(&'a self) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move { Ok(self.reset_now()) })
    }

    fn describe(&self) -> String {
        "memory://".to_owned()
    }
}
