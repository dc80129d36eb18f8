//! Reading the JSON text of a record.

use serde::de::DeserializeOwned;

use super::table::Table;

/// A record that is not what it should be. It is reported and otherwise left alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the record of {name:?} in {table}: {reason}", table = table.key())]
pub struct Malformed {
    /// The hash it is in.
    pub table: Table,
    /// Its field: the name of a node or topic.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

pub(super) fn read_record<T: DeserializeOwned>(table: Table, name: &str, text: &str) -> Result<T, Malformed> {
    serde_json::from_str(text).map_err(|error| Malformed {
        table,
        name: name.to_owned(),
        reason: error.to_string(),
    })
}
