//! Rows that the source does not pass yet. A row that passes must leave this list.

/// Their names.
pub(crate) const ROWS: &[&str] = &[
    "time: stamps in milliseconds",
    "time: stamps in microseconds",
    "time: stamps count frames",
    "time: stamps of twice the rate",
    "time: stamps of half the rate",
    "time: stamps go back",
    "time: stamps jump a second ahead",
];
