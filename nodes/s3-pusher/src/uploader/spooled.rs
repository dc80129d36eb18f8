//! Segments of the spool folder on their way to the bucket: found, queued and read, or left in the folder.

use super::Shared;
use crate::failure::{Class, Failure};
use crate::pending::PendingUpload;
use crate::spooling::{Spooling, blocking};
use crate::upload::Job;
use msight_spool::{PathError, SpooledSegment};
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
    /// The path is not one of a segment in the folder.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The folder could not be looked at.
    #[error("cannot look into the spool folder")]
    Io(#[from] std::io::Error),
}

/// Scans the spool folder at the start, once a minute, and when there is room for more of its segments.
pub(super) async fn scan(shared: Arc<Shared>, spooling: Arc<Spooling>) {
    loop {
        let (limit, scanned) = (shared.pending.room_for_references(), spooling.clone());
        let found = tokio::task::spawn_blocking(move || scanned.scan(limit)).await;
        match found.map_err(std::io::Error::other).and_then(|found| found) {
            Ok(found) => {
                let segments = found.iter().filter(|file| shared.queue(file)).count();
                if segments > 0 {
                    tracing::info!(segments, "found segments in the spool folder");
                }
                shared.check();
            }
            Err(error) => tracing::error!("cannot scan the spool folder: {error}; trying again"),
        }
        spooling.scan_due().await;
    }
}

impl Shared {
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
