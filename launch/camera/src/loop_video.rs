//! A video that is encoded before it is streamed: a loop of the test picture, or an MP4 file.
//!
//! A benchmark uses it so that the stream costs almost no CPU time while other programs are measured.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use mp4::{Mp4Reader, Mp4Track};

use super::encoder::{Encoded, Encoder};
use super::feed::{CapturedUnit, Feed, ParameterSets};
use super::scene::Moment;
use super::{BITRATES, CameraConfig, Error, pacing};

/// The maximum file size: the file is held in memory.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// The accepted deviation of the loop's bit rate from the requested one, and the maximum number of attempts.
const TOLERANCE: f64 = 0.01;
const ATTEMPTS: usize = 5;

/// An encoded video that begins with a key frame, to be streamed in a loop.
#[derive(Debug)]
pub struct LoopVideo {
    units: Vec<Unit>,
    pub(super) parameter_sets: ParameterSets,
    width: usize,
    height: usize,
    fps: f64,
}

#[derive(Debug)]
struct Unit {
    nals: Vec<Bytes>,
    is_key: bool,
    /// The time from capture to sending. With B-frames, pictures are not sent in the order of capture.
    age: Duration,
}

/// Why a file cannot be streamed.
#[derive(Debug, thiserror::Error)]
pub enum LoopVideoError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is too large to be held in memory.
    #[error("{} has {bytes} bytes, more than the maximum of {MAX_FILE_BYTES}; cut it, for example \
             with ffmpeg -i IN -c copy -t 60 OUT.mp4", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
    /// The file is not an MP4 file with H.264 video that begins with a key frame.
    #[error("{} is not an MP4 file with usable H.264 video: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl LoopVideo {
    /// Draws and encodes some seconds of the test picture. The bit rate is within one percent of that of `config` if
    /// the encoder can reach it, which takes up to five encodings.
    ///
    /// # Errors
    /// [`Error`] tells which setting to change.
    pub fn of_test_picture(config: &CameraConfig, seconds: u32) -> Result<Self, Error> {
        config.check()?;
        let wanted = f64::from(config.bitrate);
        let mut aim = config.bitrate;
        let mut best: Option<Self> = None;
        let off = |recording: &Self| (recording.bitrate() / wanted - 1.0).abs();
        for _ in 0..ATTEMPTS {
            let made = match Self::draw(&CameraConfig { bitrate: aim, ..config.clone() }, seconds) {
                // This bit rate is too high for the encoder at this size.
                Err(_) if best.is_some() => break,
                made => made?,
            };
            let correction = wanted / made.bitrate();
            let (least, most) = (f64::from(*BITRATES.start()), f64::from(*BITRATES.end()));
            aim = (f64::from(aim) * correction).clamp(least, most) as u32;
            best = Some(best.filter(|best| off(best) <= off(&made)).unwrap_or(made));
            if best.as_ref().is_some_and(|best| off(best) < TOLERANCE) {
                break;
            }
        }
        best.ok_or(Error::NoParameterSets)
    }

    fn draw(config: &CameraConfig, seconds: u32) -> Result<Self, Error> {
        let (mut encoder, parameter_sets) = Encoder::new(config)?;
        let began = SystemTime::now();
        let mut units = Vec::new();
        for frame in 0..(config.fps * seconds as f32).ceil().max(1.0) as u64 {
            let elapsed = encoder.interval().mul_f64(frame as f64);
            let moment = Moment { elapsed, wall: began + elapsed, frame };
            if let Some(Encoded { nals, is_key }) = encoder.draw(&moment, frame == 0)? {
                units.push(Unit { nals, is_key, age: Duration::ZERO });
            }
        }
        let (width, height) = (config.width, config.height);
        Ok(Self { units, parameter_sets, width, height, fps: config.fps.into() })
    }

    /// Reads the first H.264 track of an MP4 file into memory.
    ///
    /// # Errors
    /// [`LoopVideoError`]: the file cannot be read, is too large, or has no H.264.
    pub fn open(path: &Path) -> Result<Self, LoopVideoError> {
        let failed = |source| LoopVideoError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        if bytes > MAX_FILE_BYTES {
            return Err(LoopVideoError::TooLarge { path: path.to_owned(), bytes });
        }
        Self::read(file, bytes)
            .map_err(|reason| LoopVideoError::Format { path: path.to_owned(), reason: reason.to_string() })
    }

    fn read(file: File, bytes: u64) -> Result<Self, Box<dyn std::error::Error>> {
        let mut movie = Mp4Reader::read_header(BufReader::new(file), bytes)?;
        let is_h264 = |track: &&Mp4Track| matches!(track.media_type(), Ok(mp4::MediaType::H264));
        let track = movie.tracks().values().find(is_h264).ok_or("no H.264 track")?;
        let (id, samples, scale) = (track.track_id(), track.sample_count(), track.timescale());
        let (width, height) = (track.width().into(), track.height().into());
        let parameter_sets = ParameterSets {
            sequence: Bytes::copy_from_slice(track.sequence_parameter_set()?),
            picture: Bytes::copy_from_slice(track.picture_parameter_set()?),
        };
        if parameter_sets.sequence.len() < 4 {
            return Err("truncated parameter sets".into());
        }
        let mut units: Vec<(Unit, i64)> = Vec::new();
        let mut ticks: u64 = 0;
        for number in 1..=samples {
            let sample = movie.read_sample(id, number)?.ok_or("a frame is missing")?;
            ticks += u64::from(sample.duration);
            let own = [&parameter_sets.sequence, &parameter_sets.picture].map(Bytes::clone);
            let mut nals: Vec<Bytes> = if sample.is_sync { own.into() } else { Vec::new() };
            nals.extend(nal_units(&sample.bytes)?);
            if !units.is_empty() || sample.is_sync {
                let unit = Unit { nals, is_key: sample.is_sync, age: Duration::ZERO };
                units.push((unit, sample.rendering_offset.into()));
            }
        }
        if units.is_empty() || ticks == 0 || scale == 0 {
            return Err("no key frame, no duration, or a time scale of 0".into());
        }
        let latest = units.iter().map(|(_, offset)| *offset).max().unwrap_or(0);
        let age = |offset: i64| Duration::from_secs_f64((latest - offset) as f64 / f64::from(scale));
        let units = units.into_iter().map(|(unit, offset)| Unit { age: age(offset), ..unit }).collect();
        let fps = f64::from(samples) * f64::from(scale) / ticks as f64;
        if !(0.1..=240.0).contains(&fps) {
            return Err(format!(
                "frame rate {fps:.2} is out of range: expected 0.1 to 240 frames per second"
            )
            .into());
        }
        Ok(Self { units, parameter_sets, width, height, fps })
    }

    /// Plays to the feed until it is closed. For a new viewer the loop jumps to the next key frame.
    pub(super) fn play(&self, feed: &Feed) {
        let mut turn = 0;
        pacing::run(feed, Duration::from_secs_f64(1.0 / self.fps), || {
            if feed.wants_key() {
                turn = self.key_from(turn);
            }
            let unit = self.units.get(turn)?;
            turn = (turn + 1) % self.units.len();
            let now = Instant::now();
            let captured = now.checked_sub(unit.age).unwrap_or(now);
            Some(CapturedUnit { nals: unit.nals.clone(), is_key: unit.is_key, captured })
        });
    }

    /// The maximum time from capture to sending.
    pub(super) fn age(&self) -> Duration {
        self.units.iter().map(|unit| unit.age).max().unwrap_or_default()
    }

    /// The index of the first key frame from `turn` on. The loop begins with one.
    fn key_from(&self, turn: usize) -> usize {
        let next = self.units.iter().skip(turn).position(|unit| unit.is_key);
        next.map_or(0, |ahead| turn + ahead)
    }

    /// The access units as byte streams with start codes (H.264 Annex B), as decoders read them.
    pub fn annex_b(&self) -> impl Iterator<Item = Vec<u8>> {
        let start = |nal: &Bytes| [&[0, 0, 0, 1], &nal[..]].concat();
        self.units.iter().map(move |unit| unit.nals.iter().flat_map(start).collect())
    }

    /// The number of pictures in the loop.
    pub fn frames(&self) -> usize {
        self.units.len()
    }

    /// Pictures per second.
    pub fn fps(&self) -> f64 {
        self.fps
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Bits per second.
    pub fn bitrate(&self) -> f64 {
        let bytes: usize = self.units.iter().flat_map(|unit| &unit.nals).map(|nal| nal.len() + 4).sum();
        bytes as f64 * 8.0 * self.fps / self.units.len().max(1) as f64
    }
}

