//! Storing an object: written whole beside the others, checked, and renamed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    Checksum, ChecksumAlgorithm, ETag, ETagCondition, PutObjectInput, PutObjectOutput, TimestampFormat,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, s3_error};
use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::durable::{sync_files, sync_names};
use crate::objects::Objects;

/// A file that is removed unless it becomes an object.
struct Unfinished(PathBuf);

impl Unfinished {
    /// A new name, which s3s-fs removes at its start if it is left behind.
    fn new(folder: &Path) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(folder.join(format!(".tmp.put-{}-{number}.internal.part", std::process::id())))
    }

    /// Gives the file its place.
    async fn rename(self, to: &Path) -> io::Result<()> {
        tokio::fs::rename(&self.0, to).await
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Objects {
    /// Stores an object. Its body is read before anything of an older object changes, so that a slow or broken upload
    /// changes nothing; conditions are checked and files renamed in one go.
    pub(super) async fn put(&self, request: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
        let trailers = request.trailing_headers;
        let mut input = request.input;
        let storage_class = input.storage_class.as_ref().map_or("STANDARD", |class| class.as_str());
        if !["STANDARD", "REDUCED_REDUNDANCY"].contains(&storage_class) {
            return Err(s3_error!(InvalidStorageClass));
        }
        let failed = |error| self.disk.failed(error);
        let mut body = input.body.take().ok_or_else(|| s3_error!(IncompleteBody))?;
        let (mut md5, mut checksums) = (Md5::new(), hashers(&input)?);
        let unfinished = Unfinished::new(self.home.folder());
        let mut file = tokio::fs::File::create(&unfinished.0).await.map_err(failed)?;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?;
            md5.update(&chunk);
            checksums.update(&chunk);
            file.write_all(&chunk).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        drop(file);

        let md5 = md5.finalize();
        if let Some(trailers) = trailers.and_then(|trailers| trailers.take()) {
            let text = |name| trailers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            input.checksum_crc32 = text("x-amz-checksum-crc32").or(input.checksum_crc32);
            input.checksum_crc32c = text("x-amz-checksum-crc32c").or(input.checksum_crc32c);
            input.checksum_sha1 = text("x-amz-checksum-sha1").or(input.checksum_sha1);
            input.checksum_sha256 = text("x-amz-checksum-sha256").or(input.checksum_sha256);
            input.checksum_crc64nvme = text("x-amz-checksum-crc64nvme").or(input.checksum_crc64nvme);
        }
        let checksums = checksums.finalize();
        check_digests(&input, md5, &checksums)?;

        let etag = hex(md5);
        let [metadata, internal] = self.home.about(&input.bucket, &input.key);
        let new_metadata = self.write_json(attributes(&input)).await?;
        let new_internal = self.write_json(integrity(&etag, &checksums)).await?;
        let object = self.home.object(&input.bucket, &input.key);
        let files = [&unfinished, &new_metadata, &new_internal].map(|file| file.0.clone());
        sync_files(files).await.map_err(failed)?;

        let lock = self.lock(&input.bucket, &input.key).await;
        self.check_conditions(&input, &object, &internal).await?;
        if let Some(folder) = object.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(failed)?;
        }
        // The object first: where it cannot have its place, the older one's metadata stay.
        unfinished.rename(&object).await.map_err(failed)?;
        new_metadata.rename(&metadata).await.map_err(failed)?;
        new_internal.rename(&internal).await.map_err(failed)?;
        drop(lock);
        sync_names(&self.home, &input.bucket, &input.key).await.map_err(failed)?;
        Ok(PutObjectOutput {
            e_tag: Some(ETag::Strong(etag)),
            checksum_crc32: checksums.checksum_crc32,
            checksum_crc32c: checksums.checksum_crc32c,
            checksum_sha1: checksums.checksum_sha1,
            checksum_sha256: checksums.checksum_sha256,
            checksum_crc64nvme: checksums.checksum_crc64nvme,
            ..PutObjectOutput::default()
        })
    }

    async fn write_json(&self, content: Map<String, Value>) -> S3Result<Unfinished> {
        let unfinished = Unfinished::new(self.home.folder());
        let written = tokio::fs::write(&unfinished.0, Value::Object(content).to_string()).await;
        written.map_err(|error| self.disk.failed(error))?;
        Ok(unfinished)
    }

    /// `If-None-Match: *` and `If-Match`.
    async fn check_conditions(&self, input: &PutObjectInput, object: &Path, internal: &Path) -> S3Result<()> {
        let exists = tokio::fs::try_exists(object).await.unwrap_or(false);
        if exists && input.if_none_match.as_ref().is_some_and(ETagCondition::is_any) {
            return Err(s3_error!(PreconditionFailed, "Object already exists"));
        }
        let Some(condition) = &input.if_match else { return Ok(()) };
        if !exists {
            return Err(s3_error!(PreconditionFailed, "Object does not exist"));
        }
        if let Some(expected) = condition.as_etag() {
            let etag = match stored_etag(internal).await {
                Some(etag) => etag,
                None => md5_of(object).await.map_err(|error| self.disk.failed(error))?,
            };
            if !ETag::Strong(etag).strong_cmp(expected) {
                return Err(s3_error!(PreconditionFailed, "ETag does not match"));
            }
        }
        Ok(())
    }
}

