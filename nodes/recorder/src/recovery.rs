//! What a dead recorder left in the spool folder is finished, up to its last whole fragment.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};

use msight_media::mp4::{self, Extent, Fault, FragmentedFile, Storage};
use msight_media::{Kind, SegmentMetadata, matroska, ts};
use msight_node::Context;
use msight_proto::{FrameId, Sample, Utc, VideoData, VideoFile, unix_now};
use msight_spool::{PartFile, Spool, SpooledSegment, sensor_of_folder};
use serde::Deserialize;
use tracing::{error, info, warn};

use crate::counts::{Counts, SegmentLoss};
use crate::ending::Ending;
use crate::origin::Origin;
use crate::publication::{CompleteError, Description, complete};
use crate::segment::index;
use crate::sink::Sink;

/// Most capture times in the message of a recovered segment.
const MAX_TIMES: usize = 1 << 16;

/// Largest end of a file that is searched for fragments behind a damaged one, in bytes.
const MAX_SEARCHED: u64 = 64 << 20;
/// Most files that are remembered because they cannot be recovered.
const MAX_UNRECOVERABLE: usize = 10_000;

/// The message of a segment and its size in bytes; `None` if it has no whole fragment.
type Recovered = Result<Option<(Sample<VideoData>, u64)>, Failure>;

/// Why a segment was not recovered. It stays in the folder.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The file is damaged. It is not tried again.
    #[error("{0}")]
    Damaged(String),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Mp4(mp4::Error),
    #[error(transparent)]
    Complete(#[from] CompleteError),
}

impl From<mp4::Error> for Failure {
    fn from(error: mp4::Error) -> Self {
        match error {
            mp4::Error::Io(error) => Self::Io(error),
            mp4::Error::Format(reason) => Self::Damaged(reason),
            error => Self::Mp4(error),
        }
    }
}

/// The unfinished segments of a folder.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    /// The paths of those that could not be recovered, each reported once.
    reported: HashSet<String>,
    /// Those that are damaged.
    damaged: HashSet<String>,
}

impl Recovery {
    /// Finishes all segments that dead programs left in the folder, and gives their messages to `publish`. Returns whether
    /// nothing is left that may be recovered later.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) fn run(
        &mut self,
        spool: &Spool,
        cx: &Context,
        counts: &Counts,
        mut publish: impl FnMut(Sample<VideoData>),
    ) -> io::Result<bool> {
        loop {
            let found = spool.unfinished()?;
            let mut is_done = found.errors.is_empty();
            for error in found.errors {
                let text = error.to_string();
                if self.is_new(&text) {
                    error!("cannot look for all unfinished segments: {text}");
                }
            }
            let mut has_progress = !found.completed.is_empty();
            for segment in found.completed {
                match announcement(&segment, cx) {
                    Ok(message) => publish_recovered(message, segment.bytes(), counts, &mut publish),
                    // A scan of the folder finds it.
                    Err(error) => warn!(
                        path = segment.relative_path(),
                        "no message announces a segment in the spool folder: {error}"
                    ),
                }
            }
            for part in found.parts {
                let path = part.relative_path().to_owned();
                if self.damaged.contains(&path) {
                    continue;
                }
                match recover_one(part, cx) {
                    Ok(Some((message, bytes))) => {
                        has_progress = true;
                        publish_recovered(message, bytes, counts, &mut publish);
                    }
                    Ok(None) => {
                        has_progress = true;
                        info!(path, "unfinished segment removed: it has no whole fragment");
                    }
                    Err(failure) => {
                        match failure {
                            Failure::Damaged(_) if self.damaged.len() < MAX_UNRECOVERABLE => {
                                self.damaged.insert(path.clone());
                            }
                            Failure::Damaged(_) => {}
                            _ => is_done = false,
                        }
                        if self.is_new(&path) {
                            counts.segment_lost(SegmentLoss::Unrecoverable);
                            error!(path, "cannot recover a segment: {failure}; it stays in the spool folder");
                        }
                    }
                }
            }
            // Files that cannot be recovered would be found again and again.
            if !has_progress {
                return Ok(is_done);
            }
        }
    }

    /// Whether this was not reported yet.
    fn is_new(&mut self, what: &str) -> bool {
        self.reported.len() < MAX_UNRECOVERABLE && self.reported.insert(what.to_owned())
    }
}

