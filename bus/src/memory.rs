//! The bus of one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use crate::{BoxFuture, Bus, Error, LocalTopics, Queue, Subscription, Table, Topic, check_size};

/// A bus in the memory of this process, for graphs in one process and for tests. Clones share
/// it. A payload is not copied: every subscriber gets the same bytes.
#[derive(Clone, Default)]
pub struct MemoryBus {
    topics: LocalTopics<Bytes>,
    tables: Arc<Mutex<Tables>>,
}

#[derive(Default)]
struct Tables {
    nodes: BTreeMap<String, String>,
    topics: BTreeMap<String, String>,
}

impl MemoryBus {
    /// A bus of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bus that everything in this process which says `memory://` shares.
    pub(crate) fn of_process() -> Self {
        static BUS: OnceLock<MemoryBus> = OnceLock::new();
        BUS.get_or_init(Self::new).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn swap_now(
        &self,
        table: Table,
        field: &str,
        expected: Option<&str>,
        new: Option<&str>,
    ) -> Result<(), Option<String>> {
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

impl Bus for MemoryBus {
    fn publish<'a>(&'a self, topic: &'a Topic, payload: Bytes) -> BoxFuture<'a, Result<usize, Error>> {
        Box::pin(async move {
            check_size(topic, &payload)?;
            Ok(self.topics.publish(topic, payload).unwrap_or(0))
        })
    }

    fn subscribe<'a>(&'a self, topic: &'a Topic, queue: Queue) -> BoxFuture<'a, Result<Subscription, Error>> {
        Box::pin(async move { Ok(self.topics.subscribe(topic, queue)) })
    }

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
    ) -> BoxFuture<'a, Result<Result<(), Option<String>>, Error>> {
        Box::pin(async move { Ok(self.swap_now(table, field, expected, new)) })
    }

    fn reset<'a>(&'a self) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move { Ok(self.reset_now()) })
    }

    fn describe(&self) -> String {
        "memory://".to_owned()
    }
}
