//! A whole segment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{context, exists, open_regular, remove, sync_folder, write_whole};
use crate::path::{MARKER, SIDECAR, SegmentPath};

/// Largest sidecar that is read, in bytes. An hour at 30 frames a second has 5 MB.
pub const MAX_SIDECAR: u64 = 64 << 20;

/// A whole segment in the spool folder: a reference to its files, of a few hundred bytes. It can vanish at any time, because
/// other programs share the folder; errors then say so.
#[derive(Debug, Clone)]
pub struct SpooledSegment {
    root: Arc<Path>,
    path: SegmentPath,
    bytes: u64,
}

impl SpooledSegment {
    pub(crate) fn new(root: Arc<Path>, path: SegmentPath, bytes: u64) -> Self {
        Self { root, path, bytes }
    }

    /// The path of the video below the spool folder, with `/` between its parts. Messages name the segment by it.
    #[must_use]
    pub fn relative_path(&self) -> &str {
        self.path.as_str()
    }

    /// The absolute path of the video, for logs.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root.join(self.path.as_str())
    }

    /// Extension of the video, one of [`EXTENSIONS`](crate::EXTENSIONS).
    #[must_use]
    pub fn extension(&self) -> &str {
        self.path.extension()
    }

    /// Size of the video in bytes, as it was found.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens the video for reading.
    ///
    /// # Errors
    /// The file is gone (`NotFound`), or cannot be opened.
    pub fn open(&self) -> io::Result<File> {
        self.open_file(self.path.as_str())
    }

    /// Reads the sidecar, at most [`MAX_SIDECAR`] bytes.
    ///
    /// # Errors
    /// The file is gone (`NotFound`), too large (`InvalidData`), or cannot be read.
    pub fn sidecar(&self) -> io::Result<Vec<u8>> {
        let name = self.path.with(SIDECAR);
        let mut bytes = Vec::new();
        let read = self.open_file(&name)?.take(MAX_SIDECAR + 1).read_to_end(&mut bytes);
        read.map_err(|error| context(&error, "read", &self.root.join(&name)))?;
        if bytes.len() as u64 > MAX_SIDECAR {
            let error = io::Error::new(io::ErrorKind::InvalidData, "the file has more than 64 MiB");
            return Err(context(&error, "read", &self.root.join(&name)));
        }
        Ok(bytes)
    }

    fn open_file(&self, name: &str) -> io::Result<File> {
        let path = self.root.join(name);
        open_regular(&path, OpenOptions::new().read(true)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                let text = format!("{:?} is gone: it was deleted or moved", path.display().to_string());
                io::Error::new(error.kind(), text)
            }
            _ => context(&error, "open", &path),
        })
    }

    /// Whether the segment has the marker of an uploaded one.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn is_uploaded(&self) -> io::Result<bool> {
        let marker = self.root.join(self.path.with(MARKER));
        exists(&marker).map_err(|error| context(&error, "look for", &marker))
    }

    /// Marks the segment as uploaded: it stays in the folder and no longer waits. The marker says where it is.
    ///
    /// # Errors
    /// The marker cannot be written.
    pub fn mark_uploaded(&self, marker: &[u8]) -> io::Result<()> {
        let path = self.root.join(self.path.with(MARKER));
        write_whole(&path, marker)
            .and_then(|()| sync_folder(&self.root.join(self.path.folder())))
            .map_err(|error| context(&error, "write", &path))
    }

    /// Deletes the segment with its sidecar and marker, and its folders if they are empty. Files that are gone already are no error.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn delete(self) -> io::Result<()> {
        // The video first: a sidecar without a video is a leftover, a video without its sidecar would be a mystery.
        for name in [self.path.as_str(), &self.path.with(SIDECAR), &self.path.with(MARKER)] {
            let path = self.root.join(name);
            remove(&path).map_err(|error| context(&error, "remove", &path))?;
        }
        remove_empty_folders(&self.root, &self.path);
        Ok(())
    }
}

/// Removes the folder of the day and that of the sensor if they are empty; a folder with files stays, because rmdir(2)
/// refuses it.
pub(crate) fn remove_empty_folders(root: &Path, path: &SegmentPath) {
    let day = root.join(path.folder());
    if fs::remove_dir(&day).is_ok()
        && let Some(sensor) = day.parent()
    {
        // It stays if it has other days.
        let _ = fs::remove_dir(sensor);
    }
}