fn publish_recovered(
    message: Sample<VideoData>,
    bytes: u64,
    counts: &Counts,
    publish: &mut impl FnMut(Sample<VideoData>),
) {
    counts.segment(Ending::Recovered);
    let times = message.body.capture_timestamps.as_deref().unwrap_or_default();
    let from = Utc(times.first().copied().unwrap_or(f64::NAN));
    let to = Utc(times.last().copied().unwrap_or(f64::NAN));
    let sensor = message.head.sensor_name.as_deref();
    let path = message.body.video_file.as_ref().map(|file| file.path.as_str());
    info!(sensor, path, bytes, %from, %to, reason = "recovered", "segment recovered");
    publish(message);
}

/// Finishes one segment.
fn recover_one(part: PartFile, cx: &Context) -> Recovered {
    let path = part.relative_path().to_owned();
    let mut sink = Sink::Spool(part);
    let length = sink.seek(SeekFrom::End(0))?;
    let (sink, origin, times) = if path.ends_with(".ts") || path.ends_with(".mkv") {
        let whole = match path.ends_with(".ts") {
            true => Some(ts::whole_length(&mut sink)?).filter(|whole| *whole > 0),
            false => matroska::whole_length(&mut sink)?,
        };
        let Some(whole) = whole else { return discard(sink) };
        sink.truncate(whole)?;
        let origin = origin_of_path(&path);
        let start = origin.start;
        (sink, origin, vec![start])
    } else {
        let origin = Origin::read(&mut sink, length)?;
        let origin = origin.unwrap_or_else(|| origin_of_path(&path));
        let times = match mp4::read_fragments(&mut sink, length) {
            Ok(fragmented) => capture_times(&fragmented, origin.start),
            Err(mp4::Error::Indexed) => {
                let times = capture_times(&indexed(&mut sink, length)?, origin.start);
                return finish(sink, &origin, times, cx);
            }
            Err(mp4::Error::Format(reason)) => {
                if holds_no_sample(&mut sink, length)? {
                    return discard(sink);
                }
                return Err(Failure::Damaged(reason));
            }
            Err(error) => return Err(error.into()),
        };
        let metadata = SegmentMetadata {
            ending: Ending::Recovered.as_str().to_owned(),
            frames_lost_before: origin.frames_lost_before,
            frames_lost_within: 0,
            copied: true,
            frames_hidden: 0,
        };
        let (sink, _) = index(sink, &origin, &metadata, Extent::Readable)?;
        (sink, origin, times)
    };
    finish(sink, &origin, times, cx)
}

