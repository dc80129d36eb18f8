//! A segment that is being written.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{context, remove, sync_folder, write_whole};
use crate::path::{SIDECAR, SegmentPath};
use crate::segment::{SpooledSegment, remove_empty_folders};

/// A segment that is being written, locked for as long as this value lives. If it is dropped, or its program dies, the file
/// stays, and [`Spool::unfinished`](crate::Spool::unfinished) finds it.
#[derive(Debug)]
pub struct PartFile {
    root: Arc<Path>,
    path: SegmentPath,
    full: PathBuf,
    file: File,
}

impl PartFile {
    /// `file` is open for reading and writing, and locked.
    pub(crate) fn new(root: Arc<Path>, path: SegmentPath, full: PathBuf, file: File) -> Self {
        Self { root, path, full, file }
    }

    /// The file, open for reading and writing.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// The file's absolute path, which ends in `.part`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.full
    }

    /// The path below the spool folder that the segment has once it is whole.
    #[must_use]
    pub fn relative_path(&self) -> &str {
        self.path.as_str()
    }

    /// Makes the segment whole: its content, then its sidecar, then its name. After a power cut it is whole as well, or
    /// still unfinished.
    ///
    /// # Errors
    /// The disk is full or fails. The file is left unfinished.
    pub fn complete(self, sidecar: &[u8]) -> io::Result<SpooledSegment> {
        let in_context = |error| context(&error, "complete", &self.full);
        self.file.sync_all().map_err(in_context)?;
        write_whole(&self.root.join(self.path.with(SIDECAR)), sidecar).map_err(in_context)?;
        self.rename()
    }

    /// Gives the video its final name. Its content and its sidecar are on disk.
    pub(crate) fn rename(self) -> io::Result<SpooledSegment> {
        let in_context = |error| context(&error, "complete", &self.full);
        let bytes = self.file.metadata().map_err(in_context)?.len();
        fs::rename(&self.full, self.root.join(self.path.as_str())).map_err(in_context)?;
        sync_folder(&self.root.join(self.path.folder())).map_err(in_context)?;
        Ok(SpooledSegment::new(self.root, self.path, bytes))
    }

    /// Removes the file, and its folder if that is empty.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn discard(self) -> io::Result<()> {
        remove(&self.root.join(self.path.with(SIDECAR)))
            .and_then(|_| remove(&self.full))
            .map_err(|error| context(&error, "remove", &self.full))?;
        remove_empty_folders(&self.root, &self.path);
        Ok(())
    }
}
