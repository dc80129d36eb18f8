//! Compares the encoder with x264's `ultrafast` preset, the usual choice for speed, at equal size. The settings are
//! those of the speed measurements.

use msight_codec::{Encoder, Quality};
use msight_media::mp4::{SampleData, mux};
use msight_picture::{Colour, ImageDecoder, JpegEncoder, Picture, Size};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const WIDTH: usize = 640;
const HEIGHT: usize = 360;
/// A segment of the tutorial.
const FRAMES: usize = 100;
const FPS: f64 = 10.0;

/// Side of the texture that the scene is cut from; a power of two, so that it repeats.
const TEXTURE: usize = 512;

/// A texture with equal contrast in every octave, as in natural pictures.
fn texture(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut texture = vec![0_f32; TEXTURE * TEXTURE];
    for (cell, weight) in [(256, 34.0), (64, 24.0), (16, 16.0), (4, 9.0), (2, 5.0)] {
        let cells = TEXTURE / cell;
        let grid: Vec<f32> = (0..cells * cells).map(|_| random.f32() - 0.5).collect();
        for (at, value) in texture.iter_mut().enumerate() {
            let (x, y) = (at % TEXTURE, at / TEXTURE);
            let (u, v) = ((x % cell) as f32 / cell as f32, (y % cell) as f32 / cell as f32);
            let corner =
                |dx: usize, dy: usize| grid[(y / cell + dy) % cells * cells + (x / cell + dx) % cells];
            let above = corner(0, 0) * (1.0 - u) + corner(1, 0) * u;
            let below = corner(0, 1) * (1.0 - u) + corner(1, 1) * u;
            *value += 2.0 * weight * (above * (1.0 - v) + below * v);
        }
    }
    texture.iter().map(|value| (value + 118.0).clamp(0.0, 255.0) as u8).collect()
}

/// A street seen by a fixed camera: a background, four vehicles at different speeds, and sensor noise.
fn scene() -> Vec<Picture> {
    let mut random = fastrand::Rng::with_seed(7);
    let texture = texture(&mut random);
    // The samples of a row of the texture from a start on. Luma uses every sample, chroma every second one in both
    // directions.
    let part = |x: usize, y: usize, step: usize| {
        (0..).map(move |column| (x + step * column) % TEXTURE + y % TEXTURE * TEXTURE).map(|at| texture[at])
    };
    let size = Size::new(WIDTH, HEIGHT).unwrap();
    let draw = |frame: usize| {
        let mut picture = Picture::new(size, Colour::JPEG);
        let planes = picture.planes_mut();
        let (y_stride, uv_stride) = (planes.y_stride, planes.uv_stride);
        let plane = |samples: &mut [u8], stride: usize, step: usize, shift: usize| {
            for (row, y) in samples.chunks_exact_mut(stride).zip(0..) {
                row.iter_mut().zip(part(shift, y * step, step)).for_each(|(to, from)| *to = from);
                for lane in 0..4 {
                    let top = 130 + 52 * lane;
                    let left = (lane * 211 + frame * (3 + 4 * lane)) % (WIDTH - 120);
                    if (top..top + 40).contains(&(y * step)) {
                        let vehicle = part(300 * lane + shift, 300 + y * step - top, step);
                        row[left / step..][..120 / step]
                            .iter_mut()
                            .zip(vehicle)
                            .for_each(|(to, from)| *to = from);
                    }
                }
            }
        };
        plane(planes.y, y_stride, 1, 0);
        plane(planes.u, uv_stride, 2, 170);
        plane(planes.v, uv_stride, 2, 340);
        let mut noise = vec![0; planes.y.len()];
        random.fill(&mut noise);
        planes.y.iter_mut().zip(noise).for_each(|(sample, noise)| *sample = sample.saturating_add(noise % 5));
        let chroma = planes.u.iter_mut().chain(planes.v);
        chroma.for_each(|sample| *sample = 96 + *sample / 4);
        picture
    };
    (0..FRAMES).map(draw).collect()
}

/// The pictures as the aggregator receives them from a source: through JPEG, then in limited range.
fn incoming(scene: &[Picture]) -> Vec<Picture> {
    let (mut encoder, mut decoder) = (JpegEncoder::new(50).unwrap(), ImageDecoder::new().unwrap());
    let arrive = |picture: &Picture| {
        let (mut decoded, mut video) = (Picture::default(), Picture::default());
        decoder.decode(&encoder.encode_image(&picture.planes()).unwrap(), &mut decoded).unwrap();
        decoded.planes().convert_into(Colour::VIDEO, &mut video);
        video
    };
    scene.iter().map(arrive).collect()
}

