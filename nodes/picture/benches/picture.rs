//! CPU time of each step for a 1920x1080 frame, on one core.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use msight_picture::{Colour, JpegDecoder, JpegEncoder, Matrix, Picture, Range, Scaler, Size};

const HD: (usize, usize) = (1920, 1080);
const LIMITED_709: Colour = Colour { range: Range::Limited, matrix: Matrix::Bt709 };

/// A picture like a street scene, with smooth light, texture, hard edges and sensor noise.
fn street(colour: Colour) -> Picture {
    let size = Size::new(HD.0, HD.1).expect("within the limits");
    let mut picture = Picture::new(size, colour);
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |amplitude: i32| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        (noise >> 40) as i32 % (2 * amplitude + 1) - amplitude
    };
    let planes = picture.planes_mut();
    for (row, pixels) in planes.y.chunks_exact_mut(planes.y_stride).enumerate() {
        for (column, pixel) in pixels.iter_mut().enumerate() {
            let (x, y) = (column as i32, row as i32);
            let light = 60 + x / 24 + y / 18;
            let texture = if y > 500 { ((x * 7 + y * 13) % 31) - 15 + random(12) } else { random(2) };
            let edges = if (x / 60 + y / 45) % 7 == 0 { 50 } else { 0 };
            *pixel = (light + texture + edges).clamp(16, 235) as u8;
        }
    }
    for (plane, tilt) in [(planes.u, 3), (planes.v, -2)] {
        for (row, samples) in plane.chunks_exact_mut(planes.uv_stride).enumerate() {
            for (column, sample) in samples.iter_mut().enumerate() {
                let car = if (column / 40 + row / 30) % 11 == 0 { 30 } else { 0 };
                *sample = (128 + tilt * (column as i32 / 90) + car + random(2)).clamp(16, 240) as u8;
            }
        }
    }
    picture
}

fn steps(criterion: &mut Criterion) {
    let full = street(Colour::JPEG);
    let limited = street(Colour::VIDEO);
    let mut group = criterion.benchmark_group("1080p");

    for quality in [50, 80] {
        let mut encoder = JpegEncoder::new(quality).expect("quality is within 1 to 100");
        let jpeg = encoder.encode(&full.planes()).expect("encodes").to_vec();
        let mut decoder = JpegDecoder::new().expect("memory");
        let mut picture = Picture::default();
        group.bench_function(format!("jpeg/encode q{quality} ({} kB)", jpeg.len() / 1000), |bencher| {
            bencher.iter(|| encoder.encode(&full.planes()).expect("encodes").len());
        });
        group.bench_function(format!("jpeg/encode q{quality} from limited range"), |bencher| {
            bencher.iter(|| encoder.encode(&limited.planes()).expect("encodes").len());
        });
        group.bench_function(format!("jpeg/decode q{quality}"), |bencher| {
            bencher.iter(|| decoder.decode(&jpeg, &mut picture).expect("decodes"));
        });
    }

    let mut picture = Picture::default();
    for (name, from, to) in [
        ("copy", Colour::JPEG, Colour::JPEG),
        ("range limited to full", Colour::VIDEO, Colour::JPEG),
        ("range full to limited", Colour::JPEG, Colour::VIDEO),
        ("matrix limited 709 to full 601", LIMITED_709, Colour::JPEG),
    ] {
        let source = street(from);
        group.bench_function(format!("convert/{name}"), |bencher| {
            bencher.iter(|| black_box(source.planes()).convert_into(to, &mut picture));
        });
    }

    let mut scaler = Scaler::new();
    for ratio in [0.5, 0.35] {
        let to = full.size().scaled(ratio).expect("a picture is left");
        group.bench_function(format!("scale/by {ratio}"), |bencher| {
            bencher.iter(|| scaler.scale(&full.planes(), to, &mut picture));
        });
    }

    let rgb = full.to_rgb();
    group.bench_function("rgb/to", |bencher| bencher.iter(|| full.to_rgb()));
    group.bench_function("rgb/from", |bencher| bencher.iter(|| Picture::from_rgb(&rgb).expect("a picture")));
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
