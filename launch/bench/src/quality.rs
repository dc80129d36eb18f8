//! Measures the quality of the segments beside libx264 at the same bit rate.
//!
//! Both are compared with the pictures that the aggregator received.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use msight_picture::{Colour, ImageDecoder, Picture, Planes};
use msight_proto::{ImageData, Sample};
use openh264::decoder::Decoder;
use openh264::formats::YUVSource as _;
use serde::Serialize;

use super::segments::Segment;
use msight_camera::LoopVideo;

/// The accepted deviation of libx264's bit rate from that of the segment, and the maximum number of attempts.
const TOLERANCE: f64 = 0.01;
const ATTEMPTS: usize = 6;

/// The tolerance of capture times, which were written as JSON.
const SAME_TIME: f64 = 1e-4;

/// One segment and its counterpart.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Quality {
    pub(super) frames: usize,
    pub(super) ours: Score,
    pub(super) x264_ultrafast: Score,
}

/// The quality of a video.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Score {
    /// Its bit rate in bits per second.
    pub(super) bitrate: f64,
    /// Peak signal to noise ratio of luma, over all pictures together, in decibels.
    pub(super) psnr_y: f64,
}

/// The inputs of a comparison.
pub(super) struct Comparison {
    /// The received pictures of one sensor.
    pub(super) frames: Vec<Sample<ImageData>>,
    /// The segments of that sensor.
    pub(super) segments: Vec<Segment>,
    pub(super) fps: u16,
    pub(super) ffmpeg: PathBuf,
    /// Where libx264's video is written.
    pub(super) folder: PathBuf,
    /// The process group for ffmpeg.
    pub(super) group: i32,
}

impl Comparison {
    /// Compares the longest segment whose pictures are all known. Blocks for some seconds.
    pub(super) fn run(&self) -> Result<Quality> {
        let complete = self.segments.iter().filter_map(|segment| Some((segment, self.pictures_of(segment)?)));
        let longest = complete.max_by_key(|(_, pictures)| pictures.len());
        let (segment, pictures) =
            longest.context("no segment has all of its pictures among the captured ones")?;
        let seconds = pictures.len() as f64 / f64::from(self.fps);
        let ours =
            score(&segment.video, &pictures, seconds).context("cannot measure the quality of the segment")?;
        let x264 = self
            .x264_at(ours.bitrate, &pictures, seconds)
            .context("cannot measure the quality of libx264")?;
        Ok(Quality { frames: pictures.len(), ours, x264_ultrafast: x264 })
    }

    /// The pictures of a segment, if all of them are known.
    fn pictures_of(&self, segment: &Segment) -> Option<Vec<&ImageData>> {
        let picture = |time: &f64| {
            let of_time =
                |frame: &&Sample<ImageData>| (frame.head.capture_timestamp - time).abs() < SAME_TIME;
            self.frames.iter().find(of_time).map(|frame| &frame.body)
        };
        segment.captured.iter().map(picture).collect()
    }

    /// libx264 misses its target by some percent: adjust the target until the bit rate matches.
    fn x264_at(&self, wanted: f64, pictures: &[&ImageData], seconds: f64) -> Result<Score> {
        let mut aim = wanted;
        let mut best: Option<Score> = None;
        let off = |score: &Score| (score.bitrate / wanted - 1.0).abs();
        for _ in 0..ATTEMPTS {
            let video = self.x264(aim, pictures)?;
            let made = score(&video, pictures, seconds)?;
            aim *= (wanted / made.bitrate).clamp(0.5, 2.0);
            best = Some(best.filter(|best| off(best) <= off(&made)).unwrap_or(made));
            if best.as_ref().is_some_and(|best| off(best) < TOLERANCE) {
                break;
            }
        }
        best.context("ffmpeg made no video")
    }

