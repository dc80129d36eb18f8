//! The work on one frame of 1920x1080: JPEG to planes, range, H.264.

use criterion::{Criterion, criterion_group, criterion_main};
use msight_image_to_video::encoder::{Encoder, Quality};
use msight_picture::image::{Rgb, RgbImage};
use msight_picture::{Colour, ImageDecoder, Picture};
use msight_proto::ImageData;

/// Two seconds of a moving picture with detail: a pattern that drifts, under noise that does not repeat.
fn frames() -> Vec<ImageData> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..20u32)
        .map(|k| {
            let picture = RgbImage::from_fn(1920, 1080, |x, y| {
                let (u, v) = (x + 6 * k, y + 2 * k);
                let wave = ((u / 9) ^ (v / 13)) as u8;
                let noise = random.u8(0..6);
                Rgb([wave.wrapping_add(noise), (u / 11 % 200) as u8 + noise, (v / 7 % 200) as u8 + noise])
            });
            Picture::from_rgb(&picture).and_then(|p| p.to_image(50)).expect("a picture can be encoded")
        })
        .collect()
}

fn step(c: &mut Criterion) {
    let frames = frames();
    let quality = Quality { bitrate: None, qp: None, fps: 10.0, keyframe_interval: 0 };
    let mut decoder = ImageDecoder::new().expect("a decoder");
    let (mut decoded, mut video) = (Picture::default(), Picture::default());
    decoder.decode(&frames[0], &mut decoded).expect("a JPEG");
    let mut encoder = Encoder::new(decoded.size(), &quality).expect("an encoder");

    let mut group = c.benchmark_group("1080p");
    group.sample_size(20);
    let mut next = frames.iter().cycle();
    group.bench_function("decode JPEG", |b| {
        b.iter(|| decoder.decode(next.next().expect("endless"), &mut decoded));
    });
    group.bench_function("to limited range", |b| {
        b.iter(|| decoded.planes().convert_into(Colour::VIDEO, &mut video));
    });
    let mut k = 0;
    group.bench_function("decode, convert, encode", |b| {
        b.iter(|| {
            decoder.decode(next.next().expect("endless"), &mut decoded).expect("a JPEG");
            decoded.planes().convert_into(Colour::VIDEO, &mut video);
            k += 1;
            encoder.encode(video.planes(), k * 100, k % 100 == 1).expect("a picture").data.len()
        });
    });
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
