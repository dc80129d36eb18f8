//! The folder itself: opening it, and new segments in it.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use crate::files::{context, exists, is_at, open_regular, sync_folder, try_lock};
use crate::part::PartFile;
use crate::path::{EXTENSIONS, MARKER, PathError, SIDECAR, SegmentPath, for_log};
use crate::segment::SpooledSegment;

/// Segments of one sensor that can start in the same millisecond.
const MAX_NAMESAKES: u32 = 10_000;

/// Tries to make a segment's folder, which a program that deletes the last segment of a day removes again.
const FOLDER_TRIES: u32 = 100;

/// Folders of days in which nothing waited when they were read, and their times of modification then. Kept segments can be
/// in thousands of them.
pub(crate) type QuietDays = HashMap<String, SystemTime>;

/// A spool folder. Clones share it; so do processes.
#[derive(Debug, Clone)]
pub struct Spool {
    /// Without symbolic links.
    root: Arc<Path>,
    /// Folders of days in which nothing waits, for scans.
    pub(crate) quiet: Arc<Mutex<QuietDays>>,
}

impl Spool {
    /// Opens a spool folder, and creates it if it does not exist.
    ///
    /// # Errors
    /// The folder cannot be created or written, or its file system has no file locks. The error names the folder.
    pub fn open(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = root.as_ref();
        fs::create_dir_all(root)
            .map_err(|error| unusable(root, &error, "correct the path: the folder cannot be created there"))
            .and_then(|()| Self::open_existing(root))
    }

    /// As [`open`](Self::open), and does not create the folder: for a program that only takes segments out of it, which
    /// would otherwise look into an empty folder for ever if its path is wrong.
    ///
    /// # Errors
    /// As [`open`](Self::open), or the folder does not exist.
    pub fn open_existing(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = root.as_ref();
        let check = || {
            let root = fs::canonicalize(root)?;
            try_file(&root, |file| try_lock(file).map(drop))?;
            File::open(&root)?.lock()?;
            Ok(root)
        };
        let opened = check().map(|root| Self { root: root.into(), quiet: Arc::default() });
        let missing = "correct the path, or start the program that writes it";
        opened.map_err(|error: io::Error| unusable(root, &error, missing))
    }

    /// The folder's absolute path, without symbolic links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes a file of so many bytes to the disk, and removes it.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn probe(&self, bytes: usize) -> io::Result<()> {
        try_file(&self.root, |file| file.write_all(&vec![0; bytes]).and_then(|()| file.sync_all()))
    }

    pub(crate) fn shared_root(&self) -> Arc<Path> {
        self.root.clone()
    }

    /// Starts a segment: makes an empty file and locks it. Its name is the sensor and the capture time of its first frame,
    /// `start`, in seconds since 1970. A name that is taken gets a suffix: a segment never overwrites another.
    ///
    /// # Errors
    /// The extension is not one of [`EXTENSIONS`], or the file cannot be made.
    pub fn create(&self, sensor: Option<&str>, start: f64, extension: &str) -> io::Result<PartFile> {
        if !EXTENSIONS.contains(&extension) {
            let text = format!("{extension:?} is not an extension of segments");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let folder = self.root.join(SegmentPath::new(sensor, start, 1, extension).folder());
        let in_context = |error| context(&error, "create a segment in", &folder);
        // create_dir_all reports a folder that is removed while it looks at it as one that exists.
        let is_removal = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists)
        };
        let mut last = None;
        for _ in 0..FOLDER_TRIES {
            match self.create_in(&folder, sensor, start, extension) {
                // The last segment of the day was deleted in this moment, and the folder with it.
                Err(error) if is_removal(&error) => last = Some(error),
                made => return made.map_err(in_context),
            }
        }
        Err(in_context(last.unwrap_or_else(|| io::ErrorKind::NotFound.into())))
    }

    fn create_in(
        &self,
        folder: &Path,
        sensor: Option<&str>,
        start: f64,
        extension: &str,
    ) -> io::Result<PartFile> {
        let is_new = !exists(folder)?;
        fs::create_dir_all(folder)?;
        check_no_links(folder)?;
        if is_new {
            sync_folder(&self.root)?;
            folder.parent().map_or(Ok(()), sync_folder)?;
        }
        // While this program holds the folder's lock, no other one takes the same name, and recovery does not see a file
        // that is made and not yet locked.
        let lock = File::open(folder)?;
        lock.lock()?;
        for number in 1..=MAX_NAMESAKES {
            let path = SegmentPath::new(sensor, start, number, extension);
            if self.is_taken(&path)? {
                continue;
            }
            let part = self.root.join(path.part());
            let file = open_regular(&part, OpenOptions::new().read(true).write(true).create_new(true))?;
            if !try_lock(&file)? || !is_at(&file, &part)? {
                return Err(io::Error::other("another program locked the new file"));
            }
            // Its content is brought to the disk as it grows, and needs its name there.
            sync_folder(folder)?;
            return Ok(PartFile::new(self.root.clone(), path, part, file));
        }
        Err(io::Error::other("too many segments start in the same millisecond"))
    }

    /// Whether any file of a segment has this name.
    fn is_taken(&self, path: &SegmentPath) -> io::Result<bool> {
        let exists = |extension| exists(&self.root.join(path.with(extension)));
        Ok(self.has_video(path)? || exists(SIDECAR)? || exists(MARKER)?)
    }

    /// The segment that a message names by its path below the folder.
    ///
    /// # Errors
    /// The path leaves the folder or is not that of a segment, or there is no such file. A symbolic link below the folder
    /// is refused, wherever it leads.
    pub fn segment(&self, relative: &str) -> Result<SpooledSegment, PathError> {
        let invalid = |reason| PathError::Invalid { path: for_log(relative), reason };
        let path = SegmentPath::parse(relative).map_err(invalid)?;
        let full = self.root.join(path.as_str());
        let io_error = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                PathError::Gone { path: for_log(relative) }
            }
            _ => PathError::Io { path: for_log(relative), source },
        };
        // Resolves every part: it differs from the path if one of them is a symbolic link.
        if fs::canonicalize(&full).map_err(io_error)? != full {
            return Err(invalid("it contains a symbolic link"));
        }
        let found = fs::symlink_metadata(&full).map_err(io_error)?;
        if !found.is_file() {
            return Err(invalid("it is not a regular file"));
        }
        Ok(SpooledSegment::new(self.root.clone(), path, found.len()))
    }
}

/// The error with the folder and the next step; `missing` is that for a path that does not exist or is no folder.
fn unusable(root: &Path, error: &io::Error, missing: &str) -> io::Error {
    let help = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing,
        io::ErrorKind::PermissionDenied => "give the program's user write access to it",
        io::ErrorKind::Unsupported => "use a file system with file locks",
        _ => "check the path and its file system",
    };
    let shown = root.display().to_string();
    io::Error::new(error.kind(), format!("cannot use the spool folder {shown:?}: {error}; {help}"))
}

/// Tries what can be done with a file in the folder, and removes it.
fn try_file(root: &Path, work: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let path = root.join(format!(".msight-spool-{}-{:?}", std::process::id(), std::thread::current().id()));
    let mut file = open_regular(&path, OpenOptions::new().write(true).create(true).truncate(true))?;
    let done = work(&mut file);
    fs::remove_file(&path)?;
    done
}

/// A symbolic link below the root could lead out of it.
fn check_no_links(folder: &Path) -> io::Result<()> {
    let real: PathBuf = fs::canonicalize(folder)?;
    if real == folder {
        return Ok(());
    }
    let text = format!("the folder is a symbolic link to {:?}", real.display().to_string());
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}
