//! Checks the segments in the bucket.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use msight_store::videos;

/// A segment with its sidecar.
pub(super) struct Segment {
    pub(super) video: PathBuf,
    /// The capture times of its frames in seconds since 1970.
    pub(super) captured: Vec<f64>,
    pub(super) movie: Movie,
    /// Seconds from the capture of its last frame to its complete sidecar.
    pub(super) delay: f64,
}

/// An MP4 file with one video.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Movie {
    pub(super) frames: u32,
    pub(super) seconds: f64,
    pub(super) bytes: u64,
}

/// The summary of the segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Checked {
    /// Whole: with the configured number of frames, and a duration that matches their capture times within a frame.
    pub(super) whole: usize,
    /// Cut by the end of the bench.
    pub(super) last: usize,
    /// Neither whole nor cut by the end: an error.
    pub(super) wrong: usize,
    /// Frames in all of them.
    pub(super) frames: u64,
    /// The bit rate of the video in bits per second.
    pub(super) bitrate: f64,
}

#[derive(Deserialize)]
struct Sidecar {
    capture_timestamps: Vec<f64>,
    sensor_name: String,
}

/// The segments with sidecars below a folder, by sensor and time.
pub(super) fn read(folder: &Path) -> Result<Vec<(String, Segment)>> {
    let mut found = Vec::new();
    for video in videos(folder) {
        let sidecar = video.with_extension("json");
        let Ok(written) = fs::metadata(&sidecar) else { continue };
        let unreadable = || format!("cannot read sidecar {}", sidecar.display());
        let Sidecar { capture_timestamps: captured, sensor_name } =
            serde_json::from_slice(&fs::read(&sidecar).with_context(unreadable)?).with_context(unreadable)?;
        // The S3 server writes a temporary file and renames it, so the change time is its completion.
        let complete = written.ctime() as f64 + written.ctime_nsec() as f64 / 1e9;
        let delay = complete - captured.last().copied().unwrap_or(f64::NAN);
        let movie = Movie::read(&video)?;
        found.push((sensor_name, Segment { video, captured, movie, delay }));
    }
    found.sort_by(|(sensor, one), (other_sensor, other)| {
        sensor.cmp(other_sensor).then_with(|| {
            let begin = |segment: &Segment| segment.captured.first().copied().unwrap_or(0.0);
            begin(one).total_cmp(&begin(other))
        })
    });
    Ok(found)
}

/// Checks segments that should have `frames` frames about `interval` seconds apart.
pub(super) fn check(segments: &[(String, Segment)], frames: u32, interval: f64) -> Checked {
    let mut checked = Checked::default();
    let (mut bytes, mut seconds) = (0, 0.0);
    for (index, (sensor, segment)) in segments.iter().enumerate() {
        let movie = segment.movie;
        let is_last = segments.get(index + 1).is_none_or(|(next, _)| next != sensor);
        let span =
            segment.captured.last().zip(segment.captured.first()).map_or(0.0, |(last, first)| last - first);
        // The last frame also has a duration. A camera may be slower than configured.
        let lasts = (movie.seconds - span - interval).abs() <= interval;
        let is_consistent = lasts && segment.captured.len() == movie.frames as usize;
        match (is_consistent, movie.frames.cmp(&frames)) {
            (true, Ordering::Equal) => checked.whole += 1,
            (true, Ordering::Less) if is_last => checked.last += 1,
            _ => checked.wrong += 1,
        }
        checked.frames += u64::from(movie.frames);
        (bytes, seconds) = (bytes + movie.bytes, seconds + movie.seconds);
    }
    checked.bitrate = if seconds > 0.0 { bytes as f64 * 8.0 / seconds } else { 0.0 };
    checked
}

impl Movie {
    /// Reads the index of an MP4 file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let unreadable = || format!("cannot read segment {}", path.display());
        let file = File::open(path).with_context(unreadable)?;
        let bytes = file.metadata().with_context(unreadable)?.len();
        let movie = mp4::Mp4Reader::read_header(BufReader::new(file), bytes).with_context(unreadable)?;
        let track = movie.tracks().values().next().with_context(unreadable)?;
        Ok(Self { frames: track.sample_count(), seconds: track.duration().as_secs_f64(), bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(sensor: &str, frames: u32, seconds: f64, captured: usize) -> (String, Segment) {
        let captured = (0..captured).map(|frame| 1e9 + frame as f64 / 10.0).collect();
        let movie = Movie { frames, seconds, bytes: 1000 };
        (sensor.to_owned(), Segment { video: PathBuf::new(), captured, movie, delay: 0.1 })
    }

    #[test]
    fn only_the_last_segment_of_a_sensor_may_be_cut() {
        let good = segment("a", 10, 1.0, 10);
        let cut = segment("a", 4, 0.4, 4);
        let checked = check(&[good, cut, segment("b", 10, 1.0, 10)], 10, 0.1);
        assert_eq!((checked.whole, checked.last, checked.wrong, checked.frames), (2, 1, 0, 24));
        assert!((checked.bitrate - 10_000.0).abs() < 1e-6);
        let wrong = [
            segment("a", 4, 0.4, 4),
            segment("a", 10, 3.0, 10),
            segment("a", 10, 1.0, 9),
            segment("a", 11, 1.1, 11),
        ];
        assert_eq!(check(&wrong, 10, 0.1).wrong, 4);
        assert_eq!(check(&[], 10, 0.1), Checked::default());
    }
}
