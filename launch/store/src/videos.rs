//! The videos among the objects.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How deep keys nest in folders at most.
const MAX_DEPTH: usize = 16;

/// The MP4 files of a folder and those within it.
pub fn videos(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            // A link is not followed: it could lead anywhere.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => folders.push((path, depth + 1)),
                Ok(kind) if kind.is_file() && path.extension().is_some_and(|end| end == "mp4") => {
                    found.insert(path);
                }
                _ => {}
            }
        }
    }
    found
}
