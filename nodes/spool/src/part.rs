//! A segment that is being written.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{context, open_regular, remove, sync_folder, try_lock, write_whole};
use crate::path::{COPY, SIDECAR, SegmentPath};
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

    /// Writes the file anew: `write` is given the file and the one that takes its place. A power cut leaves one of them.
    ///
    /// # Errors
    /// `write` failed, or the file cannot be made, synced or renamed. The file is as it was.
    pub fn rewrite<T, E: From<io::Error>>(
        &mut self,
        write: impl FnOnce(&mut File, &mut File) -> Result<T, E>,
    ) -> Result<T, E> {
        let copy = self.root.join(self.path.with(&format!("{}{COPY}", self.path.extension())));
        let in_context = |error| context(&error, "write", &copy);
        let mut new = self.create_copy(&copy).map_err(in_context)?;
        let written = write(&mut self.file, &mut new).and_then(|written| {
            new.sync_all().and_then(|()| fs::rename(&copy, &self.full)).map_err(in_context)?;
            Ok(written)
        });
        match written {
            Ok(written) => {
                self.file = new;
                self.sync_names();
                Ok(written)
            }
            Err(error) => {
                if let Err(error) = remove(&copy) {
                    tracing::warn!("{}", context(&error, "remove", &copy));
                }
                Err(error)
            }
        }
    }

    /// Makes the file of the next version, and locks it before it has its final name.
    fn create_copy(&self, copy: &Path) -> io::Result<File> {
        let lock = File::open(self.root.join(self.path.folder()))?;
        lock.lock()?;
        let file = open_regular(copy, OpenOptions::new().read(true).write(true).create(true).truncate(true))?;
        match try_lock(&file)? {
            true => Ok(file),
            false => Err(io::Error::other("another program writes it")),
        }
    }

    /// Makes a change of names durable. Without it a power cut may bring an earlier name back, from which recovery goes on.
    fn sync_names(&self) {
        let folder = self.root.join(self.path.folder());
        if let Err(error) = sync_folder(&folder) {
            tracing::warn!("{}", context(&error, "sync", &folder));
        }
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
        self.sync_names();
        Ok(SpooledSegment::new(self.root, self.path, bytes))
    }

    /// Removes the file, and its folder if that is empty.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn discard(self) -> io::Result<()> {
        remove(&self.root.join(self.path.with(SIDECAR)))
            .and_then(|()| remove(&self.full))
            .map_err(|error| context(&error, "remove", &self.full))?;
        remove_empty_folders(&self.root, &self.path);
        Ok(())
    }
}
