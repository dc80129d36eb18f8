//! What dead programs left behind.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use crate::files::{context, exists, is_at, open_regular, remove, try_lock};
use crate::part::PartFile;
use crate::path::{EXTENSIONS, MARKER, PART, SIDECAR, SegmentPath, TEMPORARY};
use crate::segment::remove_empty_folders;
use crate::spool::Spool;

/// Most files that one call of [`Spool::unfinished`] returns, because each one is open.
pub const MAX_UNFINISHED: usize = 256;

impl Spool {
    /// The segments that dead programs left unfinished, each locked for this program: complete or discard them. At most
    /// [`MAX_UNFINISHED`]; call it again until it returns none. Files of programs that live are left alone.
    ///
    /// It also puts right what a program left while it changed the state of a segment: a segment with its sidecar gets its
    /// final name, and the sidecar of a deleted video is removed.
    ///
    /// # Errors
    /// A folder or file cannot be read, locked or renamed. All others are returned first, so that one file does not hold up
    /// the rest: the error comes once there is nothing else to return.
    pub fn unfinished(&self) -> io::Result<Vec<PartFile>> {
        let (mut found, mut failed) = (Vec::new(), None);
        for day in self.days()? {
            let folder = self.root().join(&day);
            // No program is about to lock a new file while this one holds the folder's lock.
            let Ok(lock) = File::open(&folder) else { continue };
            lock.lock().map_err(|error| context(&error, "lock", &folder))?;
            for name in names(&folder)? {
                if let Some(video) = name.strip_suffix(PART) {
                    let Ok(path) = SegmentPath::parse(&format!("{day}/{video}")) else { continue };
                    match self.adopt(path) {
                        Ok(part) => found.extend(part),
                        Err(error) => failed = Some(error),
                    }
                    if found.len() >= MAX_UNFINISHED {
                        return Ok(found);
                    }
                } else if let Some(path) = leftover(&day, &name)
                    && !self.has_video(&path)?
                {
                    remove(&folder.join(&name))
                        .map_err(|error| context(&error, "remove", &folder.join(&name)))?;
                    remove_empty_folders(self.root(), &path);
                }
            }
        }
        match failed {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// Locks the file of a dead writer. `None` if its writer lives, or the segment turned out to be whole.
    fn adopt(&self, path: SegmentPath) -> io::Result<Option<PartFile>> {
        let full = self.root().join(path.part());
        let file = match open_regular(&full, OpenOptions::new().read(true).write(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(context(&error, "open", &full)),
        };
        if !try_lock(&file).map_err(|error| context(&error, "lock", &full))? || !is_at(&file, &full)? {
            return Ok(None);
        }
        let is_whole = exists(&self.root().join(path.with(SIDECAR)))?;
        let part = PartFile::new(self.shared_root(), path, full, file);
        // The sidecar is written after the last byte of the video is on disk.
        if is_whole { part.rename().map(|_| None) } else { Ok(Some(part)) }
    }

    /// Whether a sidecar or marker has its video, whole or being written.
    fn has_video(&self, path: &SegmentPath) -> io::Result<bool> {
        for extension in EXTENSIONS {
            // In the order in which a segment's names change.
            for name in [path.with(&format!("{extension}{PART}")), path.with(extension)] {
                if exists(&self.root().join(name))? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// The segment of a file that is of no use without its video.
fn leftover(day: &str, name: &str) -> Option<SegmentPath> {
    let name = name.strip_suffix(TEMPORARY).unwrap_or(name);
    let stem =
        [SIDECAR, MARKER].iter().find_map(|extension| name.strip_suffix(extension)?.strip_suffix('.'))?;
    SegmentPath::parse(&format!("{day}/{stem}.{}", EXTENSIONS[0])).ok()
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let read =
        || std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>();
    match read() {
        Ok(names) => Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(context(&error, "read", folder)),
    }
}