    fn x264(&self, bitrate: f64, pictures: &[&ImageData]) -> Result<PathBuf> {
        let video = self.folder.join("x264.mp4");
        let mut reader = Reader::new()?;
        let (width, height) = {
            let first = reader.read(pictures.first().context("there are no pictures")?)?;
            (first.size().width(), first.size().height())
        };
        ensure!(width % 2 == 0 && height % 2 == 0, "pictures of {width}x{height} have no even size");
        let mut ffmpeg = Command::new(&self.ffmpeg)
            .args(["-nostdin", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p"])
            .args(["-s", &format!("{width}x{height}"), "-r", &self.fps.to_string(), "-i", "-"])
            .args([
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-threads",
                "1",
                "-b:v",
                &format!("{bitrate:.0}"),
            ])
            .arg(&video)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(self.group)
            .spawn()
            .context("cannot start ffmpeg")?;
        let mut input = ffmpeg.stdin.take().context("ffmpeg has no input")?;
        let mut feed = || -> Result<()> {
            for picture in pictures {
                let planes = reader.read(picture)?;
                let chroma = (width / 2, height / 2);
                let sizes = [(width, height), chroma, chroma];
                let strides = planes.strides();
                for (place, plane) in [planes.y(), planes.u(), planes.v()].into_iter().enumerate() {
                    let (width, height) = sizes[place];
                    for row in plane.chunks(strides[place]).take(height) {
                        input.write_all(&row[..width])?;
                    }
                }
            }
            Ok(())
        };
        let fed = feed();
        drop(input);
        let status = ffmpeg.wait()?;
        fed.context("cannot send the pictures to ffmpeg")?;
        ensure!(status.success(), "ffmpeg has ended, {status}");
        Ok(video)
    }
}

/// Reads pictures as the aggregator does: JPEG is full range, video is limited.
struct Reader {
    decoder: ImageDecoder,
    decoded: Picture,
    video: Picture,
}

impl Reader {
    fn new() -> Result<Self> {
        Ok(Self { decoder: ImageDecoder::new()?, decoded: Picture::default(), video: Picture::default() })
    }

    fn read(&mut self, image: &ImageData) -> Result<Planes<'_>> {
        self.decoder.decode(image, &mut self.decoded)?;
        self.decoded.planes().convert_into(Colour::VIDEO, &mut self.video);
        Ok(self.video.planes())
    }
}

/// Decodes a video and compares it with its source pictures.
fn score(video: &Path, pictures: &[&ImageData], seconds: f64) -> Result<Score> {
    let recording = LoopVideo::open(video)?;
    ensure!(
        recording.frames() == pictures.len(),
        "the video has {} frames instead of {}",
        recording.frames(),
        pictures.len()
    );
    let (mut decoder, mut reader) = (Decoder::new()?, Reader::new()?);
    let (mut error, mut samples, mut bytes) = (0_u64, 0_u64, 0);
    for (unit, picture) in recording.annex_b().zip(pictures) {
        bytes += unit.len();
        let Some(decoded) = decoder.decode(&unit)? else {
            bail!("the decoder returned no picture for a frame")
        };
        let original = reader.read(picture)?;
        let (width, height) = decoded.dimensions();
        let size = original.size();
        ensure!(
            (width, height) == (size.width(), size.height()),
            "the video is {width}x{height}, the pictures are not"
        );
        let rows = decoded.y().chunks(decoded.strides().0).zip(original.y().chunks(original.strides()[0]));
        error +=
            rows.take(height).map(|(one, other)| squared_error(&one[..width], &other[..width])).sum::<u64>();
        samples += (width * height) as u64;
    }
    Ok(Score { bitrate: bytes as f64 * 8.0 / seconds, psnr_y: psnr(error, samples) })
}

fn squared_error(one: &[u8], other: &[u8]) -> u64 {
    one.iter().zip(other).map(|(one, other)| u64::from(one.abs_diff(*other)).pow(2)).sum()
}

/// PSNR in decibels for 8-bit samples. Identical pictures give 100.
fn psnr(error: u64, samples: u64) -> f64 {
    let mean = error as f64 / samples.max(1) as f64;
    (10.0 * (255.0 * 255.0 / mean).log10()).min(100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_measured_in_decibels() {
        assert_eq!(squared_error(&[10, 20, 30], &[12, 20, 27]), 13);
        // An error of one in each sample.
        assert!((psnr(400, 400) - 48.130_8).abs() < 1e-3);
        assert_eq!(psnr(0, 10), 100.0);
    }
}
