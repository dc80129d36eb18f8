//! The requests to the bucket, one try each.

use crate::advice;
use crate::blocking::blocking;
use crate::connection::{Connected, Connection};
use crate::failure::{Class, Failure, Hold};
use crate::retry::RetryPolicy;
use crate::signing::KnownSha256;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ObjectCannedAcl, ServerSideEncryption, StorageClass};
use bytes::Bytes;
use msight_segment::{IDENTITY, Segment, Video};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};
use tokio::time::Instant;

/// Size of a part of a multipart upload, in bytes. S3 takes 10,000 parts of at least 5 MiB.
pub(crate) const PART: usize = 16 << 20;

/// Properties of all objects.
#[derive(Debug, Clone, Default)]
pub struct ObjectOptions {
    /// Content type of the videos; `None` for that of each file. Sidecars are `application/json`.
    pub content_type: Option<String>,
    /// Server-side encryption; `None` for the bucket's default.
    pub encryption: Option<ServerSideEncryption>,
    /// The KMS key of the encryption.
    pub kms_key_id: Option<String>,
    /// Storage class; `None` for the server's default.
    pub storage_class: Option<StorageClass>,
    /// Tags, as the value of the header `x-amz-tagging`.
    pub tagging: Option<String>,
    /// Canned ACL. Most buckets have ACLs disabled.
    pub acl: Option<ObjectCannedAcl>,
    /// Videos of more bytes are uploaded in parts.
    pub multipart_threshold: u64,
    /// As `multipart_threshold`, of videos in the spool folder. An upload keeps a whole video or a part of it in memory.
    pub spooled_threshold: u64,
}

impl ObjectOptions {
    pub(crate) fn content_type<'a>(&'a self, video: &'a Video) -> &'a str {
        self.content_type.as_deref().unwrap_or(video.content_type())
    }

    /// Whether a video is uploaded in parts.
    pub(crate) fn in_parts(&self, video: &Video) -> bool {
        let is_spooled = video.spooled().is_some();
        video.len() > if is_spooled { self.spooled_threshold } else { self.multipart_threshold }
    }
}

/// Reads a part of a video. A file is read on a thread that may block.
pub(crate) async fn read(video: &Video, from: u64, bytes: usize) -> Result<Bytes, Failure> {
    let video = video.clone();
    let is_spooled = video.spooled().is_some();
    let read = move || video.read(from, bytes).map_err(|error| Failure::of_file(&error));
    if is_spooled { blocking(read).await } else { read() }
}

/// The object that has a segment's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// This segment: the response to an earlier try was lost.
    Itself,
    /// This segment in a wrong size.
    WrongSize,
    /// This segment in its right size, with an ETag that is not its MD5.
    WrongEtag,
    /// The same video without any segment's metadata: a server that keeps both apart was interrupted between them.
    WithoutMetadata,
    /// Another segment.
    Other,
    /// Not known: the permission to look is missing.
    Unknown,
}

/// A bucket, and what is known of its server.
#[derive(Debug)]
pub struct Bucket {
    pub(crate) name: String,
    pub(crate) options: ObjectOptions,
    pub(crate) policy: RetryPolicy,
    connection: Connection,
    connected: RwLock<Option<Connected>>,
    /// The bucket's region, if its server has stated it.
    region: RwLock<Option<String>>,
    conditional: AtomicBool,
    etag_is_md5: AtomicBool,
    /// Time-outs in a row, less the requests that were faster since: a measure of how slow the link is.
    timeouts: AtomicU32,
    /// Whether the default region was logged.
    region_logged: AtomicBool,
    /// Whether the server's missing ETags were logged.
    no_etag_logged: AtomicBool,
}

impl Bucket {
    /// A bucket, not contacted yet.
    pub fn new(
        name: impl Into<String>,
        connection: Connection,
        options: ObjectOptions,
        policy: RetryPolicy,
    ) -> Self {
        Self {
            name: name.into(),
            options,
            policy,
            connection,
            connected: RwLock::new(None),
            region: RwLock::new(None),
            conditional: AtomicBool::new(true),
            etag_is_md5: AtomicBool::new(true),
            timeouts: AtomicU32::new(0),
            region_logged: AtomicBool::new(false),
            no_etag_logged: AtomicBool::new(false),
        }
    }

    /// The client, set up at the first call and not at start, because resolving region and credentials may need the network.
    pub(crate) async fn client(&self) -> Client {
        let known = self.connected.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known {
            return known.client;
        }
        let region = self.region.read().unwrap_or_else(PoisonError::into_inner).clone();
        // Two workers may come here at once; the later client wins, and both are good.
        let made = self.connection.connect(region).await;
        if made.is_default_region && !self.region_logged.swap(true, Ordering::Relaxed) {
            tracing::info!("no region configured, using us-east-1");
        }
        let client = made.client.clone();
        *self.connected.write().unwrap_or_else(PoisonError::into_inner) = Some(made);
        client
    }

