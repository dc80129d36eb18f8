//! Large videos are uploaded in parts, so that a failure costs one part and not the whole.

use crate::bucket::{Bucket, PART, read};
use crate::failure::{Class, Failure};
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use msight_segment::Segment;
use std::time::Duration;

/// A multipart upload in progress. It survives failed parts, and [`Bucket::abort`] ends it. The parts that a killed process
/// leaves behind are removed by the bucket's lifecycle rule `AbortIncompleteMultipartUpload`.
#[derive(Debug)]
pub(crate) struct Parts {
    key: String,
    upload_id: String,
    done: Vec<CompletedPart>,
    unanswered: bool,
}

impl Parts {
    /// Whether the request that completes the upload was sent and its response lost. Servers differ in their answer to a
    /// second one.
    pub(crate) fn may_be_complete(&self) -> bool {
        self.unanswered
    }
}

impl Bucket {
    /// Uploads the video in parts, and resumes where the last try stopped.
    pub(crate) async fn put_in_parts(
        &self,
        segment: &Segment,
        key: &str,
        overwrite: bool,
        parts: &mut Option<Parts>,
    ) -> Result<(), Failure> {
        let upload = match parts {
            Some(upload) if upload.key == key => upload,
            _ => parts.insert(self.create(segment, key).await?),
        };
        let client = self.client().await;
        loop {
            let from = (upload.done.len() * PART) as u64;
            if from >= segment.video.len() {
                break;
            }
            let part = read(&segment.video, from, PART).await?;
            let size = part.len();
            let number = i32::try_from(upload.done.len() + 1)
                .map_err(|_| Failure::new(Class::Permanent, "the video is too large for S3"))?;
            let request = client
                .upload_part()
                .bucket(&self.name)
                .key(key)
                .upload_id(&upload.upload_id)
                .part_number(number)
                .body(ByteStream::from(part));
            let reply = self.within(size, request.send()).await?;
            self.check_etag(reply.e_tag(), None)?;
            let done = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(reply.e_tag)
                .set_checksum_crc32(reply.checksum_crc32);
            upload.done.push(done.build());
        }
        let list = CompletedMultipartUpload::builder().set_parts(Some(upload.done.clone())).build();
        let request = client
            .complete_multipart_upload()
            .bucket(&self.name)
            .key(key)
            .upload_id(&upload.upload_id)
            .multipart_upload(list)
            .set_if_none_match(self.condition(overwrite));
        upload.unanswered = true;
        let reply = self.within(0, request.send()).await.inspect_err(|failure| {
            upload.unanswered = failure.status.is_none();
        })?;
        self.check_etag(reply.e_tag(), None)?;
        *parts = None;
        Ok(())
    }

    async fn create(&self, segment: &Segment, key: &str) -> Result<Parts, Failure> {
        let client = self.client().await;
        // Some servers require the checksum algorithm of the parts here, others know none.
        let announced = match client.config().request_checksum_calculation() {
            Some(RequestChecksumCalculation::WhenRequired) => None,
            _ => Some(ChecksumAlgorithm::Crc32),
        };
        let mut create = client
            .create_multipart_upload()
            .bucket(&self.name)
            .key(key)
            .content_type(self.options.content_type(&segment.video))
            .set_checksum_algorithm(announced)
            .set_server_side_encryption(self.options.encryption.clone())
            .set_ssekms_key_id(self.options.kms_key_id.clone())
            .set_storage_class(self.options.storage_class.clone())
            .set_tagging(self.options.tagging.clone())
            .set_acl(self.options.acl.clone());
        for (name, value) in &segment.metadata {
            create = create.metadata(*name, value);
        }
        let reply = self.within(0, create.send()).await?;
        let upload_id = reply
            .upload_id
            .ok_or_else(|| Failure::not_s3("the answer has no upload id, so it is not from S3"))?;
        Ok(Parts { key: key.to_owned(), upload_id, done: Vec::new(), unanswered: false })
    }

    /// Removes the parts of an upload that will not be completed.
    pub(crate) async fn abort(&self, parts: Parts, timeout: Duration) {
        let request = self
            .client()
            .await
            .abort_multipart_upload()
            .bucket(&self.name)
            .key(&parts.key)
            .upload_id(&parts.upload_id);
        match tokio::time::timeout(timeout, request.send()).await {
            Ok(Ok(_)) => tracing::debug!(key = parts.key, "parts removed"),
            Ok(Err(error)) => match Failure::from(error) {
                Failure { class: Class::NoSuchUpload, .. } => {}
                failure => self.left_behind(&parts, &failure.text),
            },
            Err(_) => self.left_behind(&parts, "no answer"),
        }
    }

    fn left_behind(&self, parts: &Parts, reason: &str) {
        tracing::warn!(
            bucket = self.name,
            key = parts.key,
            upload_id = parts.upload_id,
            reason,
            "cannot remove the parts of an upload, which cost money until they are removed; allow \
             s3:AbortMultipartUpload, or add a lifecycle rule AbortIncompleteMultipartUpload to the bucket"
        );
    }
}
