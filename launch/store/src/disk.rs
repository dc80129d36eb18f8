//! Work on the file system, and what its errors mean to a client.

use std::io::{self, ErrorKind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use s3s::{S3Error, S3ErrorCode, s3_error};

/// From one log line about a full disk to the next.
const REMIND: Duration = Duration::from_secs(60);

/// Runs what reads or writes files where it does not hold up others.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Turns errors of the file system into S3's, and logs a full disk.
#[derive(Debug, Default)]
pub(super) struct Disk {
    logged: Mutex<Option<Instant>>,
}

impl Disk {
    /// The answer to a request that the file system failed.
    pub(super) fn failed(&self, error: io::Error) -> S3Error {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => self.full(&error),
            ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
            | ErrorKind::DirectoryNotEmpty
            | ErrorKind::AlreadyExists => s3_error!(
                InvalidArgument,
                "in this store, a key cannot be an object and the folder of other objects"
            ),
            ErrorKind::InvalidFilename => {
                s3_error!(KeyTooLongError, "the key is too long for the store's file system")
            }
            _ => {
                tracing::error!(%error, "store cannot use its folder");
                S3Error::internal_error(error)
            }
        }
    }

    /// The same for an error of s3s-fs, which answers all of them as an internal error.
    pub(super) fn explained(&self, error: S3Error) -> S3Error {
        let mut cause = error.source().map(|source| source as &(dyn std::error::Error + 'static));
        while let Some(source) = cause {
            if let Some(io) = source.downcast_ref::<io::Error>() {
                if matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
                    return self.full(io);
                }
                break;
            }
            cause = source.source();
        }
        if *error.code() == S3ErrorCode::InternalError {
            tracing::error!(%error, "store cannot answer a request");
        }
        error
    }

    /// Status 507 of RFC 4918, because S3 has no error for a full disk.
    fn full(&self, error: &io::Error) -> S3Error {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|at| at.elapsed() >= REMIND) {
            *logged = Some(Instant::now());
            tracing::error!(%error, "store's disk is full, uploads are refused with status 507; free space on it");
        }
        let code = S3ErrorCode::Custom("InsufficientStorage".into());
        let mut full = S3Error::with_message(code, "the store's disk is full; free space on it");
        full.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_507_whoever_finds_it() {
        let disk = Disk::default();
        for error in [
            disk.failed(ErrorKind::StorageFull.into()),
            disk.failed(ErrorKind::QuotaExceeded.into()),
            disk.explained(S3Error::internal_error(io::Error::from(ErrorKind::StorageFull))),
        ] {
            assert_eq!(error.status_code(), Some(StatusCode::INSUFFICIENT_STORAGE));
            assert_eq!(error.code().as_str(), "InsufficientStorage");
        }
        let other = disk.explained(S3Error::internal_error(io::Error::from(ErrorKind::PermissionDenied)));
        assert_eq!(other.code().as_str(), "InternalError");
        assert_eq!(disk.failed(ErrorKind::NotADirectory.into()).code().as_str(), "InvalidArgument");
    }
}