    /// The destination of requests for logs: scheme, host and port, or AWS and the region. Empty before the first request.
    pub(crate) fn place(&self) -> String {
        let connected = self.connected.read().unwrap_or_else(PoisonError::into_inner);
        connected.as_ref().map(|connected| connected.place.clone()).unwrap_or_default()
    }

    /// Forgets region and credentials, so that the next request resolves them again.
    pub(crate) fn reconnect(&self) {
        *self.connected.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The server states that the bucket is in another region, which is used from now on.
    pub(crate) fn move_to(&self, region: &str) {
        let mut known = self.region.write().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() != Some(region) {
            tracing::warn!(
                bucket = self.name,
                region,
                "the bucket is in another region, using that one; set --aws-region to it"
            );
            *known = Some(region.to_owned());
            drop(known);
            self.reconnect();
        }
    }

    /// Asks for one key of the bucket, to find a wrong setting before the first segment comes. Only answers count that are
    /// about uploads as well: the permission to list is not needed, and some servers know PUT alone.
    pub(crate) async fn probe(&self) -> Result<(), Failure> {
        let list = self.client().await.list_objects_v2().bucket(&self.name).max_keys(1);
        let Err(failure) = self.within(0, list.send()).await else { return Ok(()) };
        let counts = match failure.class {
            Class::Held(Hold::Denied) => false,
            _ if failure.status.is_none() || failure.is_foreign() => true,
            Class::Held(Hold::Credentials | Hold::Region) | Class::Transient(_) => true,
            Class::Held(Hold::NoBucket) => {
                failure.code.as_deref() != Some("NoSuchKey") && failure.code.is_some()
            }
            Class::Held(Hold::Options) => {
                advice::needs_virtual_hosts(failure.code.as_deref().unwrap_or_default(), &failure.text)
            }
            _ => false,
        };
        if counts {
            return Err(failure);
        }
        tracing::debug!(bucket = self.name, answer = failure.text, "bucket cannot be listed");
        Ok(())
    }

    /// Uploads the video in one request. With `overwrite` it replaces an object of that key.
    pub(crate) async fn put_video(
        &self,
        segment: &Segment,
        key: &str,
        overwrite: bool,
    ) -> Result<(), Failure> {
        let body = read(&segment.video, 0, usize::MAX).await?;
        let content_type = self.options.content_type(&segment.video);
        let mut put = self.client().await.put_object().content_type(content_type);
        for (name, value) in &segment.metadata {
            put = put.metadata(*name, value);
        }
        let put = put.set_if_none_match(self.condition(overwrite));
        let reply = self.put(put, key, body, Some(&segment.sha256)).await?;
        if reply.e_tag().is_none() {
            return self.look_it_up(segment, key, segment.video.len()).await;
        }
        let encryption = reply.server_side_encryption();
        let md5_expected =
            !matches!(encryption, Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse));
        self.check_etag(reply.e_tag(), md5_expected.then_some(segment.md5.as_str()))
    }

    /// Uploads the sidecar. Its key belongs to the video's owner, so it may be written again.
    pub(crate) async fn put_sidecar(&self, segment: &Segment, key: &str, body: Bytes) -> Result<(), Failure> {
        let mut put = self.client().await.put_object().content_type("application/json");
        for (name, value) in &segment.metadata {
            put = put.metadata(*name, value);
        }
        let size = body.len() as u64;
        let reply = self.put(put, key, body, None).await?;
        if reply.e_tag().is_none() {
            return self.look_it_up(segment, key, size).await;
        }
        self.check_etag(reply.e_tag(), None)
    }

    /// Looks for an object whose upload was answered without an ETag. Some servers send none; captive portals and error
    /// pages of proxies do not either, and have no such object.
    async fn look_it_up(&self, segment: &Segment, key: &str, size: u64) -> Result<(), Failure> {
        match self.holder_of(segment, key, size, None).await? {
            Some(Holder::Itself) => {
                if !self.no_etag_logged.swap(true, Ordering::Relaxed) {
                    tracing::info!(
                        bucket = self.name,
                        "the server sends no ETag, checking each upload with a HEAD request"
                    );
                }
                Ok(())
            }
            _ => self.check_etag(None, None),
        }
    }

    /// `sha256` is that of the body, if it is known.
    async fn put(
        &self,
        put: aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder,
        key: &str,
        body: Bytes,
        sha256: Option<&str>,
    ) -> Result<aws_sdk_s3::operation::put_object::PutObjectOutput, Failure> {
        let bytes = body.len();
        let put = put
            .bucket(&self.name)
            .key(key)
            .body(ByteStream::from(body))
            .set_server_side_encryption(self.options.encryption.clone())
            .set_ssekms_key_id(self.options.kms_key_id.clone())
            .set_storage_class(self.options.storage_class.clone())
            .set_tagging(self.options.tagging.clone())
            .set_acl(self.options.acl.clone());
        let mut put = put.customize();
        if let Some(sha256) = sha256 {
            put = put.interceptor(KnownSha256(sha256.to_owned()));
        }
        self.within(bytes, put.send()).await
    }

