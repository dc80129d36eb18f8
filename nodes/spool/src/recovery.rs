//! What dead programs left behind.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use crate::files::{context, entries, exists, if_found, is_at, open_regular, remove, try_lock};
use crate::part::PartFile;
use crate::path::{COPY, EXTENSIONS, MARKER, PART, SIDECAR, SegmentPath, TEMPORARY};
use crate::scan::MAX_REPORTED;
use crate::segment::{SpooledSegment, remove_empty_folders};
use crate::spool::Spool;

/// What [`Spool::unfinished`] found.
#[derive(Debug, Default)]
pub struct Unfinished {
    /// The segments that dead programs left unfinished, each locked for this program: complete or discard them.
    pub parts: Vec<PartFile>,
    /// Segments that lacked only their final name, and have it now. No message has announced them.
    pub completed: Vec<SpooledSegment>,
    /// Folders and files that could not be read, locked or renamed; all others were. At most 16.
    pub errors: Vec<io::Error>,
}

impl Unfinished {
    fn report(&mut self, error: io::Error) {
        if self.errors.len() < MAX_REPORTED {
            self.errors.push(error);
        }
    }
}

/// Most files that one call of [`Spool::unfinished`] returns, because each one is open.
pub const MAX_UNFINISHED: usize = 256;

impl Spool {
    /// The segments that dead programs left unfinished. At most [`MAX_UNFINISHED`]; call it again until it finds no more. Files
    /// of programs that live are left alone.
    ///
    /// It also puts right what a program left while it changed the state of a segment: a segment with its sidecar gets its
    /// final name, and the sidecar of a deleted video is removed, as is a copy that was not finished.
    ///
    /// # Errors
    /// The spool folder cannot be read. What fails below it is in [`Unfinished::errors`], so that one folder or file does not
    /// hold up the rest.
    pub fn unfinished(&self) -> io::Result<Unfinished> {
        let mut found = Unfinished::default();
        for day in self.days(|error| found.report(error))? {
            if let Err(error) = self.unfinished_of(&day, &mut found) {
                found.report(error);
            }
            if found.parts.len() >= MAX_UNFINISHED {
                break;
            }
        }
        Ok(found)
    }

    /// Adds those of a day.
    fn unfinished_of(&self, day: &str, found: &mut Unfinished) -> io::Result<()> {
        let Some(_lock) = self.lock_day(day)? else { return Ok(()) };
        for name in names(&self.root().join(day))? {
            let righted = match name.strip_suffix(PART) {
                Some(video) => match SegmentPath::parse(&format!("{day}/{video}")) {
                    Ok(path) => self.adopt(path, found),
                    Err(_) => Ok(()),
                },
                None => self.remove_leftover(day, &name).map(drop),
            };
            if let Err(error) = righted {
                found.report(error);
            }
            if found.parts.len() >= MAX_UNFINISHED {
                break;
            }
        }
        Ok(())
    }

    /// Removes the sidecars and markers whose video is gone: a program died while it deleted the segment. Returns their
    /// number. [`unfinished`](Self::unfinished) does so, too.
    ///
    /// # Errors
    /// A folder cannot be read, or a file cannot be removed: the first error. All others are removed.
    pub fn remove_leftovers(&self) -> io::Result<usize> {
        let (mut removed, mut failed) = (0, None);
        let days = self.days(|error| {
            failed.get_or_insert(error);
        })?;
        for day in days {
            match self.remove_leftovers_of(&day) {
                Ok(count) => removed += count,
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(removed), Err)
    }

    fn remove_leftovers_of(&self, day: &str) -> io::Result<usize> {
        let _lock = self.lock_day(day)?;
        let mut removed = 0;
        for name in names(&self.root().join(day))?.iter().filter(|name| !name.ends_with(PART)) {
            removed += usize::from(self.remove_leftover(day, name)?);
        }
        Ok(removed)
    }

    /// Locks the folder of a day, so that no program makes a new file there that is not locked yet. `None` if it is gone.
    fn lock_day(&self, day: &str) -> io::Result<Option<File>> {
        let folder = self.root().join(day);
        let opened = if_found(File::open(&folder)).map_err(|error| context(&error, "open", &folder))?;
        if let Some(lock) = &opened {
            lock.lock().map_err(|error| context(&error, "lock", &folder))?;
        }
        Ok(opened)
    }

    /// Removes a file that is of no use: a sidecar or marker without its video, or a copy whose writer died. Returns whether
    /// it was one.
    fn remove_leftover(&self, day: &str, name: &str) -> io::Result<bool> {
        let full = self.root().join(day).join(name);
        let remove = || remove(&full).map_err(|error| context(&error, "remove", &full));
        if let Some(video) = name.strip_suffix(COPY) {
            if SegmentPath::parse(&format!("{day}/{video}")).is_ok() && is_left(&full)? {
                remove()?;
                return Ok(true);
            }
        } else if let Some(path) = leftover(day, name)
            && !self.has_video(&path)?
        {
            remove()?;
            remove_empty_folders(self.root(), &path);
            return Ok(true);
        }
        Ok(false)
    }

    /// Locks the file of a dead writer, and gives it its name if it is whole. Leaves it if its writer lives.
    fn adopt(&self, path: SegmentPath, found: &mut Unfinished) -> io::Result<()> {
        let full = self.root().join(path.part());
        let opened = if_found(open_regular(&full, OpenOptions::new().read(true).write(true)));
        let Some(file) = opened.map_err(|error| context(&error, "open", &full))? else { return Ok(()) };
        if !try_lock(&file).map_err(|error| context(&error, "lock", &full))? || !is_at(&file, &full)? {
            return Ok(());
        }
        let is_whole = exists(&self.root().join(path.with(SIDECAR)))?;
        let part = PartFile::new(self.shared_root(), path, full, file);
        // The sidecar is written after the last byte of the video is on disk.
        match is_whole {
            true => found.completed.push(part.rename()?),
            false => found.parts.push(part),
        }
        Ok(())
    }

    /// Whether there is a video of this name, whole or being written, whatever its extension: they share sidecar and marker.
    pub(crate) fn has_video(&self, path: &SegmentPath) -> io::Result<bool> {
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

/// Whether no living program writes the file.
fn is_left(path: &Path) -> io::Result<bool> {
    let opened = open_regular(path, OpenOptions::new().read(true).write(true));
    opened.and_then(|file| try_lock(&file)).map_err(|error| context(&error, "lock", path))
}

/// The segment of a file that is of no use without its video.
fn leftover(day: &str, name: &str) -> Option<SegmentPath> {
    let name = name.strip_suffix(TEMPORARY).unwrap_or(name);
    let stem =
        [SIDECAR, MARKER].iter().find_map(|extension| name.strip_suffix(extension)?.strip_suffix('.'))?;
    SegmentPath::parse(&format!("{day}/{stem}.{}", EXTENSIONS[0])).ok()
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let names = entries(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    names.filter_map(Result::transpose).collect()
}