/// Whether a file without a whole fragment is one whose writer died before it had written its first one.
fn holds_no_sample(file: &mut (impl Read + Seek), length: u64) -> Result<bool, Failure> {
    /// Bytes of the shortest box.
    const BOX: u64 = 8;
    if length < BOX {
        return Ok(true);
    }
    let movie = match mp4::read(file, length) {
        Ok(movie) => movie,
        Err(mp4::Error::Format(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let is_cut_off = movie.faults.iter().all(|fault| match fault {
        Fault::CutOff { .. } => true,
        Fault::Trailing { bytes } => *bytes < BOX,
        Fault::NoIndex => movie.data_bytes == 0,
        _ => false,
    });
    Ok(is_cut_off && fragments(file, length)? <= 1)
}

/// How often the type of a fragment's index is in the file, which damaged sizes cannot hide; at least 2 in a large file.
fn fragments(file: &mut (impl Read + Seek), length: u64) -> io::Result<usize> {
    if length > MAX_SEARCHED {
        return Ok(2);
    }
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes.windows(4).filter(|kind| kind == b"moof").count())
}

/// The samples of a file that has its index, whose writer died before it had its sidecar.
fn indexed(file: &mut (impl Read + Seek), length: u64) -> Result<FragmentedFile, Failure> {
    let movie = mp4::read(file, length)?;
    let missing = |fault: &&Fault| matches!(fault, Fault::SamplesMissing { .. } | Fault::CutOff { .. });
    if let Some(fault) = movie.faults.iter().find(missing) {
        return Err(Failure::Damaged(fault.to_string()));
    }
    let timescale = f64::from(movie.timescale.get());
    // An empty edit delays the track.
    let delays: Vec<_> = (movie.tracks.iter())
        .filter_map(|track| {
            let delay = track.edits.first().filter(|edit| edit.media_time.is_none())?;
            let rate = f64::from(track.format.timescale().get());
            Some((track.format.kind(), (delay.duration as f64 / timescale * rate) as u64))
        })
        .collect();
    let mut file = FragmentedFile::from(movie);
    for track in &mut file.tracks {
        let delay = delays.iter().find(|(kind, _)| *kind == track.format.kind());
        track.decode_time = delay.map(|(_, delay)| *delay).or(track.decode_time);
    }
    Ok(file)
}

/// What a message can say of a segment again.
#[derive(Deserialize)]
struct Sidecar {
    sensor_name: Option<String>,
    device_name: Option<String>,
    #[serde(default)]
    capture_timestamps: Option<Vec<f64>>,
    #[serde(default)]
    frame_ids: Option<Vec<Option<FrameId>>>,
}

/// The message of a segment that was whole but for its name.
fn announcement(
    segment: &SpooledSegment,
    cx: &Context,
) -> Result<Sample<VideoData>, Box<dyn std::error::Error>> {
    let sidecar: Sidecar = serde_json::from_slice(&segment.sidecar()?)?;
    let mut head = cx.head(sidecar.sensor_name, unix_now());
    head.device_name = sidecar.device_name.or(head.device_name);
    let body = VideoData {
        video_file: Some(VideoFile { path: segment.relative_path().to_owned(), bytes: segment.bytes() }),
        frame_ids: sidecar.frame_ids,
        capture_timestamps: sidecar.capture_timestamps,
        ..VideoData::default()
    };
    Ok(Sample::new(head, body))
}

fn finish(sink: Sink, origin: &Origin, capture_timestamps: Vec<f64>, cx: &Context) -> Recovered {
    let Sink::Spool(part) = sink else { return Ok(None) };
    let mut head = cx.head(origin.sensor.clone(), unix_now());
    head.device_name = Some(origin.device.clone()).filter(|device| !device.is_empty()).or(head.device_name);
    let (segment, message) = complete(part, Description { head, capture_timestamps, frame_ids: None })?;
    Ok(Some((message, segment.bytes())))
}

fn discard(sink: Sink) -> Recovered {
    if let Sink::Spool(part) = sink {
        part.discard()?;
    }
    Ok(None)
}

/// The capture times of the pictures, or of the sound at a second each, in the order of presentation.
fn capture_times(file: &FragmentedFile, start: f64) -> Vec<f64> {
    let video =
        file.tracks.iter().find(|track| track.format.kind() == Kind::Video && track.tables.count() > 0);
    let Some(track) = video.or_else(|| file.tracks.iter().find(|track| track.tables.count() > 0)) else {
        return vec![start];
    };
    let rate = f64::from(track.format.timescale().get());
    let count = track.tables.count() as usize;
    let stride = match video {
        Some(_) => count.div_ceil(MAX_TIMES).max(1),
        None => ((rate.min(count as f64)) as usize / 10).max(count.div_ceil(MAX_TIMES)).max(1),
    };
    let mut decoded = i64::try_from(track.decode_time.unwrap_or(0)).unwrap_or(0);
    let media_time = i64::try_from(track.media_time).unwrap_or(0);
    let mut times = Vec::new();
    for (number, sample) in track.tables.samples().enumerate() {
        if number.is_multiple_of(stride) || number + 1 == count {
            let shown = decoded + i64::from(sample.composition_offset) - media_time;
            times.push(start + shown as f64 / rate);
        }
        decoded += i64::from(sample.duration);
    }
    times.sort_by(f64::total_cmp);
    times
}

/// The sensor and the start by the names of folder and file, to the millisecond.
fn origin_of_path(path: &str) -> Origin {
    let mut parts = path.split('/');
    let (sensor, day, file) = (parts.next(), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let start = start_of_names(day, file).unwrap_or(0.0);
    let sensor = sensor.and_then(sensor_of_folder);
    Origin { sensor, device: String::new(), start, session: String::new(), frames_lost_before: 0 }
}

/// `2026-11-28` and `16-53-00.123Z…` in seconds since 1970.
fn start_of_names(day: &str, file: &str) -> Option<f64> {
    let time = file.split_once('Z')?.0.replace('-', ":");
    let start: jiff::Timestamp = format!("{day}T{time}Z").parse().ok()?;
    Some(start.as_nanosecond() as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use msight_media::Codec;
    use std::io::Cursor;
    use std::time::Duration;

    /// Three fragments with a picture each, and where they begin and end.
    fn fragments_of_pictures() -> (Vec<u8>, Vec<usize>) {
        let format = mp4::TrackFormat::video(Codec::Jpeg, None, &[], Some((64, 48))).unwrap();
        let mut writer = mp4::FragmentWriter::new(vec![mp4::FragmentTrack { format, media_time: 0 }]);
        let mut file = writer.head(Duration::from_secs(1_800_000_000), 4096, &[]).unwrap();
        let mut places = vec![file.len()];
        for number in 0..3 {
            let picture = bytes::Bytes::from_static(&[0xff; 50]);
            let sample =
                mp4::FragmentSample { data: picture, duration: 9000, composition_offset: 0, key: true };
            let run = mp4::TrackRun { track: 0, decode_time: number * 9000, samples: vec![sample] };
            file.extend(writer.fragment(&[run]).unwrap());
            file.extend([0xff; 50]);
            places.push(file.len());
        }
        (file, places)
    }

    #[test]
    fn only_files_without_a_sample_are_removed() {
        let is_empty = |file: &[u8]| holds_no_sample(&mut Cursor::new(file), file.len() as u64).unwrap();
        let (whole, places) = fragments_of_pictures();
        for length in [0, 5, 20, 1000, places[0], places[0] + 3, places[0] + 40, places[1] - 20] {
            assert!(is_empty(&whole[..length]), "{length} bytes");
        }
        // The first box, the index, and the index of the first fragment: its type and its size.
        let index = whole.windows(4).position(|kind| kind == b"moov").unwrap();
        for (place, value) in [(4, 0), (index, 0), (index + 12, 0), (places[0] + 4, 0), (places[0] + 1, 9)] {
            let mut damaged = whole.clone();
            damaged[place] = value;
            assert!(!is_empty(&damaged), "byte {place} is damaged");
        }
        assert!(!is_empty(&[0; 4096]));
    }

    #[test]
    fn a_file_that_has_its_index_tells_its_times_and_what_is_missing() {
        let (whole, _) = fragments_of_pictures();
        let mut file = Cursor::new(whole);
        mp4::finish(&mut file, Extent::Written(3), &[]).unwrap();
        let length = file.get_ref().len();
        let found = indexed(&mut file, length as u64).unwrap();
        let times = capture_times(&found, 1_800_000_000.0);
        let seconds: Vec<_> = times.iter().map(|time| ((time - 1.8e9) * 10.0).round()).collect();
        assert_eq!(seconds, [0.0, 1.0, 2.0]);
        let cut = indexed(&mut Cursor::new(&file.get_ref()[..length - 20]), length as u64 - 20);
        assert!(matches!(cut, Err(Failure::Damaged(_))), "{cut:?}");
    }

    #[test]
    fn folders_tell_the_sensor() {
        let sensor = |path| origin_of_path(path).sensor;
        assert_eq!(sensor("None/2027-01-15/08-00-00.250Z.mp4"), None);
        assert_eq!(sensor("a%2Fb/2027-01-15/08-00-00.250Z.mp4").as_deref(), Some("a/b"));
    }

    #[test]
    fn names_tell_the_start() {
        let start = start_of_names("2027-01-15", "08-00-00.250Z-2.ts").unwrap();
        assert!((start - 1_800_000_000.25).abs() < 1e-6, "{start}");
        assert_eq!(start_of_names("x", "y"), None);
    }
}