    /// Finds the object that has a key; `None` if the key is free.
    pub(crate) async fn holder(&self, segment: &Segment, key: &str) -> Result<Option<Holder>, Failure> {
        self.holder_of(segment, key, segment.video.len(), Some(&segment.md5)).await
    }

    /// As [`holder`](Self::holder), of an object of this size. Without `md5` any ETag will do.
    async fn holder_of(
        &self,
        segment: &Segment,
        key: &str,
        size: u64,
        md5: Option<&str>,
    ) -> Result<Option<Holder>, Failure> {
        let head = self.client().await.head_object().bucket(&self.name).key(key);
        let found = match self.within(0, head.send()).await {
            Ok(found) => found,
            // Without permission to read, another key keeps both segments.
            Err(Failure { status: Some(403), .. }) => return Ok(Some(Holder::Unknown)),
            Err(Failure { status: Some(404), .. }) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let identity = found.metadata().and_then(|metadata| metadata.get(IDENTITY));
        if identity != Some(&segment.identity) {
            let etag = found.e_tag().unwrap_or_default().trim_matches('"');
            let is_same = identity.is_none()
                && found.content_length() == i64::try_from(size).ok()
                && md5.is_some_and(|md5| etag.eq_ignore_ascii_case(md5));
            return Ok(Some(if is_same { Holder::WithoutMetadata } else { Holder::Other }));
        }
        if found.content_length() != i64::try_from(size).ok() {
            return Ok(Some(Holder::WrongSize));
        }
        let kms = matches!(
            found.server_side_encryption(),
            Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)
        );
        let etag = kms || md5.is_none_or(|md5| self.etag_fits(found.e_tag().unwrap_or_default(), md5));
        Ok(Some(if etag { Holder::Itself } else { Holder::WrongEtag }))
    }

    /// `If-None-Match: *`, with which a server that knows it refuses a taken key.
    pub(crate) fn condition(&self, overwrite: bool) -> Option<String> {
        (!overwrite && self.conditional.load(Ordering::Relaxed)).then(|| "*".to_owned())
    }

    /// Stops using conditions. Returns whether they were in use.
    pub(crate) fn give_up_conditions(&self) -> bool {
        self.conditional.swap(false, Ordering::Relaxed)
    }

    /// Stops comparing ETags.
    pub(crate) fn give_up_etags(&self) {
        if self.etag_is_md5.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                bucket = self.name,
                "the server's ETags are never the MD5 of the object, ignoring them"
            );
        }
    }

    pub(crate) fn check_etag(&self, etag: Option<&str>, md5: Option<&str>) -> Result<(), Failure> {
        let Some(etag) = etag else {
            return Err(Failure::not_s3("the answer has no ETag, so it is not from S3"));
        };
        match md5 {
            Some(md5) if !self.etag_fits(etag, md5) => Err(Failure::new(
                Class::Damaged,
                format!("the stored object differs from what was sent (its ETag is not the MD5 {md5})"),
            )),
            _ => Ok(()),
        }
    }

    /// Whether the ETag matches the MD5, or is of another kind (as of multipart and encrypted objects).
    fn etag_fits(&self, etag: &str, md5: &str) -> bool {
        let etag = etag.trim_matches('"');
        let is_md5 = etag.len() == md5.len() && etag.bytes().all(|b| b.is_ascii_hexdigit());
        !is_md5 || etag.eq_ignore_ascii_case(md5) || !self.etag_is_md5.load(Ordering::Relaxed)
    }

    /// Runs a request against its deadline, which follows from its size and from how slow the link has been.
    pub(crate) async fn within<T, E>(
        &self,
        bytes: usize,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let timeouts = self.timeouts.load(Ordering::Relaxed);
        let (deadline, begun) = (self.policy.deadline(bytes, timeouts), Instant::now());
        let change = |to| self.timeouts.compare_exchange(timeouts, to, Ordering::Relaxed, Ordering::Relaxed);
        let Ok(reply) = tokio::time::timeout(deadline, request).await else {
            // Of two requests that time out together, one counts.
            let _ = change((timeouts + 1).min(RetryPolicy::SLOWEST));
            return Err(Failure::timed_out(deadline));
        };
        if timeouts > 0 && begun.elapsed() < self.policy.deadline(bytes, timeouts - 1) {
            let _ = change(timeouts - 1);
        }
        reply.map_err(Failure::from)
    }
}
