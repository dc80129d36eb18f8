//! Checks requests before the store handles them.

use std::path::{Component, Path};

use crate::home::Home;

use s3s::access::{S3Access, S3AccessContext};
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};

/// The maximum length of a file name on Linux, in bytes.
const MAX_FILE_NAME: usize = 255;

/// The length in bytes of the file name in which s3s-fs keeps an object's metadata. It contains bucket and key in
/// base64, so keys can have about 160 bytes.
fn metadata_name(bucket: &str, key: &str, is_in_parts: bool) -> usize {
    let base64 = |text: &str| (text.len() * 4).div_ceil(3);
    let upload = if is_in_parts { ".upload-00000000-0000-0000-0000-000000000000".len() } else { 0 };
    ".bucket-.object-.metadata.json".len() + base64(bucket) + base64(key) + upload
}

/// Whether a key is the path of a file in its bucket. As file paths, others would lead into another bucket, and a file
/// system has no NUL in names.
pub(super) fn is_within_bucket(key: &str) -> bool {
    Path::new(key).components().all(|part| matches!(part, Component::Normal(_))) && !key.contains('\0')
}

/// Allows requests to existing buckets, with valid credentials.
pub(super) struct Fence {
    /// The folders of the buckets.
    pub(super) home: Home,
    /// Whether unsigned requests are allowed too.
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
                if !is_within_bucket(key) {
                    return Err(s3_error!(InvalidArgument, "the key is not a path within the bucket"));
                }
                let is_in_parts = request.s3_op().name() == "CreateMultipartUpload";
                if metadata_name(bucket, key, is_in_parts) > MAX_FILE_NAME {
                    return Err(s3_error!(KeyTooLongError, "the key is too long for the store's file names"));
                }
                bucket
            }
        };
        // s3s-fs would create the missing bucket of an object.
        if self.home.bucket(bucket).is_some() || request.s3_op().name() == "CreateBucket" {
            Ok(())
        } else {
            Err(s3_error!(NoSuchBucket))
        }
    }
}
