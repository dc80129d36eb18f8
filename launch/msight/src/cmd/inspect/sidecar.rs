//! Compares a recording with the sidecar beside it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use msight_compose::terminal::shortened;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Largest sidecar that is read, bytes.
pub(super) const MAX_SIDECAR: u64 = 64 << 20;
/// Most seconds by which a source adjusts the capture times in each second, so that they follow the camera's clock: frames
/// that are copied keep their distances in the video.
const MAX_ADJUSTMENT: f64 = 0.1;
/// Bytes that are hashed at a time.
const CHUNK: usize = 1 << 20;

/// What a sidecar says of its recording, and where the recording differs.
#[derive(Debug, Serialize)]
pub(super) struct Sidecar {
    pub(super) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sensor_name: Option<String>,
    /// When the first frame was captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_time: Option<String>,
    /// When the last frame was captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) frame_count: Option<usize>,
    pub(super) agrees: bool,
    /// By how many seconds the capture times were adjusted between the first frame and the last one: to the camera's clock, or
    /// to ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clock_adjusted: Option<f64>,
    /// The names of what was compared.
    pub(super) compared: Vec<&'static str>,
    pub(super) disagreements: Vec<Disagreement>,
}

/// What is compared of a recording.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) bytes: u64,
    /// The pictures that are shown, and the mean time from one to the next. `None` without a track of pictures.
    pub(super) pictures: Option<(u32, f64)>,
    /// Whether the pictures are shown at the times of the camera.
    pub(super) copied: bool,
}

/// A value that differs.
#[derive(Debug, Serialize)]
pub(super) struct Disagreement {
    pub(super) field: &'static str,
    pub(super) sidecar: String,
    pub(super) video: String,
}

/// The keys that are compared.
#[derive(Debug, Default, Deserialize)]
struct Content {
    sensor_name: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
    capture_timestamps: Option<Vec<f64>>,
    frame_count: Option<u64>,
    video_bytes: Option<u64>,
    video_sha256: Option<String>,
}

impl Disagreement {
    pub(super) fn text(&self) -> String {
        format!(
            "{}: {} in the sidecar, {} in the video",
            self.field,
            shortened(&self.sidecar, 80),
            self.video
        )
    }
}

impl Sidecar {
    /// The sensor, and when it captured the first and the last frame.
    pub(super) fn captured(&self) -> Option<String> {
        let (start, end) = self.start_time.as_ref().zip(self.end_time.as_ref())?;
        let sensor = self.sensor_name.as_ref().map(|name| format!("{name}, ")).unwrap_or_default();
        Some(shortened(&format!("{sensor}{start} to {end}"), 200))
    }

    /// One line of it.
    pub(super) fn summary(&self) -> String {
        let mut text = shortened(&self.path, 200);
        if self.compared.is_empty() {
            text.push_str(": has nothing to compare");
        } else if self.agrees {
            let _ = write!(text, ": agrees ({})", self.compared.join(", "));
        } else {
            text.push_str(": disagrees");
        }
        text
    }

    /// Whether it describes another file, or the file was changed. Times alone may differ: video that is encoded with
    /// `--timing constant` does not show frames at their capture times.
    pub(super) fn is_of_another_file(&self) -> bool {
        self.disagreements.iter().any(|found| found.field != "duration")
    }
}

/// The content of a sidecar; `None` if the file does not exist.
///
/// # Errors
/// The file cannot be read, or is too large.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut content = Vec::new();
    if file.take(MAX_SIDECAR + 1).read_to_end(&mut content)? as u64 > MAX_SIDECAR {
        return Err(io::Error::other("it is larger than a sidecar"));
    }
    Ok(Some(content))
}

/// Compares a recording with its sidecar. `file` is hashed if the sidecar has a hash; a file on a server is not.
/// `None` without a sidecar.
pub(super) fn check(
    video: Facts,
    path: &str,
    content: io::Result<Option<Vec<u8>>>,
    file: Option<&mut File>,
) -> Option<Sidecar> {
    let parsed = match content {
        Ok(None) => return None,
        Ok(Some(content)) => serde_json::from_slice::<Content>(&content).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let mut sidecar = Sidecar {
        path: path.to_owned(),
        sensor_name: None,
        start_time: None,
        end_time: None,
        frame_count: None,
        agrees: false,
        clock_adjusted: None,
        compared: vec![],
        disagreements: vec![],
    };
    match parsed {
        Ok(content) => sidecar.compare(video, content, file),
        Err(error) => sidecar.differ("sidecar", &error, "is not described"),
    }
    sidecar.agrees = sidecar.disagreements.is_empty();
    Some(sidecar)
}

impl Sidecar {
    fn compare(&mut self, video: Facts, content: Content, file: Option<&mut File>) {
        let times = content.capture_timestamps.as_deref();
        self.frame_count = times.map(<[f64]>::len);
        if let Some((times, (pictures, interval))) = times.zip(video.pictures) {
            self.check("frames", &times.len(), &(pictures as usize));
            // From the first frame to the last one.
            let captured = times.last().zip(times.first()).map(|(last, first)| last - first);
            let shown = interval * f64::from(pictures.saturating_sub(1));
            if let Some(captured) = captured.filter(|captured| captured.is_finite() && interval > 0.0) {
                self.compared.push("duration");
                let difference = captured - shown;
                let allowed = if video.copied { MAX_ADJUSTMENT * shown } else { 0.0 };
                if difference.abs() > interval + allowed {
                    self.differ("duration", &format!("{captured:.3} s"), &format!("{shown:.3} s"));
                } else if difference.abs() > interval {
                    self.clock_adjusted = Some((difference * 1e6).round() / 1e6);
                }
            }
            if let Some(count) = content.frame_count.filter(|count| *count != times.len() as u64) {
                self.differ("frame_count", &count.to_string(), &format!("{} capture times", times.len()));
            }
        }
        if let Some(bytes) = content.video_bytes {
            self.check("video_bytes", &bytes, &video.bytes);
        }
        if let Some((expected, file)) = content.video_sha256.zip(file) {
            let found = sha256(file).unwrap_or_else(|error| error.to_string());
            self.check("video_sha256", &expected.to_ascii_lowercase(), &found);
        }
        let captured = |time: Option<&f64>| time.copied().and_then(date);
        self.start_time = content.start_time.or_else(|| captured(times?.first()));
        self.end_time = content.end_time.or_else(|| captured(times?.last()));
        self.sensor_name = content.sensor_name;
    }

    fn check<T: PartialEq + ToString>(&mut self, field: &'static str, expected: &T, found: &T) {
        self.compared.push(field);
        if expected != found {
            self.differ(field, &expected.to_string(), &found.to_string());
        }
    }

    fn differ(&mut self, field: &'static str, sidecar: &str, video: &str) {
        self.disagreements.push(Disagreement { field, sidecar: sidecar.to_owned(), video: video.to_owned() });
    }
}

/// A capture time, to the millisecond.
fn date(since: f64) -> Option<String> {
    let time = Timestamp::from_millisecond((since * 1000.0).round() as i64).ok()?;
    Some(format!("{time:.3}"))
}

fn sha256(file: &mut File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => hash.update(&chunk[..read]),
        }
    }
    Ok(hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
