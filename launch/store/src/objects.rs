//! The operations of the store.
//!
//! s3s-fs reads objects and puts parts together. What changes or lists objects is here, because s3s-fs does it without
//! locks: of several uploads of one key the metadata can be of another than the bytes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, CommonPrefix,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput,
    CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteBucketInput, DeleteBucketOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, DeletedObject, EncodingType, GetBucketLocationInput, GetBucketLocationOutput,
    GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
    ListBucketsInput, ListBucketsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, ListPartsInput, ListPartsOutput, Object, PutObjectInput, PutObjectOutput, Timestamp,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::sync::{Mutex, MutexGuard};

use crate::disk::{Disk, blocking};
use crate::durable::{sync_folder, sync_names, sync_object};
use crate::home::Home;
use crate::listing::{self, Query};

/// Locks for keys. Two keys may share one.
const LOCKS: usize = 64;

/// The largest page of a listing, as in S3.
const MAX_KEYS: usize = 1000;

/// What `encoding-type=url` leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The objects in a folder.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) home: Home,
    pub(super) disk: Disk,
    files: FileSystem,
    locks: Vec<Mutex<()>>,
}

impl Objects {
    pub(super) fn new(home: Home, files: FileSystem) -> Self {
        let locks = (0..LOCKS).map(|_| Mutex::new(())).collect();
        Self { home, disk: Disk::default(), files, locks }
    }

    /// Held while files of an object are opened, renamed or removed, and not while a client sends or receives.
    pub(super) async fn lock(&self, bucket: &str, key: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        (bucket, key).hash(&mut hasher);
        self.locks[hasher.finish() as usize % LOCKS].lock().await
    }

    fn bucket(&self, bucket: &str) -> S3Result<std::path::PathBuf> {
        self.home.bucket(bucket).ok_or_else(|| s3_error!(NoSuchBucket))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> S3Result<T> {
        blocking(work).await.map_err(|error| self.disk.failed(error))
    }

    /// Refuses an upload in parts that was not begun, or is complete.
    async fn find_upload(&self, id: &str) -> S3Result<()> {
        let is_id = id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if is_id && tokio::fs::try_exists(self.home.upload(id)).await.unwrap_or(false) {
            Ok(())
        } else {
            Err(s3_error!(NoSuchUpload))
        }
    }

    async fn delete(&self, bucket: &str, key: &str) -> S3Result<()> {
        let _lock = self.lock(bucket, key).await;
        let object = self.home.object(bucket, key);
        let removed = if key.ends_with('/') {
            tokio::fs::remove_dir(&object).await
        } else {
            tokio::fs::remove_file(&object).await
        };
        match removed.map_err(|error| (error.kind(), error)) {
            // There is no such object, which is what was asked for.
            Err((
                io::ErrorKind::NotFound
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::DirectoryNotEmpty,
                _,
            )) => return Ok(()),
            Err((_, error)) => return Err(self.disk.failed(error)),
            Ok(()) => {}
        }
        for file in self.home.about(bucket, key) {
            let _ = tokio::fs::remove_file(file).await;
        }
        Ok(())
    }
}

/// Removes a bucket's empty folders, then itself. An object that comes meanwhile stays.
fn remove_folders(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_folders(&entry.path())?;
        }
    }
    std::fs::remove_dir(folder)
}

