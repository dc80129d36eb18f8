//! The spool folder as the pusher knows it: which of its segments are taken, and what becomes of them.
//!
//! The folder is the truth. A message only announces a segment in it; one that was not announced is found by a scan.

use crate::failure::Failure;
use crate::upload::{Upload, unusable};
use msight_proto::{Utc, Value, unix_now};
use msight_segment::{Layout, Segment};
use msight_spool::{PathError, Scan, Spool, SpooledSegment};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Notify;

/// From one scan of the folder to the next.
pub const SCAN_INTERVAL: Duration = Duration::from_secs(60);

/// From a scan that failed to the next.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// From one removal of kept segments to the next, unless they are kept for a shorter time.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(600);

/// Segments that are remembered because they were uploaded, or left in the folder.
const REMEMBERED: usize = 16_384;

/// What becomes of the files of an uploaded segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// They stay for this time; zero deletes them at once.
    For(Duration),
    /// They stay.
    Forever,
}

/// The spool folder, and how its segments are uploaded.
#[derive(Debug)]
pub struct SpoolSettings {
    /// The folder, which need not exist yet.
    pub folder: PathBuf,
    /// What becomes of uploaded segments.
    pub keep: Keep,
    /// From one scan to the next.
    pub scan_interval: Duration,
    /// Layout of the keys.
    pub layout: Layout,
    /// Name of this device.
    pub device: String,
}

/// The segments of the folder that are taken or done with.
#[derive(Debug)]
pub(crate) struct Spooling {
    settings: SpoolSettings,
    /// `None` until the folder can be used.
    spool: Mutex<Option<Spool>>,
    known: Mutex<Known>,
    /// More segments wait in the folder than were taken.
    has_more: AtomicBool,
    scan_now: Notify,
    /// What a killed pusher left is removed.
    is_tidy: AtomicBool,
    /// Videos without a sidecar at the last scan.
    without_sidecar: AtomicUsize,
    next_removal: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Waiting for upload or being uploaded, by relative path.
    taken: HashSet<String>,
    uploaded: Remembered,
    /// Left in the folder until the next start, because they cannot be uploaded.
    left: Remembered,
}

/// The last paths that were added.
#[derive(Debug, Default)]
struct Remembered {
    paths: HashSet<String>,
    order: VecDeque<String>,
}

impl Remembered {
    fn add(&mut self, path: &str) {
        if self.paths.insert(path.to_owned()) {
            self.order.push_back(path.to_owned());
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.paths.remove(&oldest);
        }
    }
}

