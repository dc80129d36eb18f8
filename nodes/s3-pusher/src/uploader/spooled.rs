//! Segments of the spool folder on their way to the bucket: found, queued and read, or left in the folder.

use super::Shared;
use crate::blocking::blocking;
use crate::failure::{Class, Failure};
use crate::obstacles::Place;
use crate::pending::PendingUpload;
use crate::spooling::Spooling;
use crate::upload::Job;
use msight_spool::{PathError, Scan, SpooledSegment};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A segment of the spool folder that cannot be queued.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// There is no spool folder.
    #[error(
        "the message names the file {0:?} instead of carrying the video; start the pusher with --spool DIR, the folder of \
         the program that wrote it"
    )]
    NoFolder(String),
    /// The path is not one of a segment.
    #[error(transparent)]
    Path(#[from] PathError),
    /// There is no such file.
    #[error(
        "there is no file {path:?} in the spool folder {folder:?}: it was deleted, or its sender uses another folder; give both \
         the same --spool, and in containers the same volume"
    )]
    Gone {
        /// The path below the folder.
        path: String,
        /// The folder.
        folder: PathBuf,
    },
}

/// Scans the spool folder at the start, once a minute, and when there is room for more of its segments.
pub(super) async fn scan(shared: Arc<Shared>, spooling: Arc<Spooling>) {
    loop {
        let (limit, scanned) = (shared.pending.room_for_references(), spooling.clone());
        let found = tokio::task::spawn_blocking(move || scanned.scan(limit)).await;
        let scan = found.map_err(io::Error::other).and_then(|found| found);
        shared.report_folder(&scan);
        let has_failed = scan.is_err();
        if let Ok(scan) = scan {
            let segments = scan.waiting.iter().filter(|file| shared.queue(file)).count();
            if segments > 0 {
                shared.references.found();
                tracing::info!(segments, "found segments in the spool folder");
            }
            shared.check();
        }
        spooling.scan_due(has_failed).await;
    }
}

impl Shared {
    /// Queues the segment of the spool folder that a message names.
    ///
    /// # Errors
    /// As [`Uploader::submit_spooled`](super::Uploader::submit_spooled).
    pub(super) async fn accept_reference(&self, path: String) -> Result<(), SpoolError> {
        let Some(spooling) = self.spooling.clone() else {
            self.references.without_folder(&path);
            return Err(SpoolError::NoFolder(path));
        };
        let (folder, announced) = (spooling.folder().to_owned(), spooling.clone());
        let found = tokio::task::spawn_blocking(move || announced.announced(&path)).await;
        let found = found.unwrap_or_else(|error| {
            Err(PathError::Io { path: String::new(), source: io::Error::other(error) })
        });
        match found {
            Ok(file) => {
                self.references.found();
                if let Some(file) = file {
                    self.queue(&file);
                }
                Ok(())
            }
            Err(PathError::Gone { path }) => {
                self.references.missing(&path, &folder);
                Err(SpoolError::Gone { path, folder })
            }
            // The next scan reports the folder, and finds the segment once it can be read.
            Err(PathError::Io { path, source }) => {
                tracing::warn!(
                    path,
                    "cannot look for a segment in the spool folder: {source}; a scan finds it later"
                );
                spooling.scan_soon();
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reports that the spool folder or a part of it cannot be read, or that it can be read again.
    fn report_folder(&self, scan: &io::Result<Scan>) {
        let reason = match scan {
            Ok(scan) => scan.errors.first().map(|error| {
                format!(
                    "cannot read a part of the spool folder: {error}; give the program's user access to it"
                )
            }),
            Err(error) => Some(error.to_string()),
        };
        let text = reason.clone();
        if self.obstacles.set(Place::Folder, reason) {
            match text {
                Some(reason) => tracing::error!("{reason}; trying again"),
                None => tracing::info!("the spool folder can be read"),
            }
        }
    }

    /// Queues a segment of the spool folder. `false` if it is queued already, or there is no room.
    pub(super) fn queue(&self, file: &SpooledSegment) -> bool {
        let Some(spooling) = &self.spooling else { return false };
        if !spooling.take(file) {
            return false;
        }
        let is_queued = self.pending.push(file.clone(), None);
        if is_queued {
            self.stats.received_by_reference();
        } else {
            spooling.put_back(file);
        }
        is_queued
    }

    /// Reads a segment of the spool folder, unless it is read. Returns whether it must still be uploaded.
    pub(super) async fn prepare(&self, ticket: &mut PendingUpload) -> Result<bool, Failure> {
        let (Job::Reference(file), Some(spooling)) = (&ticket.job, &self.spooling) else { return Ok(true) };
        let (spooling, file) = (spooling.clone(), file.clone());
        // Hashing takes milliseconds a megabyte, which must not delay other tasks.
        let Some(segment) = blocking(move || spooling.prepare(file)).await? else { return Ok(false) };
        self.stats.waits(segment.sensor_name());
        ticket.job = self.start(segment).into();
        Ok(true)
    }

    /// A segment cannot be uploaded, and stays in the folder.
    pub(super) fn leave(&self, spooling: &Spooling, file: &SpooledSegment, failure: &Failure) {
        let path = file.path();
        if failure.class == Class::File && !path.exists() {
            let is_uploaded = spooling.is_uploaded(file);
            spooling.forget(file);
            if !is_uploaded {
                self.stats.failed("vanished");
                tracing::error!(file = %path.display(), "segment vanished from the spool folder before its upload");
            }
            return;
        }
        spooling.leave(file);
        let is_refused = failure.class == Class::Permanent;
        self.stats.failed(if is_refused { "refused" } else { "unusable" });
        let why = failure.advice.unwrap_or(if is_refused {
            "the server refuses it for good"
        } else {
            "mend or remove its files"
        });
        tracing::error!(
            bucket = self.bucket.name,
            file = %path.display(),
            bytes = file.bytes(),
            answer = failure.text,
            request_id = failure.request_id,
            "segment left in the spool folder until the next start: {why}"
        );
    }
}