/// Calls s3s-fs and explains its errors.
macro_rules! of_files {
    ($self:ident.$operation:ident($request:expr)) => {
        $self.files.$operation($request).await.map_err(|error| $self.disk.explained(error))
    };
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let path = self.home.root.join(&request.input.bucket);
        match tokio::fs::create_dir(&path).await {
            Ok(()) => {
                let root = self.home.root.clone();
                self.blocking(move || sync_folder(&root)).await?;
                Ok(S3Response::new(CreateBucketOutput::default()))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(s3_error!(BucketAlreadyOwnedByYou))
            }
            Err(error) => Err(self.disk.failed(error)),
        }
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let bucket = request.input.bucket;
        let folder = self.bucket(&bucket)?;
        let is_removed = self.blocking(move || {
            if !listing::is_empty(&folder)? {
                return Ok(false);
            }
            match remove_folders(&folder) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
                removed => removed.map(|()| true),
            }
        });
        if !is_removed.await? {
            return Err(s3_error!(BucketNotEmpty, "the bucket has objects; delete them first"));
        }
        self.home.remove_link(&bucket);
        Ok(S3Response::new(DeleteBucketOutput {}))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let root = self.home.root.clone();
        let names = self.blocking(move || {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(root)? {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let found = entry.metadata()?;
                if found.is_dir() && msight_segment::check_bucket_name(&name).is_ok() {
                    names
                        .push((name, found.created().or(found.modified()).unwrap_or(SystemTime::UNIX_EPOCH)));
                }
            }
            names.sort();
            Ok(names)
        });
        let buckets = names.await?.into_iter().map(|(name, created)| Bucket {
            name: Some(name),
            creation_date: Some(Timestamp::from(created)),
            ..Bucket::default()
        });
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            ..ListBucketsOutput::default()
        }))
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let marker = request.input.marker.clone();
        let answer = self.list_objects_v2(request.map_input(Into::into)).await?;
        Ok(answer.map_output(|page| ListObjectsOutput {
            contents: page.contents,
            common_prefixes: page.common_prefixes,
            delimiter: page.delimiter,
            encoding_type: page.encoding_type,
            name: page.name,
            prefix: page.prefix,
            marker,
            max_keys: page.max_keys,
            is_truncated: page.is_truncated,
            next_marker: page.next_continuation_token,
            ..ListObjectsOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let folder = self.bucket(&input.bucket)?;
        let limit =
            input.max_keys.map_or(MAX_KEYS, |asked| usize::try_from(asked).unwrap_or(0)).min(MAX_KEYS);
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or_default().trim_start_matches('/').to_owned(),
            delimiter: input.delimiter.clone(),
            after: input.continuation_token.clone().max(input.start_after.clone()).unwrap_or_default(),
            limit,
        };
        let page = self.blocking(move || listing::page(&folder, &query)).await?;
        let is_url = input.encoding_type.as_ref().is_some_and(|kind| kind.as_str() == EncodingType::URL);
        let encoded =
            |text: String| if is_url { utf8_percent_encode(&text, PLAIN).to_string() } else { text };
        let count = page.objects.len() + page.prefixes.len();
        let contents = page.objects.into_iter().map(|found| Object {
            key: Some(encoded(found.key)),
            last_modified: Some(Timestamp::from(found.modified)),
            size: i64::try_from(found.bytes).ok(),
            ..Object::default()
        });
        let contents: Vec<_> = contents.collect();
        let prefixes = page.prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(encoded(prefix)) });
        let prefixes: Vec<_> = prefixes.collect();
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: i32::try_from(count).ok(),
            max_keys: i32::try_from(limit).ok(),
            is_truncated: Some(page.is_truncated),
            contents: (!contents.is_empty()).then_some(contents),
            common_prefixes: (!prefixes.is_empty()).then_some(prefixes),
            next_continuation_token: page.is_truncated.then_some(page.last),
            continuation_token: input.continuation_token,
            delimiter: input.delimiter.map(encoded),
            encoding_type: input.encoding_type,
            name: Some(input.bucket),
            prefix: input.prefix.map(encoded),
            start_after: input.start_after.map(encoded),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        if request.input.key.ends_with('/') {
            let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
            let stored = of_files!(self.put_object(request))?;
            sync_names(&self.home, &bucket, &key).await.map_err(|error| self.disk.failed(error))?;
            return Ok(stored);
        }
        self.put(request).await.map(S3Response::new)
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.delete(&request.input.bucket, &request.input.key).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = request.input;
        if delete.objects.iter().any(|object| !crate::fence::is_within_bucket(&object.key)) {
            return Err(s3_error!(InvalidArgument, "a key is not a path within the bucket"));
        }
        let mut deleted = Vec::new();
        for object in delete.objects {
            self.delete(&bucket, &object.key).await?;
            deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() });
        }
        Ok(S3Response::new(DeleteObjectsOutput { deleted: Some(deleted), ..DeleteObjectsOutput::default() }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let _lock = self.lock(&request.input.bucket, &request.input.key).await;
        of_files!(self.get_object(request))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let _lock = self.lock(&request.input.bucket, &request.input.key).await;
        of_files!(self.head_object(request))
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let _lock = self.lock(&bucket, &key).await;
        let copied = of_files!(self.copy_object(request))?;
        sync_object(&self.home, &bucket, &key).await.map_err(|error| self.disk.failed(error))?;
        Ok(copied)
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        of_files!(self.head_bucket(request))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        of_files!(self.get_bucket_location(request))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        of_files!(self.create_multipart_upload(request))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.find_upload(&request.input.upload_id).await?;
        of_files!(self.upload_part(request))
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.find_upload(&request.input.upload_id).await?;
        of_files!(self.upload_part_copy(request))
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.find_upload(&request.input.upload_id).await?;
        of_files!(self.list_parts(request))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let id = request.input.upload_id.clone();
        self.find_upload(&id).await?;
        let _lock = self.lock(&bucket, &key).await;
        let completed = of_files!(self.complete_multipart_upload(request));
        match &completed {
            Ok(_) => {
                sync_object(&self.home, &bucket, &key).await.map_err(|error| self.disk.failed(error))?;
            }
            // s3s-fs has ended the upload before it failed.
            Err(_) if self.find_upload(&id).await.is_err() => self.home.remove_parts(&id),
            Err(_) => {}
        }
        completed
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.find_upload(&request.input.upload_id).await?;
        of_files!(self.abort_multipart_upload(request))
    }
}