/// The NAL units of a sample, each prefixed by its length in four bytes (ISO/IEC 14496-15), without parameter sets.
fn nal_units(sample: &Bytes) -> Result<Vec<Bytes>, &'static str> {
    let mut nals = Vec::new();
    let mut rest = sample.clone();
    while !rest.is_empty() {
        let cut = "truncated NAL unit, or NAL unit lengths that are not four bytes";
        let length = u32::from_be_bytes(*rest.first_chunk().ok_or(cut)?) as usize;
        let end = length.checked_add(4).filter(|end| *end <= rest.len()).ok_or(cut)?;
        let nal = rest.split_to(end).slice(4..);
        if nal.first().is_some_and(|head| !matches!(head & 0x1f, 7 | 8)) {
            nals.push(nal);
        }
    }
    Ok(nals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_has_the_requested_bit_rate() {
        let config =
            CameraConfig { width: 320, height: 180, fps: 10.0, bitrate: 250_000, ..CameraConfig::default() };
        let recording = LoopVideo::of_test_picture(&config, 4).expect("it is made");
        assert_eq!((recording.frames(), recording.fps(), recording.size()), (40, 10.0, (320, 180)));
        assert!((recording.bitrate() / 250_000.0 - 1.0).abs() < 0.1, "{}", recording.bitrate());
        assert!(recording.units[0].is_key && !recording.units[1].is_key);
    }

    #[test]
    fn a_bit_rate_beyond_the_encoder_is_approached() {
        let config = CameraConfig {
            width: 320,
            height: 180,
            fps: 10.0,
            bitrate: 4_000_000,
            ..CameraConfig::default()
        };
        let recording = LoopVideo::of_test_picture(&config, 1).expect("it is made");
        assert!((100_000.0..4_400_000.0).contains(&recording.bitrate()), "{}", recording.bitrate());
    }

    /// A file with a time scale of 0, by which all its times are divided.
    #[test]
    fn a_video_without_a_time_scale_is_rejected() {
        let config = mp4::Mp4Config {
            major_brand: str::parse("isom").expect("four letters"),
            minor_version: 512,
            compatible_brands: Vec::new(),
            timescale: 1000,
        };
        let mut writer =
            mp4::Mp4Writer::write_start(std::io::Cursor::new(Vec::new()), &config).expect("begun");
        let track = mp4::AvcConfig {
            width: 320,
            height: 180,
            seq_param_set: vec![0x67, 66, 0, 30],
            pic_param_set: vec![0x68, 1],
        };
        writer.add_track(&track.into()).expect("a track");
        let sample = mp4::Mp4Sample {
            start_time: 0,
            duration: 100,
            rendering_offset: 0,
            is_sync: true,
            bytes: Bytes::from_static(&[0, 0, 0, 2, 0x65, 1]),
        };
        writer.write_sample(1, &sample).expect("a frame");
        writer.write_end().expect("ended");
        let mut movie = writer.into_writer().into_inner();
        let header = movie.windows(4).position(|name| name == b"mdhd").expect("a media header");
        let scale = if movie[header + 4] == 0 { header + 16 } else { header + 24 };
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &movie).expect("written");
        assert!(LoopVideo::open(file.path()).is_ok(), "the file is valid before the change");
        movie[scale..scale + 4].fill(0);
        std::fs::write(file.path(), &movie).expect("written");
        let error = LoopVideo::open(file.path()).expect_err("no time");
        assert!(error.to_string().contains("time scale"), "{error}");
    }

    #[test]
    fn a_loop_jumps_to_the_next_key_frame() {
        let unit = |is_key| Unit { nals: Vec::new(), is_key, age: Duration::ZERO };
        let parameter_sets = ParameterSets { sequence: Bytes::new(), picture: Bytes::new() };
        let units = [true, false, false, true, false].map(unit).into();
        let recording = LoopVideo { units, parameter_sets, width: 2, height: 2, fps: 5.0 };
        assert_eq!([0, 1, 3, 4].map(|turn| recording.key_from(turn)), [0, 3, 3, 0]);
    }

    #[test]
    fn units_are_split_and_parameter_sets_removed() {
        let sample = [&[0, 0, 0, 2, 0x67, 1][..], &[0, 0, 0, 3, 0x65, 2, 3], &[0, 0, 0, 1, 0x06]].concat();
        let nals = nal_units(&sample.into()).expect("whole");
        assert_eq!(nals, [&[0x65, 2, 3][..], &[0x06]]);
        for cut in [&[0, 0, 0][..], &[0, 0, 0, 9, 1], &[0xff, 0xff, 0xff, 0xff, 1]] {
            assert!(nal_units(&Bytes::copy_from_slice(cut)).is_err());
        }
    }

    #[test]
    fn errors_name_the_file() {
        let missing = LoopVideo::open(Path::new("/nonexistent/x.mp4")).expect_err("it is not there");
        assert!(missing.to_string().contains("/nonexistent/x.mp4"));
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), [0x55; 3000]).expect("written");
        let error = LoopVideo::open(file.path()).expect_err("no MP4");
        assert!(matches!(error, LoopVideoError::Format { .. }), "{error}");
    }
}
