//! File operations that survive a power cut, and files that are not symbolic links.

use std::fs::{DirEntry, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::path::TEMPORARY;

/// Opens a regular file. A symbolic link is an error, because it can lead out of the folder, and so is a device or pipe,
/// which could block.
pub(crate) fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let opened = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::new(io::ErrorKind::InvalidInput, "it is a symbolic link"),
        _ => error,
    })?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Writes a file that is either whole or absent after a power cut. The caller syncs the folder.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    let temporary = Path::new(&temporary);
    let mut file = open_regular(temporary, OpenOptions::new().write(true).create(true).truncate(true))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(temporary, path)
}

/// Makes new names and removals in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// `None` for a file or folder that does not exist: other programs remove them at any time.
pub(crate) fn if_found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file if it exists.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    if_found(std::fs::remove_file(path)).map(drop)
}

/// Whether a name is taken, also by a symbolic link that leads nowhere.
pub(crate) fn exists(path: &Path) -> io::Result<bool> {
    Ok(if_found(std::fs::symlink_metadata(path))?.is_some())
}

/// The entries of a folder; a folder that does not exist has none. Errors name the folder.
pub(crate) fn entries(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<DirEntry>>> {
    let in_context = |error: io::Error| context(&error, "read", folder);
    let found = if_found(std::fs::read_dir(folder)).map_err(in_context)?;
    Ok(found.into_iter().flatten().map(move |entry| entry.map_err(in_context)))
}

/// Takes the lock of a file. `false` if another program holds it.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether the path still names the open file: it could have been renamed, removed or replaced before the lock was taken.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    let found = if_found(std::fs::symlink_metadata(path))?;
    Ok(found.is_some_and(|found| (found.dev(), found.ino()) == (open.dev(), open.ino())))
}

/// The error with what was tried.
pub(crate) fn context(error: &io::Error, what: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} {:?}: {error}", path.display().to_string()))
}