impl Spooling {
    pub(crate) fn new(settings: SpoolSettings) -> Self {
        Self {
            settings,
            spool: Mutex::default(),
            known: Mutex::default(),
            has_more: AtomicBool::new(false),
            scan_now: Notify::new(),
            is_tidy: AtomicBool::new(false),
            without_sidecar: AtomicUsize::new(0),
            next_removal: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path of the folder, as it was given.
    pub(crate) fn folder(&self) -> &Path {
        &self.settings.folder
    }

    /// The folder, which is opened when it is first needed. Blocks.
    fn spool(&self) -> io::Result<Spool> {
        let mut spool = self.spool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*spool {
            return Ok(open.clone());
        }
        Ok(spool.insert(Spool::open_existing(&self.settings.folder)?).clone())
    }

    /// The segment that a message names; `None` if it is uploaded already.
    ///
    /// # Errors
    /// The path leaves the folder, or there is no such segment, or the folder cannot be read.
    pub(crate) fn announced(&self, path: &str) -> Result<Option<SpooledSegment>, PathError> {
        let in_context = |source| PathError::Io { path: path.chars().take(200).collect(), source };
        match self.spool().map_err(in_context)?.segment(path) {
            Err(PathError::Gone { .. }) if self.known().uploaded.paths.contains(path) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Takes a segment. `false` if it was taken before, or is left in the folder.
    pub(crate) fn take(&self, file: &SpooledSegment) -> bool {
        let mut known = self.known();
        let path = file.relative_path();
        !known.left.paths.contains(path) && known.taken.insert(path.to_owned())
    }

    /// A segment was not taken after all, for want of room: a later scan finds it.
    pub(crate) fn put_back(&self, file: &SpooledSegment) {
        self.known().taken.remove(file.relative_path());
        self.has_more.store(true, Ordering::Relaxed);
    }

    /// A segment cannot be uploaded: it stays in the folder, and is tried again at the next start.
    pub(crate) fn leave(&self, file: &SpooledSegment) {
        let mut known = self.known();
        known.taken.remove(file.relative_path());
        known.left.add(file.relative_path());
    }

    /// Whether the segment was uploaded, as far as this process and the folder know.
    pub(crate) fn is_uploaded(&self, file: &SpooledSegment) -> bool {
        self.known().uploaded.paths.contains(file.relative_path()) || file.is_uploaded().unwrap_or(false)
    }

    /// Reads a segment, to upload it; `None` if it is uploaded already. Blocks.
    pub(crate) fn prepare(&self, file: SpooledSegment) -> Result<Option<Segment>, Failure> {
        if file.is_uploaded().map_err(|error| Failure::of_file(&error))? {
            return Ok(None);
        }
        let segment = Segment::spooled(file, &self.settings.layout, &self.settings.device);
        segment.map(Some).map_err(|error| unusable(&error))
    }

    /// A segment is in the bucket: deletes it, or marks it. Blocks.
    pub(crate) fn uploaded(&self, file: SpooledSegment, marker: &str) {
        let (path, shown) = (file.relative_path().to_owned(), file.path());
        // First, so that a message that comes while the files are deleted does not miss them.
        self.known().uploaded.add(&path);
        let done = match self.settings.keep {
            Keep::For(Duration::ZERO) => file.delete(),
            _ => file.mark_uploaded(marker.as_bytes()),
        };
        let mut known = self.known();
        known.taken.remove(&path);
        if let Err(error) = done {
            known.left.add(&path);
            drop(known);
            tracing::error!(
                file = %shown.display(),
                "the segment is uploaded, and cannot be deleted or marked in the spool folder: {error}; give the program's \
                 user write access to the folder"
            );
        }
    }

    /// A segment needs nothing more, because it is uploaded already.
    pub(crate) fn forget(&self, file: &SpooledSegment) {
        self.known().taken.remove(file.relative_path());
    }

    /// Finds segments that wait in the folder, at most `limit`, oldest first, and removes those that were kept long enough.
    /// Blocks.
    ///
    /// # Errors
    /// The folder cannot be read. What cannot be read below it is in [`Scan::errors`].
    pub(crate) fn scan(&self, limit: usize) -> io::Result<Scan> {
        // A segment that cannot be taken now is found by the next scan.
        self.has_more.store(false, Ordering::Relaxed);
        let spool = self.spool()?;
        let scanned = spool.scan(limit, |path| {
            let known = self.known();
            known.taken.contains(path) || known.left.paths.contains(path)
        });
        let scan = scanned.inspect_err(|_| {
            // It is opened anew when it is back.
            *self.spool.lock().unwrap_or_else(PoisonError::into_inner) = None;
        })?;
        if scan.waiting.len() >= limit {
            self.has_more.store(true, Ordering::Relaxed);
        }
        self.report(&scan);
        self.remove_leftovers(&spool);
        self.remove_kept(&spool);
        Ok(scan)
    }

    /// Removes, once, what a pusher left that was killed while it deleted a segment.
    fn remove_leftovers(&self, spool: &Spool) {
        if self.is_tidy.load(Ordering::Relaxed) {
            return;
        }
        match spool.remove_leftovers() {
            Ok(files) => {
                self.is_tidy.store(true, Ordering::Relaxed);
                if files > 0 {
                    tracing::info!(files, "removed sidecars without a video from the spool folder");
                }
            }
            // The next scan tries again.
            Err(error) => {
                tracing::warn!("cannot remove all sidecars without a video from the spool folder: {error}");
            }
        }
    }

    /// Removes the segments that were kept long enough.
    fn remove_kept(&self, spool: &Spool) {
        let Keep::For(age) = self.settings.keep else { return };
        let mut next = self.next_removal.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, pause) = (Instant::now(), age.min(REMOVAL_INTERVAL));
        if next.is_some_and(|next| now < next) {
            return;
        }
        *next = now.checked_add(pause);
        if let Some(before) = SystemTime::now().checked_sub(age) {
            match spool.remove_uploaded(before) {
                Ok(0) => {}
                Ok(segments) => {
                    tracing::info!(
                        segments,
                        "removed segments that were kept long enough from the spool folder"
                    );
                }
                Err(error) => {
                    tracing::warn!(
                        "cannot remove all segments that were kept long enough from the spool folder: {error}"
                    );
                }
            }
        }
    }

    fn report(&self, scan: &Scan) {
        let before = self.without_sidecar.swap(scan.without_sidecar, Ordering::Relaxed);
        if scan.without_sidecar > before {
            tracing::warn!(
                folder = %self.settings.folder.display(),
                files = scan.without_sidecar,
                example = scan.examples.first().map(String::as_str),
                "videos without a sidecar are not uploaded; write their .json, or remove them"
            );
        }
    }

    /// A scan is due now.
    pub(crate) fn scan_soon(&self) {
        self.scan_now.notify_one();
    }

    /// There is room for more segments.
    pub(crate) fn room(&self) {
        if self.has_more.load(Ordering::Relaxed) {
            self.scan_soon();
        }
    }

    /// Waits until it is time for a scan, which comes sooner after one that failed.
    pub(crate) async fn scan_due(&self, has_failed: bool) {
        let interval = self.settings.scan_interval;
        let interval = if has_failed { interval.min(RETRY_INTERVAL) } else { interval };
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = self.scan_now.notified() => {}
        }
    }
}

/// The content of the marker of an uploaded segment.
pub(crate) fn marker(bucket: &str, upload: &Upload) -> String {
    let segment = upload.segment();
    let text = |name: &str, value: &str| (Value::Str(name.to_owned()), Value::Str(value.to_owned()));
    let keys = vec![
        text("bucket", bucket),
        text("key", &upload.key()),
        text("md5", &segment.md5),
        text("sha256", &segment.sha256),
        text("time", &Utc(unix_now()).to_string()),
    ];
    Value::Map(keys).to_json() + "\n"
}
