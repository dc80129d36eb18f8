//! What a dead recorder left in the spool folder is finished, up to its last whole fragment.

use std::io::{self, Read, Seek, SeekFrom};

use msight_media::mp4::{self, FragmentedFile, Storage};
use msight_media::{Kind, SegmentMetadata, matroska, ts};
use msight_node::Context;
use msight_proto::{Sample, Utc, VideoData, unix_now};
use msight_spool::{PartFile, Spool};
use tracing::{error, info, warn};

use crate::counts::{Counts, SegmentLoss};
use crate::ending::Ending;
use crate::origin::Origin;
use crate::publication::{Description, complete};
use crate::segment::index;
use crate::sink::Sink;

/// Most capture times in the message of a recovered segment.
const MAX_TIMES: usize = 1 << 16;

/// The message of a segment and its size in bytes; `None` if it has no whole fragment.
type Recovered = Result<Option<(Sample<VideoData>, u64)>, Box<dyn std::error::Error>>;

/// Finishes all segments that dead programs left in the folder, and gives their messages to `publish`.
pub(crate) fn recover(
    spool: &Spool,
    cx: &Context,
    counts: &Counts,
    mut publish: impl FnMut(Sample<VideoData>),
) -> io::Result<()> {
    loop {
        let parts = spool.unfinished()?;
        if parts.is_empty() {
            return Ok(());
        }
        let mut has_progress = false;
        for part in parts {
            let path = part.relative_path().to_owned();
            match recover_one(spool, part, cx) {
                Ok(Some((message, bytes))) => {
                    has_progress = true;
                    counts.segment(Ending::Recovered);
                    let times = message.body.capture_timestamps.as_deref().unwrap_or_default();
                    let from = Utc(times.first().copied().unwrap_or(f64::NAN));
                    let to = Utc(times.last().copied().unwrap_or(f64::NAN));
                    let sensor = message.head.sensor_name.as_deref();
                    info!(sensor, path, bytes, %from, %to, reason = "recovered", "segment recovered");
                    publish(message);
                }
                Ok(None) => {
                    has_progress = true;
                    info!(path, "unfinished segment removed: it has no whole fragment");
                }
                Err(failure) => {
                    counts.segment_lost(SegmentLoss::Unrecoverable);
                    error!(path, "cannot recover a segment: {failure}; it stays in the spool folder");
                }
            }
        }
        // Files that cannot be recovered would be found again and again.
        if !has_progress {
            return Ok(());
        }
    }
}

/// Finishes one segment.
fn recover_one(spool: &Spool, part: PartFile, cx: &Context) -> Recovered {
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
                let end = origin.start + indexed_seconds(&mut sink, length)?;
                return finish(sink, &origin, vec![origin.start, end], cx);
            }
            Err(mp4::Error::Format(reason)) => {
                if length > 0 {
                    warn!(path, "unfinished segment cannot be read: {reason}");
                }
                return discard(sink);
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
        let new_file =
            |origin: &Origin| spool.create(origin.sensor.as_deref(), origin.start, "mp4").map(Sink::Spool);
        let (sink, _) = index(sink, &origin, &metadata, new_file).map_err(|(_, error)| error)?;
        (sink, origin, times)
    };
    finish(sink, &origin, times, cx)
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

/// The duration in the index of a whole file, whose writer died before it had its sidecar.
fn indexed_seconds(file: &mut (impl Read + Seek), length: u64) -> io::Result<f64> {
    let mut place = 0;
    while let Some(found) = mp4::box_at(file, place, length)?.filter(|found| found.end <= length) {
        if &found.kind == b"moov" {
            // `mvhd` is the first box in it (ISO/IEC 14496-12, 8.2.2); in version 0 the times have 32 bits.
            file.seek(SeekFrom::Start(found.start + found.header))?;
            let mut header = [0; 40];
            file.read_exact(&mut header)?;
            let word = |at: usize| header[at..at + 4].iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
            let (rate, duration) = match header[8] {
                0 => (word(20), word(24)),
                _ => (word(28), word(32) << 32 | word(36)),
            };
            return Ok(if rate == 0 { 0.0 } else { duration as f64 / rate as f64 });
        }
        place = found.end;
    }
    Ok(0.0)
}

/// The sensor and the start by the names of folder and file, to the millisecond.
fn origin_of_path(path: &str) -> Origin {
    let mut parts = path.split('/');
    let (sensor, day, file) = (parts.next(), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let start = start_of_names(day, file).unwrap_or(0.0);
    let sensor = sensor.map(str::to_owned);
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

    #[test]
    fn names_tell_the_start() {
        let start = start_of_names("2027-01-15", "08-00-00.250Z-2.ts").unwrap();
        assert!((start - 1_800_000_000.25).abs() < 1e-6, "{start}");
        assert_eq!(start_of_names("x", "y"), None);
    }
}
