//! Parses the JSON text of a record.

use serde::de::DeserializeOwned;

use super::table::Table;

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
    serde_json::from_str(text).map_err(|error| Malformed {
        table,
        name: name.to_owned(),
        reason: error.to_string(),
    })
}
