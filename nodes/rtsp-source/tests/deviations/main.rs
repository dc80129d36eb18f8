//! The table of deviations: one well-behaved camera, changed by one line a row, and shown to ffmpeg and to the source.
//!
//! What ffmpeg shows, the source publishes. A row fails also where the source publishes other frames than the row states, or
//! frames with capture times that do not increase or are far from when the frame was sent.

mod camera;
mod client;
mod film;
mod login;
mod row;
mod rows;
#[path = "../stub/mod.rs"]
#[allow(dead_code, reason = "the other tests use the rest of it")]
mod stub;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use futures_util::{StreamExt as _, stream};

use crate::row::Verdict;

/// Rows that run at a time. They mostly wait for the camera, which plays in real time.
const AT_A_TIME: usize = 24;

/// Runs the rows whose names contain `MSIGHT_ROWS`, or all.
#[tokio::test(flavor = "multi_thread")]
async fn what_ffmpeg_shows_the_source_publishes() {
    LazyLock::force(&client::LOG);
    let chosen = std::env::var("MSIGHT_ROWS").unwrap_or_default();
    let rows = rows::all().into_iter().filter(|row| row.name.contains(&chosen));
    let rows = stream::iter(rows).map(|row| async move { row.run().await });
    let verdicts: Vec<_> = rows.buffered(AT_A_TIME).collect().await;
    let names: HashSet<_> = verdicts.iter().map(|verdict| verdict.name).collect();
    assert_eq!(names.len(), verdicts.len(), "each row has a name of its own");
    let mut report = String::new();
    let mut failed = Vec::new();
    for verdict in &verdicts {
        let result = if verdict.faults.is_empty() { "ok" } else { "FAILED" };
        if !verdict.faults.is_empty() {
            failed.push(verdict.name);
        }
        let Verdict { name, ffmpeg, source, faults } = verdict;
        let _ = writeln!(report, "{result:6}  ffmpeg {ffmpeg:2}  source {source:2}  {name}");
        for fault in faults {
            let _ = writeln!(report, "        {fault}");
        }
    }
    show(&report);
    assert!(failed.is_empty(), "these rows failed: {failed:#?}");
}

#[expect(clippy::print_stdout, reason = "the table is the output of this test")]
fn show(report: &str) {
    println!("{report}");
}