fn raw(pictures: &[Picture]) -> Vec<u8> {
    pictures.iter().flat_map(|p| [p.planes().y(), p.planes().u(), p.planes().v()].concat()).collect()
}

/// Encodes at a bitrate. Returns the bytes of the video, and the video as a file.
fn ours(pictures: &[Picture], bitrate: f64) -> (usize, Vec<u8>) {
    let quality = Quality { bitrate: Some(bitrate as u32), qp: None, fps: FPS, keyframe_interval: 0 };
    let mut encoder = Encoder::new(pictures[0].size(), pictures[0].colour(), &quality).unwrap();
    let units: Vec<_> = (pictures.iter().zip(0_u64..))
        .map(|(picture, k)| encoder.encode(picture.planes(), k * 100, k == 0).unwrap())
        .collect();
    let samples: Vec<_> = units
        .iter()
        .map(|unit| SampleData { data: &unit.data, key: unit.key, duration: 9000, composition_offset: 0 })
        .collect();
    let file = mux(&units[0].parameter_sets, Duration::ZERO, &samples, None).unwrap();
    (units.iter().map(|unit| unit.data.len()).sum(), file)
}

fn ffmpeg(args: &[&str]) {
    let output = Command::new("ffmpeg").args(["-v", "error", "-xerror", "-y"]).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Luma PSNR in decibels of a video, decoded by ffmpeg, against its source pictures.
fn psnr(video: &Path, pictures: &[Picture], folder: &Path) -> f64 {
    let decoded = folder.join("decoded.yuv");
    let passed_through = ["-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p"];
    ffmpeg(&[&["-i", video.to_str().unwrap()], &passed_through[..], &[decoded.to_str().unwrap()]].concat());
    let decoded = fs::read(decoded).unwrap();
    let frames = decoded.as_slice().chunks_exact(WIDTH * HEIGHT * 3 / 2);
    assert_eq!(frames.len(), pictures.len());
    let squares: u64 = (frames.zip(pictures))
        .flat_map(|(frame, picture)| frame.iter().zip(picture.planes().y()))
        .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
        .sum();
    10.0 * (255.0_f64.powi(2) * (pictures.len() * WIDTH * HEIGHT) as f64 / squares as f64).log10()
}

#[test]
fn psnr_is_at_least_that_of_x264_ultrafast_at_equal_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let pictures = incoming(&scene());
    fs::write(path("in.yuv"), raw(&pictures)).unwrap();
    // The rate of the cost measurements, and a rate at which the deblocking filter is on.
    for bits_per_pixel in [0.2, 0.08] {
        let requested = bits_per_pixel * (WIDTH * HEIGHT) as f64 * FPS;
        let (size, rate) = (format!("{WIDTH}x{HEIGHT}"), format!("{requested:.0}"));
        let (input, output) = (path("in.yuv"), path("x264.h264"));
        ffmpeg(
            &[
                &[
                    "-f",
                    "rawvideo",
                    "-pix_fmt",
                    "yuv420p",
                    "-s",
                    &size,
                    "-r",
                    "10",
                    "-i",
                    input.to_str().unwrap(),
                ][..],
                &["-c:v", "libx264", "-threads", "1", "-preset", "ultrafast", "-b:v", &rate, "-g", "1000"],
                // Removes the SEI message in which x264 writes its options.
                &["-bsf:v", "filter_units=remove_types=6", output.to_str().unwrap()],
            ]
            .concat(),
        );
        let theirs = fs::metadata(&output).unwrap().len() as f64;

        // In so short a video, neither rate control meets the rate within a percent.
        let mut bitrate = 0.985 * theirs * 8.0 * FPS / FRAMES as f64;
        let (bytes, file) = (0..8)
            .map(|_| {
                let (bytes, file) = ours(&pictures, bitrate);
                bitrate *= 0.985 * theirs / bytes as f64;
                (bytes as f64, file)
            })
            .find(|&(bytes, _)| (0.95..=1.0).contains(&(bytes / theirs)))
            .expect("the bitrate can be chosen within 5 %");
        fs::write(path("ours.mp4"), file).unwrap();
        let our_psnr = psnr(&path("ours.mp4"), &pictures, folder.path());
        let their_psnr = psnr(&output, &pictures, folder.path());
        assert!(
            our_psnr >= their_psnr,
            "at {bits_per_pixel} bits a pixel {our_psnr:.2} dB in {bytes} bytes, x264 {their_psnr:.2} dB in {theirs}"
        );
    }
}
