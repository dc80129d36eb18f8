//! The upload of one segment: the video under a key of its own, then the sidecar.
//!
//! A segment in the spool folder is read when it is first tried.
//!
//! Every step can be repeated: a lost response makes no second object, and no try overwrites another segment.

use crate::blocking::blocking;
use crate::bucket::{Bucket, Holder};
use crate::failure::{Class, Failure, Hold};
use crate::multipart::Parts;
use bytes::Bytes;
use msight_proto::Receipt;
use msight_segment::{Segment, SegmentError};
use msight_spool::SpooledSegment;
use std::sync::Arc;
use std::time::Duration;

/// Wrong ETags in a row after which ETags are ignored, because they and not the storage must be wrong.
const DAMAGED: u32 = 3;

/// A segment that cannot be uploaded because of what it is.
pub(crate) fn unusable(error: &SegmentError) -> Failure {
    match error {
        SegmentError::Unreadable(error) => Failure::of_file(error),
        error => Failure::new(Class::File, error.to_string()),
    }
}

/// Which video is lost, if a segment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) sensor: String,
    /// Capture time of the first frame, and of the last one.
    pub(crate) from: String,
    pub(crate) to: String,
}

/// A segment that is to be uploaded.
#[derive(Debug)]
pub(crate) enum Job {
    /// In the spool folder, and not read yet.
    Reference(SpooledSegment),
    /// With its key and hashes.
    Ready(Box<Upload>),
}

impl Job {
    /// The segment's file in the spool folder, if it is there.
    pub(crate) fn spooled(&self) -> Option<&SpooledSegment> {
        match self {
            Self::Reference(file) => Some(file),
            Self::Ready(upload) => upload.segment.video.spooled(),
        }
    }

    pub(crate) fn is_spooled(&self) -> bool {
        self.spooled().is_some()
    }

    /// The segment in logs: its key without extension, or its path in the spool folder.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Reference(file) => file.relative_path().to_owned(),
            Self::Ready(upload) => upload.segment.stem.clone(),
        }
    }

    /// Key of the video, or its path in the spool folder while the key is not known.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Reference(file) => file.relative_path().to_owned(),
            Self::Ready(upload) => upload.key(),
        }
    }

    /// Size of the video.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Reference(file) => file.bytes(),
            Self::Ready(upload) => upload.segment.video.len(),
        }
    }

    /// The receipt of the segment's message. One by reference is safe in its folder, and needs none.
    pub(crate) fn receipt(&self) -> Option<Receipt> {
        match self {
            Self::Reference(_) => None,
            Self::Ready(upload) => upload.segment.receipt(),
        }
    }

    /// The segment's sensor and time, as far as they are known.
    pub(crate) fn about(&self) -> About {
        match self {
            Self::Reference(file) => {
                let sensor = file.relative_path().split('/').next().unwrap_or_default().to_owned();
                About { sensor, from: String::new(), to: String::new() }
            }
            Self::Ready(upload) => {
                let text = |name| upload.segment.metadata(name).unwrap_or_default().to_owned();
                About { sensor: text("sensor"), from: text("start"), to: text("end") }
            }
        }
    }

    /// Removes the stored parts of a multipart upload.
    pub(crate) async fn abandon(&mut self, bucket: &Bucket, timeout: Duration) {
        if let Self::Ready(upload) = self {
            upload.abandon(bucket, timeout).await;
        }
    }
}

impl From<Upload> for Job {
    fn from(upload: Upload) -> Self {
        Self::Ready(Box::new(upload))
    }
}

impl From<SpooledSegment> for Job {
    fn from(file: SpooledSegment) -> Self {
        Self::Reference(file)
    }
}

/// The state that survives a failed try.
#[derive(Debug)]
pub(crate) struct Upload {
    segment: Arc<Segment>,
    stem: String,
    stored: bool,
    overwrite: bool,
    /// Whether the current request has a condition.
    conditional: bool,
    /// Tried without the condition, to find out whether the server rejects it.
    unconditional: bool,
    /// Wrong ETags in a row.
    damaged: u32,
    parts: Option<Parts>,
    /// Its own key may hold it from before the program was killed, although another segment was first this time.
    look_at_own_key: bool,
}

