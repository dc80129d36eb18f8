//! Which segments wait for their upload.

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use crate::files::{context, entries, exists};
use crate::path::{MARKER, SIDECAR, SegmentPath, check_sensor_folder, is_date, is_stem};
use crate::segment::SpooledSegment;
use crate::spool::{QuietDays, Spool};

/// Most names and errors that are kept beside the segments that were found.
pub(crate) const MAX_REPORTED: usize = 16;

/// A folder that was changed more recently than this is read again: times of files are that coarse.
const SETTLED: Duration = Duration::from_secs(2);

/// What is in the folder.
#[derive(Debug, Default)]
pub struct Scan {
    /// The oldest segments that are whole and not uploaded, oldest first.
    pub waiting: Vec<SpooledSegment>,
    /// Number of videos without a sidecar, which no program of ours leaves: they stay as they are.
    pub without_sidecar: usize,
    /// The paths of some of them, below the spool folder.
    pub examples: Vec<String>,
    /// Folders that could not be read; the others were. At most 16.
    pub errors: Vec<io::Error>,
}

/// The state of the files of one name.
#[derive(Default)]
struct Files {
    video: Option<String>,
    sidecar: bool,
    uploaded: bool,
}

impl Spool {
    /// The oldest segments that are whole and not uploaded, at most `limit`, oldest first.
    ///
    /// # Errors
    /// The spool folder cannot be read. Folders below it that cannot be read are left out; see [`Spool::scan`].
    pub fn waiting(&self, limit: usize) -> io::Result<Vec<SpooledSegment>> {
        Ok(self.scan(limit, |_| false)?.waiting)
    }

    /// Reads the folder. At most `limit` segments are returned, and memory holds one day of one sensor at a time.
    /// `is_known` leaves out segments that the caller knows, by their relative path.
    ///
    /// # Errors
    /// The spool folder cannot be read.
    pub fn scan(&self, limit: usize, is_known: impl Fn(&str) -> bool) -> io::Result<Scan> {
        let mut scan = Scan::default();
        let mut known = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        let mut quiet = QuietDays::new();
        let mut days: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for day in self.days(|error| scan.report(error))? {
            let date = day.rsplit_once('/').map_or("", |(_, date)| date).to_owned();
            days.entry(date).or_default().push(day);
        }
        for folders in days.into_values() {
            let room = limit - scan.waiting.len();
            if room == 0 {
                quiet.extend(folders.into_iter().filter_map(|folder| known.remove_entry(&folder)));
                continue;
            }
            // The greatest is the newest, which makes room for older ones.
            let mut oldest: BinaryHeap<SegmentPath> = BinaryHeap::new();
            for folder in folders {
                let changed = self.changed(&folder);
                if changed.is_some() && changed.as_ref() == known.get(&folder) {
                    quiet.extend(known.remove_entry(&folder));
                    continue;
                }
                match self.read_day(&folder) {
                    Ok(files) => {
                        let is_quiet = files.values().all(|files| files.uploaded || files.video.is_none());
                        if let Some(changed) = changed.filter(|_| is_quiet) {
                            quiet.insert(folder.clone(), changed);
                        }
                        for path in
                            scan.keep_waiting(self, &folder, files).filter(|path| !is_known(path.as_str()))
                        {
                            oldest.push(path);
                            if oldest.len() > room {
                                oldest.pop();
                            }
                        }
                    }
                    Err(error) => scan.report(error),
                }
            }
            for path in oldest.into_sorted_vec() {
                match fs::symlink_metadata(self.root().join(path.as_str())) {
                    Ok(found) if found.is_file() => {
                        scan.waiting.push(SpooledSegment::new(self.shared_root(), path, found.len()));
                    }
                    // A link, or uploaded by another program in this moment.
                    _ => {}
                }
            }
        }
        *known = quiet;
        Ok(scan)
    }

