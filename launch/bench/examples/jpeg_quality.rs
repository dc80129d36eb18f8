//! Measures the effect of a source's JPEG quality on CPU time, bytes on the bus, and size and quality of the segments.
//!
//! cargo run --release -p msight-bench --example jpeg_quality -- FILE
//!
//! It sends the first 100 frames of a video through JPEG and through the aggregator's encoder, at several qualities and
//! without JPEG, as in one process. Without FILE it uses the built-in camera's test picture. It measures the CPU time
//! of its own thread, which other programs on the machine hardly change, and the luma PSNR against the camera's
//! pictures. ffmpeg decodes the video and the segments.

use anyhow::{Context as _, Result, ensure};
use msight_camera::{CameraConfig, LoopVideo};
use msight_codec::{Encoder, Quality};
use msight_media::mp4::{SampleData, mux};
use msight_picture::{Colour, ImageDecoder, JpegEncoder, Picture, Planes, Range, Size};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const FRAMES: usize = 100;
const FPS: f64 = 10.0;
const QUALITIES: [u8; 6] = [50, 60, 70, 80, 90, 95];

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let video = match std::env::args_os().nth(1) {
        Some(file) => PathBuf::from(file),
        None => street(folder.path())?,
    };
    let frames = decode(&video)?;
    let size = frames.first().context("the video has no frames")?.size();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} frames of {}x{}", frames.len(), size.width(), size.height())?;
    for bitrate in [None, Some(1_000_000)] {
        let quality = Quality { bitrate, qp: None, fps: FPS, keyframe_interval: 250 };
        let name = bitrate.map_or("default".to_owned(), |bits| format!("--bitrate {bits}"));
        writeln!(
            out,
            "\n{name}\n| quality | CPU ms a frame: source, aggregator | kB a frame | segment MB | PSNR dB |"
        )?;
        writeln!(out, "|---|---|---|---|---|")?;
        for jpeg in QUALITIES.map(Some).into_iter().chain([None]) {
            let run = Run::of(&frames, jpeg, &quality, folder.path())?;
            let per_frame = |seconds: f64| seconds * 1e3 / frames.len() as f64;
            writeln!(
                out,
                "| {} | {:.1} + {:.1} | {:.0} | {:.2} | {:.2} |",
                jpeg.map_or("no JPEG".to_owned(), |quality| quality.to_string()),
                per_frame(run.source),
                per_frame(run.aggregator),
                run.bus as f64 / 1e3 / frames.len() as f64,
                run.segment as f64 / 1e6,
                run.psnr
            )?;
        }
    }
    Ok(())
}

/// The measurements of one quality.
struct Run {
    /// CPU time of encoding JPEG, in seconds.
    source: f64,
    /// CPU time of decoding JPEG and encoding H.264.
    aggregator: f64,
    /// Bytes of all JPEG files.
    bus: usize,
    /// Bytes of the segment.
    segment: usize,
    /// Luma PSNR of the segment against the camera's pictures, in decibels.
    psnr: f64,
}

impl Run {
    fn of(frames: &[Picture], jpeg: Option<u8>, quality: &Quality, folder: &Path) -> Result<Self> {
        let began = cpu_seconds()?;
        let files: Vec<_> = match jpeg {
            Some(jpeg) => {
                let mut encoder = JpegEncoder::new(jpeg)?;
                let files = frames.iter().map(|frame| Ok(encoder.encode(&frame.planes())?.to_vec()));
                files.collect::<Result<_>>()?
            }
            None => Vec::new(),
        };
        let sent = cpu_seconds()?;
        let mut encoder = Encoder::new(frames[0].size(), Colour::VIDEO, quality)?;
        let (mut decoder, mut picture) = (ImageDecoder::new()?, Picture::default());
        let mut units = Vec::new();
        for (k, frame) in frames.iter().enumerate() {
            let planes: Planes<'_> = match files.get(k) {
                Some(file) => {
                    let image = msight_proto::ImageData {
                        image: Some(file.clone().into()),
                        is_encoded: true,
                        detection_results: None,
                        size: None,
                        access_unit: None,
                    };
                    decoder.decode(&image, &mut picture)?;
                    picture.change_range(Range::Limited);
                    picture.planes()
                }
                None => frame.planes(),
            };
            units.push(encoder.encode(planes, k as u64 * 100, k == 0)?);
        }
        let encoded = cpu_seconds()?;
        let samples: Vec<_> = units
            .iter()
            .map(|unit| SampleData { data: &unit.data, key: unit.key, duration: 9000, composition_offset: 0 })
            .collect();
        let file = mux(&units[0].parameter_sets, Duration::ZERO, &samples, None)?;
        let path = folder.join("segment.mp4");
        std::fs::write(&path, &file)?;
        Ok(Self {
            source: sent - began,
            aggregator: encoded - sent,
            bus: files.iter().map(Vec::len).sum(),
            segment: file.len(),
            psnr: psnr(&decode(&path)?, frames)?,
        })
    }
}

/// CPU time of this thread, in seconds.
fn cpu_seconds() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: u64 = text.split(' ').next().context("no CPU time")?.parse()?;
    Ok(nanoseconds as f64 / 1e9)
}

/// Ten seconds of the built-in camera, as a file.
fn street(folder: &Path) -> Result<PathBuf> {
    let (width, height) = (1280, 960);
    let config = CameraConfig { width, height, ..CameraConfig::default() };
    let units: Vec<_> = LoopVideo::of_test_picture(&config, 10)?.annex_b().collect();
    let path = folder.join("street.h264");
    std::fs::write(&path, units.concat())?;
    Ok(path)
}

/// The first frames of a video.
fn decode(video: &Path) -> Result<Vec<Picture>> {
    let probe =
        ["-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0"];
    let sides = output(Command::new("ffprobe").args(probe).arg(video))?;
    let sides = String::from_utf8(sides)?;
    let (width, height) = sides.trim().split_once(',').context("the file has no video")?;
    let size = Size::new(width.parse()?, height.parse()?)?;
    let raw = [
        "-frames:v",
        &FRAMES.to_string(),
        "-vsync",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p",
        "-",
    ]
    .map(str::to_owned);
    let raw = output(Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(video).args(raw))?;
    let (luma, chroma) = (size.width() * size.height(), size.chroma().width() * size.chroma().height());
    raw.chunks_exact(luma + 2 * chroma)
        .map(|frame| {
            let (y, uv) = frame.split_at(luma);
            let (u, v) = uv.split_at(chroma);
            let strides = [size.width(), size.chroma().width(), size.chroma().width()];
            let mut picture = Picture::default();
            Planes::new(size, Colour::VIDEO, [y, u, v], strides)?.convert_into(Colour::VIDEO, &mut picture);
            Ok(picture)
        })
        .collect()
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().context("this needs ffmpeg and ffprobe")?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

fn psnr(shown: &[Picture], camera: &[Picture]) -> Result<f64> {
    ensure!(shown.len() == camera.len(), "the segment has {} frames", shown.len());
    let (mut squares, mut samples) = (0_u64, 0_u64);
    for (shown, camera) in shown.iter().zip(camera) {
        let (shown, camera) = (shown.planes(), camera.planes());
        let width = camera.size().width();
        for (shown, camera) in
            shown.y().chunks(shown.strides()[0]).zip(camera.y().chunks(camera.strides()[0]))
        {
            let row = shown[..width].iter().zip(&camera[..width]);
            squares += row.map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum::<u64>();
            samples += width as u64;
        }
    }
    Ok(10.0 * (255.0_f64.powi(2) * samples as f64 / squares as f64).log10())
}
