//! What is asked of the store before it does anything.

use std::path::{Component, Path, PathBuf};

use s3s::access::{S3Access, S3AccessContext};
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};

/// Lets requests through to buckets that exist, from those who may use them.
pub(super) struct Fence {
    /// The folder of the buckets.
    pub(super) root: PathBuf,
    /// Whether requests that are not signed are let through as well.
    pub(super) is_open: bool,
}

#[async_trait::async_trait]
impl S3Access for Fence {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        if request.credentials().is_none() && !self.is_open {
            return Err(s3_error!(AccessDenied, "the request is not signed"));
        }
        let bucket = match request.s3_path() {
            S3Path::Root => return Ok(()),
            S3Path::Bucket { bucket } => bucket,
            S3Path::Object { bucket, key } => {
                // As a path such a key would lead into another bucket.
                if !Path::new(&**key).components().all(|part| matches!(part, Component::Normal(_))) {
                    return Err(s3_error!(InvalidArgument, "the key is no path within the bucket"));
                }
                bucket
            }
        };
        // The file system under it would create any folder that an object needs.
        let is_there = tokio::fs::metadata(self.root.join(&**bucket)).await.is_ok_and(|found| found.is_dir());
        if is_there || request.s3_op().name() == "CreateBucket" {
            Ok(())
        } else {
            Err(s3_error!(NoSuchBucket))
        }
    }
}
