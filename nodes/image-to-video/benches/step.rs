//! The work on one frame of 1920x1080: JPEG to planes, range (there and back), H.264; and a segment's file.

use criterion::{Criterion, criterion_group, criterion_main};
use msight_codec::{Encoder, Quality};
use msight_media::mp4::{SampleData, mux};
use msight_picture::image::{Rgb, RgbImage};
use msight_picture::{ImageDecoder, Picture, Range};
use msight_proto::ImageData;
use std::time::Duration;

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
    // The rate of the README's table, 0.2 bits a pixel.
    let quality = Quality { bitrate: Some(4_000_000), qp: None, fps: 10.0, keyframe_interval: 0 };
    let mut decoder = ImageDecoder::new().expect("a decoder");
    let mut decode = |frame: &ImageData| {
        let mut picture = Picture::default();
        decoder.decode(frame, &mut picture).expect("a JPEG");
        picture.change_range(Range::Limited);
        picture
    };
    let video: Vec<Picture> = frames.iter().map(&mut decode).collect();
    let mut encoder = Encoder::new(video[0].size(), video[0].colour(), &quality).expect("an encoder");
    let mut k = 0;
    let mut encode = |picture: &Picture| {
        k += 1;
        encoder.encode(picture.planes(), k * 100, k % 100 == 1).expect("a picture")
    };

    let mut group = c.benchmark_group("1080p");
    group.sample_size(20);
    let (mut next, mut picture) = (frames.iter().cycle(), Picture::default());
    let mut decoder = ImageDecoder::new().expect("a decoder");
    group.bench_function("decode JPEG", |b| {
        b.iter(|| decoder.decode(next.next().expect("endless"), &mut picture));
    });
    group.bench_function("to limited range", |b| {
        b.iter(|| {
            picture.change_range(Range::Full);
            picture.change_range(Range::Limited);
        });
    });
    let mut next = video.iter().cycle();
    group.bench_function("encode H.264", |b| {
        b.iter(|| encode(next.next().expect("endless")).data.len());
    });
    let units: Vec<_> = video.iter().cycle().take(100).map(encode).collect();
    let samples: Vec<_> = (units.iter().zip(0..))
        .map(|(unit, k)| SampleData { data: &unit.data, key: k == 0, duration: 9000, composition_offset: 0 })
        .collect();
    group.bench_function("mux a segment of 100 frames", |b| {
        b.iter(|| mux(&units[0].parameter_sets, Duration::ZERO, &samples, None).expect("a file").len());
    });
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
