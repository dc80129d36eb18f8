//! The table.

mod answers;
mod description;
mod login;
mod noise;
mod packets;
mod time;

use crate::row::Row;

/// All rows.
pub(crate) fn all() -> Vec<Row> {
    [description::rows(), answers::rows(), login::rows(), packets::rows(), time::rows(), noise::rows()]
        .concat()
}
