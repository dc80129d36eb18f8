//! Keys of a bucket in S3's order, a page at a time.
//!
//! A page reads the folders that can have its keys, and the properties of its own objects alone: the cost of a whole
//! listing is near linear in the number of keys.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::SystemTime;

/// What a client asks for.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// The keys begin with it.
    pub(super) prefix: String,
    /// Keys that are the same up to this text, behind the prefix, are one common prefix.
    pub(super) delimiter: Option<String>,
    /// Keys and common prefixes up to here are left out.
    pub(super) after: String,
    /// The largest number of keys and common prefixes.
    pub(super) limit: usize,
}

/// An object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) key: String,
    pub(super) bytes: u64,
    pub(super) modified: SystemTime,
}

/// A page of a listing.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<Found>,
    pub(super) prefixes: Vec<String>,
    /// The last key or common prefix, from which the next page goes on if there is one.
    pub(super) last: String,
    pub(super) is_truncated: bool,
}

/// Lists a page of the bucket in this folder.
pub(super) fn page(bucket: &Path, query: &Query) -> io::Result<Page> {
    let mut page = Page::default();
    if query.limit > 0 {
        let _ = page.walk(bucket, "", query)?;
    }
    Ok(page)
}

/// Whether a bucket has no object. Empty folders do not count.
pub(super) fn is_empty(bucket: &Path) -> io::Result<bool> {
    let page = page(bucket, &Query { limit: 1, ..Query::default() })?;
    Ok(page.objects.is_empty())
}

impl Page {
    /// Adds what a folder contains; its keys begin with `key`. Breaks when the page is full.
    fn walk(&mut self, folder: &Path, key: &str, query: &Query) -> io::Result<ControlFlow<()>> {
        let read = match std::fs::read_dir(folder) {
            // Deleted since its parent was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ControlFlow::Continue(())),
            read => read?,
        };
        let mut entries = Vec::new();
        for entry in read {
            let entry = entry?;
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let Ok(name) = entry.file_name().into_string() else { continue };
            // With its slash a folder has its place among the keys: `a-b` comes before `a/b`.
            let key = format!("{key}{name}{}", if is_folder { "/" } else { "" });
            if query.concerns(&key, is_folder) {
                entries.push((key, is_folder));
            }
        }
        entries.sort_unstable();
        for (key, is_folder) in entries {
            if self.prefixes.last().is_some_and(|prefix| key.starts_with(prefix)) {
                continue;
            }
            let name = key.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let path = folder.join(name);
            let flow = if is_folder { self.walk(&path, &key, query)? } else { self.add(&path, key, query)? };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn add(&mut self, path: &Path, key: String, query: &Query) -> io::Result<ControlFlow<()>> {
        let prefix = query.common_prefix(&key);
        let found = match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ControlFlow::Continue(())),
            found => found?,
        };
        if self.objects.len() + self.prefixes.len() == query.limit {
            self.is_truncated = true;
            return Ok(ControlFlow::Break(()));
        }
        match prefix {
            Some(prefix) => {
                self.last.clone_from(&prefix);
                self.prefixes.push(prefix);
            }
            None => {
                self.last.clone_from(&key);
                self.objects.push(Found { key, bytes: found.len(), modified: found.modified()? });
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Query {
    /// Whether a key can be in the answer, or keys below a folder.
    fn concerns(&self, key: &str, is_folder: bool) -> bool {
        let has_prefix = key.starts_with(&self.prefix) || (is_folder && self.prefix.starts_with(key));
        let is_later = key > self.after.as_str() || (is_folder && self.after.starts_with(key));
        // The page before ended with this common prefix.
        let is_done = self.delimiter.as_ref().is_some_and(|delimiter| {
            self.after.len() > self.prefix.len()
                && self.after.ends_with(delimiter)
                && key.starts_with(&self.after)
        });
        has_prefix && is_later && !is_done
    }

    fn common_prefix(&self, key: &str) -> Option<String> {
        let delimiter = self.delimiter.as_ref().filter(|delimiter| !delimiter.is_empty())?;
        let begin = self.prefix.len();
        let end = begin + key.get(begin..)?.find(delimiter)? + delimiter.len();
        Some(key[..end].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 7] = ["a-b", "a/1", "a/2", "a/c/3", "a0", "b/x", "c"];

    fn bucket() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for key in KEYS {
            let path = folder.path().join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        folder
    }

    /// All pages of a listing, each of at most `limit` entries.
    fn list(bucket: &Path, prefix: &str, delimiter: Option<&str>, limit: usize) -> Vec<String> {
        let mut query = Query {
            prefix: prefix.to_owned(),
            delimiter: delimiter.map(str::to_owned),
            after: String::new(),
            limit,
        };
        let mut all = Vec::new();
        loop {
            let page = page(bucket, &query).unwrap();
            assert!(page.objects.len() + page.prefixes.len() <= limit);
            let mut names: Vec<_> =
                page.objects.into_iter().map(|found| found.key).chain(page.prefixes).collect();
            names.sort();
            all.extend(names);
            if !page.is_truncated {
                return all;
            }
            query.after = page.last;
        }
    }

    #[test]
    fn pages_of_any_size_have_all_keys_in_order() {
        let bucket = bucket();
        for limit in 1..9 {
            assert_eq!(list(bucket.path(), "", None, limit), KEYS, "{limit}");
            assert_eq!(list(bucket.path(), "a/", None, limit), ["a/1", "a/2", "a/c/3"], "{limit}");
            assert_eq!(list(bucket.path(), "", Some("/"), limit), ["a-b", "a/", "a0", "b/", "c"], "{limit}");
            assert_eq!(list(bucket.path(), "a", Some("/"), limit), ["a-b", "a/", "a0"], "{limit}");
            assert_eq!(list(bucket.path(), "a/", Some("/"), limit), ["a/1", "a/2", "a/c/"], "{limit}");
        }
        assert_eq!(list(bucket.path(), "a/c/3", None, 5), ["a/c/3"]);
        assert_eq!(list(bucket.path(), "x", None, 5), [""; 0]);
    }

    #[test]
    fn a_bucket_of_folders_is_empty() {
        let bucket = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(bucket.path().join("a/b")).unwrap();
        assert!(is_empty(bucket.path()).unwrap());
        std::fs::write(bucket.path().join("a/b/c"), "").unwrap();
        assert!(!is_empty(bucket.path()).unwrap());
    }
}
