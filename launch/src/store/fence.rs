//! What is asked of the store before it does anything.

use std::path::{Component, Path, PathBuf};

use s3s::access::{S3Access, S3AccessContext};
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};

/// The longest name of a file on Linux, in bytes.
const MAX_FILE_NAME: usize = 255;

/// How long the name of the file is that s3s-fs keeps an object's metadata in, in bytes. Bucket and key are in it
/// in base64, so keys of about 160 bytes are the longest.
fn metadata_name(bucket: &str, key: &str, is_in_parts: bool) -> usize {
    let base64 = |text: &str| (text.len() * 4).div_ceil(3);
    let upload = if is_in_parts { ".upload-00000000-0000-0000-0000-000000000000".len() } else { 0 };
    ".bucket-.object-.metadata.json".len() + base64(bucket) + base64(key) + upload
}

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
                let is_in_parts = request.s3_op().name() == "CreateMultipartUpload";
                if metadata_name(bucket, key, is_in_parts) > MAX_FILE_NAME {
                    return Err(s3_error!(KeyTooLongError, "the key is too long for the store's files"));
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