impl Upload {
    /// An upload to the segment's own key, or to its suffixed one if the own key is known to be taken.
    pub(crate) fn new(segment: Segment, taken: bool) -> Self {
        let stem = if taken { segment.suffixed_stem() } else { segment.stem.clone() };
        let look_at_own_key = taken && segment.video.spooled().is_some();
        Self {
            segment: Arc::new(segment),
            stem,
            stored: false,
            overwrite: false,
            conditional: false,
            unconditional: false,
            damaged: 0,
            parts: None,
            look_at_own_key,
        }
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Key of the video.
    pub(crate) fn key(&self) -> String {
        format!("{}.{}", self.stem, self.segment.video.extension())
    }

    /// Does the remaining steps. The caller retries after the failures that are returned.
    pub(crate) async fn attempt(&mut self, bucket: &Bucket) -> Result<(), Failure> {
        if self.look_at_own_key {
            let own = format!("{}.{}", self.segment.stem, self.segment.video.extension());
            if bucket.holder(&self.segment, &own).await? == Some(Holder::Itself) {
                (self.stem, self.stored) = (self.segment.stem.clone(), true);
            }
            self.look_at_own_key = false;
        }
        while !self.stored {
            match self.put_video(bucket).await {
                Ok(()) => {
                    self.stored = true;
                    if self.unconditional && bucket.give_up_conditions() {
                        tracing::warn!(
                            bucket = bucket.name,
                            "the server has no conditional writes: a segment from before the last restart with the same \
                             sensor and seconds can be overwritten"
                        );
                    }
                }
                Err(failure) => self.resolve(bucket, failure).await?,
            }
        }
        let body = self.sidecar().await?;
        match bucket.put_sidecar(&self.segment, &format!("{}.json", self.stem), body).await {
            Err(failure) if failure.class == Class::Unconditional => {
                Err(failure.reclassified(Class::Held(Hold::Options)))
            }
            result => result,
        }
    }

    /// The content of the sidecar. The first part of that of a file is read on a thread that may block.
    async fn sidecar(&self) -> Result<Bytes, Failure> {
        let (segment, key) = (self.segment.clone(), self.key());
        if segment.video.spooled().is_none() {
            return segment.sidecar(&key).map_err(|error| unusable(&error));
        }
        blocking(move || segment.sidecar(&key).map_err(|error| unusable(&error))).await
    }

    async fn put_video(&mut self, bucket: &Bucket) -> Result<(), Failure> {
        let plain = self.overwrite || self.unconditional;
        self.conditional = bucket.condition(plain).is_some();
        let key = self.key();
        if self.parts.as_ref().is_some_and(Parts::may_be_complete)
            && bucket.holder(&self.segment, &key).await? == Some(Holder::Itself)
        {
            self.parts = None;
            return Ok(());
        }
        if bucket.options.in_parts(&self.segment.video) {
            bucket.put_in_parts(&self.segment, &key, plain, &mut self.parts).await
        } else {
            bucket.put_video(&self.segment, &key, plain).await
        }
    }

    /// Handles the failures that only need another step, and returns all others.
    async fn resolve(&mut self, bucket: &Bucket, failure: Failure) -> Result<(), Failure> {
        if !matches!(failure.class, Class::Damaged | Class::Exists) {
            self.damaged = 0;
        }
        match failure.class {
            Class::Exists => {
                self.abandon(bucket, Duration::from_secs(10)).await;
                match bucket.holder(&self.segment, &self.key()).await? {
                    Some(Holder::Itself) => self.stored = true,
                    Some(Holder::WrongSize | Holder::WrongEtag) => {
                        return self.send_again(bucket, failure).await;
                    }
                    Some(Holder::WithoutMetadata) => self.overwrite = true,
                    // The suffix depends on the content, so the object is this segment.
                    Some(Holder::Other | Holder::Unknown) if self.stem != self.segment.stem => {
                        self.stored = true;
                    }
                    None => return Err(failure.reclassified(Class::Transient(None))),
                    Some(Holder::Other | Holder::Unknown) => {
                        self.stem = self.segment.suffixed_stem();
                        tracing::info!(key = self.key(), "key taken by another segment, using a suffix");
                    }
                }
                Ok(())
            }
            Class::Damaged => self.send_again(bucket, failure).await,
            Class::NoSuchUpload => {
                self.abandon(bucket, Duration::from_secs(10)).await;
                self.stored = bucket.holder(&self.segment, &self.key()).await? == Some(Holder::Itself);
                if self.stored { Ok(()) } else { Err(failure) }
            }
            Class::Unconditional if self.conditional => {
                tracing::debug!(key = self.key(), answer = failure.text, "retrying without the condition");
                self.unconditional = true;
                Ok(())
            }
            Class::Unconditional => {
                // The condition was not the cause, so it is used again.
                self.unconditional = false;
                Err(failure.reclassified(Class::Held(Hold::Options)))
            }
            _ => Err(failure),
        }
    }

    /// The stored object is this segment's, but differs from what was sent: replaces it, until the ETags themselves seem
    /// wrong. If the size is wrong as well the object is damaged, and a sidecar must not mark it as complete.
    async fn send_again(&mut self, bucket: &Bucket, failure: Failure) -> Result<(), Failure> {
        self.overwrite = true;
        self.damaged += 1;
        if self.damaged < DAMAGED {
            return Err(failure.reclassified(Class::Damaged));
        }
        match bucket.holder(&self.segment, &self.key()).await? {
            Some(Holder::Itself | Holder::WrongEtag | Holder::Unknown) => {
                bucket.give_up_etags();
                self.stored = true;
                Ok(())
            }
            Some(Holder::WrongSize | Holder::WithoutMetadata | Holder::Other) | None => {
                Err(failure.reclassified(Class::Damaged))
            }
        }
    }

    /// Removes the stored parts of a multipart upload.
    pub(crate) async fn abandon(&mut self, bucket: &Bucket, timeout: Duration) {
        if let Some(parts) = self.parts.take() {
            bucket.abort(parts, timeout).await;
        }
    }
}
