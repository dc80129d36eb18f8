//! Parses the JSON text of a record.

use serde::de::DeserializeOwned;

use super::table::{MAX_RECORD_BYTES, Table};

/// A malformed record. It is reported and otherwise ignored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the record of {name:?} in {table}: {reason}", table = table.key())]
pub struct Malformed {
    /// The hash that holds it.
    pub table: Table,
    /// Its field: the name of a node or topic.
    pub name: String,
    /// The error in it.
    pub reason: String,
}

pub(super) fn read_record<T: DeserializeOwned>(table: Table, name: &str, text: &str) -> Result<T, Malformed> {
    let malformed = |reason| Malformed { table, name: name.to_owned(), reason };
    if text.len() > MAX_RECORD_BYTES {
        return Err(malformed(format!("longer than {} KiB", MAX_RECORD_BYTES >> 10)));
    }
    serde_json::from_str(text).map_err(|error| malformed(error.to_string()))
}
