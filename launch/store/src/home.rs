//! Where the store keeps what is not an object: metadata, parts of uploads, unfinished files.
//!
//! s3s-fs keeps those beside the buckets. So that the user's folder has buckets alone, it works in a hidden folder of it, in
//! which each bucket is a link to the user's one.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The hidden folder. No bucket has such a name.
pub(super) const HIDDEN: &str = ".msight-store";

/// The folder in which s3s-fs works.
#[derive(Clone, Debug)]
pub(super) struct Home {
    /// The folder of the buckets.
    pub(super) root: PathBuf,
    /// The hidden folder, or `root` where the file system has no links.
    folder: PathBuf,
}

impl Home {
    /// Creates the hidden folder, and moves the files there that earlier versions kept beside the buckets.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let folder = root.join(HIDDEN);
        std::fs::create_dir_all(&folder)?;
        let probe = folder.join(format!(".link-{}", std::process::id()));
        // Another store over the same folder may be at the same.
        match std::os::unix::fs::symlink("..", &probe) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            Err(error) => {
                tracing::debug!(%error, "no links here: the store's own files stay beside the buckets");
                let _ = std::fs::remove_dir(&folder);
                return Ok(Self { root: root.to_owned(), folder: root.to_owned() });
            }
            Ok(()) => drop(std::fs::remove_file(&probe)),
        }
        let home = Self { root: root.to_owned(), folder };
        for entry in std::fs::read_dir(root)? {
            let (entry, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            let name = name.to_string_lossy();
            if [".bucket-", ".upload"].iter().any(|own| name.starts_with(own)) {
                let _ = std::fs::rename(&entry, home.folder.join(&*name));
            }
        }
        Ok(home)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of a bucket, if there is one. Users may create buckets as folders at any time.
    pub(super) fn bucket(&self, bucket: &str) -> Option<PathBuf> {
        let path = self.root.join(bucket);
        let is_there = std::fs::metadata(&path).is_ok_and(|found| found.is_dir());
        if is_there && self.folder != self.root {
            let _ = std::os::unix::fs::symlink(Path::new("..").join(bucket), self.folder.join(bucket));
        }
        is_there.then_some(path)
    }

    /// Forgets a deleted bucket.
    pub(super) fn remove_link(&self, bucket: &str) {
        if self.folder != self.root {
            let _ = std::fs::remove_file(self.folder.join(bucket));
        }
    }

    /// The file of an object.
    pub(super) fn object(&self, bucket: &str, key: &str) -> PathBuf {
        self.root.join(bucket).join(key)
    }

    /// The files of s3s-fs about an object: its headers, and its ETag and checksums.
    pub(super) fn about(&self, bucket: &str, key: &str) -> [PathBuf; 2] {
        let (bucket, key) = (URL_SAFE_NO_PAD.encode(bucket), URL_SAFE_NO_PAD.encode(key));
        ["metadata", "internal"]
            .map(|kind| self.folder.join(format!(".bucket-{bucket}.object-{key}.{kind}.json")))
    }

    /// The file in which s3s-fs keeps that an upload in parts was begun.
    pub(super) fn upload(&self, id: &str) -> PathBuf {
        self.folder.join(format!(".upload-{id}.json"))
    }

    /// Removes the parts of an upload.
    pub(super) fn remove_parts(&self, id: &str) {
        let prefix = format!(".upload_id-{id}.part-");
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}
