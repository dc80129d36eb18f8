//! The table.

mod answers;
mod description;
mod login;
mod nals;
mod noise;
mod packets;
mod time;

use crate::row::Row;

/// All rows.
pub(crate) fn all() -> Vec<Row> {
    [
        description::rows(),
        answers::rows(),
        login::rows(),
        nals::rows(),
        packets::rows(),
        time::rows(),
        noise::rows(),
    ]
    .concat()
}
