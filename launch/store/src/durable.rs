//! Writes what is stored to the disk itself, so that it survives a power cut once it is acknowledged.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::future::{try_join, try_join_all};

use crate::disk::blocking;
use crate::home::Home;

/// Writes the content of files to the disk. They are synchronised side by side, so that the file system commits them
/// together.
pub(super) async fn sync_files(files: impl IntoIterator<Item = PathBuf>) -> io::Result<()> {
    let syncs = files.into_iter().map(|file| blocking(move || File::open(file)?.sync_all()));
    try_join_all(syncs).await.map(drop)
}

/// Writes the names of an object's files to the disk: its own, those of its folders, and those about it.
pub(super) async fn sync_names(home: &Home, bucket: &str, key: &str) -> io::Result<()> {
    let (bucket, object) = (home.root.join(bucket), home.object(bucket, key));
    let own = home.folder().to_owned();
    // All folders: another upload can have created one, and not have synchronised it yet.
    let named = blocking(move || {
        let mut folders = object.ancestors().skip(1).take_while(|folder| folder.starts_with(&bucket));
        folders.try_for_each(sync_folder)
    });
    try_join(named, blocking(move || sync_folder(&own))).await.map(drop)
}

/// Writes both to the disk, of an object that s3s-fs has stored.
pub(super) async fn sync_object(home: &Home, bucket: &str, key: &str) -> io::Result<()> {
    let files = [home.object(bucket, key)].into_iter().chain(home.about(bucket, key));
    sync_files(files.filter(|file| file.exists())).await?;
    sync_names(home, bucket, key).await
}

/// Writes the names in a folder to the disk.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Deleted meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Some network file systems cannot, and keep their names elsewhere.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}