    /// When the folder was changed last; `None` if that may have been a moment ago.
    fn changed(&self, folder: &str) -> Option<SystemTime> {
        let changed =
            fs::symlink_metadata(self.root().join(folder)).and_then(|found| found.modified()).ok()?;
        let is_settled = SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED);
        is_settled.then_some(changed)
    }

    /// Deletes the segments that were marked as uploaded before this time. Returns their number.
    ///
    /// # Errors
    /// A folder cannot be read, or a file cannot be removed: the first error. All others are removed.
    pub fn remove_uploaded(&self, before: SystemTime) -> io::Result<usize> {
        let (mut removed, mut failed) = (0, None);
        let days = self.days(|error| {
            failed.get_or_insert(error);
        })?;
        for folder in days {
            let files = match self.read_day(&folder) {
                Ok(files) => files,
                Err(error) => {
                    failed.get_or_insert(error);
                    continue;
                }
            };
            for (stem, files) in files.into_iter().filter(|(_, files)| files.uploaded) {
                let Some(extension) = files.video else { continue };
                let Ok(path) = SegmentPath::parse(&format!("{folder}/{stem}.{extension}")) else { continue };
                let marked = fs::symlink_metadata(self.root().join(path.with(MARKER)));
                if marked.and_then(|marker| marker.modified()).is_ok_and(|marked| marked < before) {
                    match SpooledSegment::new(self.shared_root(), path, 0).delete() {
                        Ok(()) => removed += 1,
                        Err(error) => {
                            failed.get_or_insert(error);
                        }
                    }
                }
            }
        }
        failed.map_or(Ok(removed), Err)
    }

    /// The folders of days, as `SENSOR/YYYY-MM-DD`. Folders of sensors that cannot be read are given to `failed`.
    pub(crate) fn days(&self, mut failed: impl FnMut(io::Error)) -> io::Result<Vec<String>> {
        let mut days = Vec::new();
        // A spool folder that was removed or unmounted is not an empty one.
        fs::metadata(self.root()).map_err(|error| context(&error, "read", self.root()))?;
        for sensor in subfolders(self.root())? {
            if check_sensor_folder(&sensor).is_err() {
                continue;
            }
            match subfolders(&self.root().join(&sensor)) {
                Ok(found) => days
                    .extend(found.iter().filter(|date| is_date(date)).map(|date| format!("{sensor}/{date}"))),
                // It belongs to root.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && sensor == "lost+found" => {}
                Err(error) => failed(error),
            }
        }
        Ok(days)
    }

    fn read_day(&self, folder: &str) -> io::Result<HashMap<String, Files>> {
        let full = self.root().join(folder);
        let mut files: HashMap<String, Files> = HashMap::new();
        for entry in entries(&full)? {
            let name = entry?.file_name();
            let Some((stem, extension)) = name.to_str().and_then(|name| name.rsplit_once('.')) else {
                continue;
            };
            if !is_stem(stem) {
                continue;
            }
            match extension {
                SIDECAR => files.entry(stem.to_owned()).or_default().sidecar = true,
                MARKER => files.entry(stem.to_owned()).or_default().uploaded = true,
                extension if crate::EXTENSIONS.contains(&extension) => {
                    files.entry(stem.to_owned()).or_default().video = Some(extension.to_owned());
                }
                _ => {}
            }
        }
        Ok(files)
    }
}

impl Scan {
    /// The waiting segments among these files. Counts videos without a sidecar.
    fn keep_waiting(
        &mut self,
        spool: &Spool,
        folder: &str,
        files: HashMap<String, Files>,
    ) -> impl Iterator<Item = SegmentPath> {
        let mut waiting = Vec::new();
        for (stem, files) in files {
            let Some(extension) = files.video else { continue };
            if files.uploaded {
                continue;
            }
            let Ok(path) = SegmentPath::parse(&format!("{folder}/{stem}.{extension}")) else { continue };
            if files.sidecar {
                waiting.push(path);
            } else if !exists(&spool.root().join(path.with(SIDECAR))).is_ok_and(|there| there) {
                // It was not made while the folder was read.
                self.without_sidecar += 1;
                if self.examples.len() < MAX_REPORTED {
                    self.examples.push(path.as_str().to_owned());
                }
            }
        }
        waiting.into_iter()
    }

    fn report(&mut self, error: io::Error) {
        if self.errors.len() < MAX_REPORTED {
            self.errors.push(error);
        }
    }
}

/// The folders in a folder. Symbolic links are left out: they can lead out of the spool.
fn subfolders(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in entries(folder)? {
        let entry = entry?;
        if entry.file_type().map_err(|error| context(&error, "read", folder))?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    Ok(names)
}
