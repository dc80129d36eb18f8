//! The spool folder, on a real file system.

mod paths;
mod recovery;
mod scan;

use msight_spool::{Spool, SpooledSegment};
use std::io::Write as _;
use tempfile::TempDir;

/// 2026-11-28T16:53:00.123Z
pub(crate) const START: f64 = 1_795_884_780.123;

pub(crate) fn spool() -> (TempDir, Spool) {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path().join("spool")).unwrap();
    (folder, spool)
}

/// A whole segment with a sidecar of two bytes.
pub(crate) fn segment(spool: &Spool, sensor: &str, start: f64, video: &[u8]) -> SpooledSegment {
    let mut part = spool.create(Some(sensor), start, "mp4").unwrap();
    part.file().write_all(video).unwrap();
    part.complete(b"{}").unwrap()
}

/// All files below the spool folder.
pub(crate) fn files(spool: &Spool) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![spool.root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    let relative = |path: std::path::PathBuf| path.strip_prefix(spool.root()).unwrap().display().to_string();
    let mut found: Vec<_> = found.into_iter().map(relative).collect();
    found.sort();
    found
}

/// The unfinished segments of a folder that can be read as a whole.
pub(crate) fn unfinished(spool: &Spool) -> Vec<msight_spool::PartFile> {
    let found = spool.unfinished().unwrap();
    assert!(found.errors.is_empty(), "{:?}", found.errors);
    found.parts
}