/// The checksums that the client sends, or will send behind the body.
fn hashers(input: &PutObjectInput) -> S3Result<ChecksumHasher> {
    let announced = input.checksum_algorithm.as_ref().map(ChecksumAlgorithm::as_str);
    let known = [
        ChecksumAlgorithm::CRC32,
        ChecksumAlgorithm::CRC32C,
        ChecksumAlgorithm::SHA1,
        ChecksumAlgorithm::SHA256,
        ChecksumAlgorithm::CRC64NVME,
    ];
    if announced.is_some_and(|name| !known.contains(&name)) {
        return Err(s3_error!(NotImplemented, "Unsupported checksum algorithm"));
    }
    let wanted = |given: &Option<String>, name| given.is_some() || announced == Some(name);
    Ok(ChecksumHasher {
        crc32: wanted(&input.checksum_crc32, known[0]).then(Default::default),
        crc32c: wanted(&input.checksum_crc32c, known[1]).then(Default::default),
        sha1: wanted(&input.checksum_sha1, known[2]).then(Default::default),
        sha256: wanted(&input.checksum_sha256, known[3]).then(Default::default),
        crc64nvme: wanted(&input.checksum_crc64nvme, known[4]).then(Default::default),
    })
}

fn check_digests(input: &PutObjectInput, md5: [u8; 16], found: &Checksum) -> S3Result<()> {
    if let Some(expected) = &input.content_md5 {
        let expected = STANDARD.decode(expected).map_err(|_| s3_error!(InvalidDigest))?;
        if expected != md5 {
            return Err(s3_error!(BadDigest, "the body does not match Content-MD5"));
        }
    }
    let pairs = [
        (&input.checksum_crc32, &found.checksum_crc32),
        (&input.checksum_crc32c, &found.checksum_crc32c),
        (&input.checksum_sha1, &found.checksum_sha1),
        (&input.checksum_sha256, &found.checksum_sha256),
        (&input.checksum_crc64nvme, &found.checksum_crc64nvme),
    ];
    if pairs.into_iter().any(|(expected, found)| expected != found) {
        return Err(s3_error!(BadDigest, "the body does not match its checksum"));
    }
    Ok(())
}

/// The object's headers, as s3s-fs reads them.
fn attributes(input: &PutObjectInput) -> Map<String, Value> {
    let mut expires = Vec::new();
    let has_expired = input
        .expires
        .as_ref()
        .is_some_and(|time| time.format(TimestampFormat::DateTime, &mut expires).is_ok());
    let mut attributes = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        value.map(|value| attributes.insert(name.to_owned(), value));
    };
    set(
        "user_metadata",
        input.metadata.as_ref().map(|pairs| {
            pairs
                .iter()
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect::<Map<_, _>>()
                .into()
        }),
    );
    set("content_encoding", input.content_encoding.as_deref().map(Value::from));
    set("content_type", input.content_type.as_deref().map(Value::from));
    set("content_disposition", input.content_disposition.as_deref().map(Value::from));
    set("content_language", input.content_language.as_deref().map(Value::from));
    set("cache_control", input.cache_control.as_deref().map(Value::from));
    set("expires", has_expired.then(|| String::from_utf8_lossy(&expires).into_owned().into()));
    set("website_redirect_location", input.website_redirect_location.as_deref().map(Value::from));
    attributes
}

/// The object's ETag and checksums, as s3s-fs reads them.
fn integrity(etag: &str, checksums: &Checksum) -> Map<String, Value> {
    let pairs = [
        ("checksum_crc32", &checksums.checksum_crc32),
        ("checksum_crc32c", &checksums.checksum_crc32c),
        ("checksum_sha1", &checksums.checksum_sha1),
        ("checksum_sha256", &checksums.checksum_sha256),
        ("checksum_crc64nvme", &checksums.checksum_crc64nvme),
    ];
    let given = pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into())));
    std::iter::once(("e_tag".to_owned(), etag.into())).chain(given).collect()
}

async fn stored_etag(internal: &Path) -> Option<String> {
    let content: Value = serde_json::from_slice(&tokio::fs::read(internal).await.ok()?).ok()?;
    Some(content.get("e_tag")?.as_str()?.to_owned())
}

async fn md5_of(object: &Path) -> io::Result<String> {
    let (mut file, mut md5, mut buffer) =
        (tokio::fs::File::open(object).await?, Md5::new(), vec![0; 64 * 1024]);
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            return Ok(hex(md5.finalize()));
        }
        md5.update(&buffer[..read]);
    }
}

fn hex(digest: [u8; 16]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
