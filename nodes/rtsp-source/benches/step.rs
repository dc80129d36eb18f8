//! The work on one access unit of 1920x1080 at 4 Mbit/s and 10 frames a second: to planes, to the JPEG message, and to messages
//! for nodes of the same process, of which one looks at none or at all.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use msight_picture::image::{Rgb, RgbImage};
use msight_picture::{DecodedPicture, Picture};
use msight_rtsp_source::steps::{Handover, Steps};
use openh264::OpenH264API;
use openh264::encoder::{BitRate, Encoder, EncoderConfig, FrameRate};
use openh264::formats::YUVSlices;

/// Two seconds of a moving picture with detail, a key frame first: a pattern that drifts, under noise that does not
/// repeat.
fn access_units() -> Vec<Vec<u8>> {
    let config =
        EncoderConfig::new().bitrate(BitRate::from_bps(4_000_000)).max_frame_rate(FrameRate::from_hz(10.0));
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).expect("an encoder");
    let mut random = fastrand::Rng::with_seed(1);
    (0..20u32)
        .map(|k| {
            let picture = RgbImage::from_fn(1920, 1080, |x, y| {
                let (u, v) = (x + 6 * k, y + 2 * k);
                let wave = ((u / 9) ^ (v / 13)) as u8;
                let noise = random.u8(0..6);
                Rgb([wave.wrapping_add(noise), (u / 11 % 200) as u8 + noise, (v / 7 % 200) as u8 + noise])
            });
            let picture = Picture::from_rgb(&picture).expect("a picture");
            let planes = picture.planes();
            let (size, strides) = (planes.size(), planes.strides().into());
            let source =
                YUVSlices::new((planes.y(), planes.u(), planes.v()), (size.width(), size.height()), strides);
            encoder.encode(&source).expect("it can be encoded").to_vec()
        })
        .collect()
}

fn step(c: &mut Criterion) {
    let units = access_units();
    let bytes: usize = units.iter().map(Vec::len).sum();
    let mut group = c.benchmark_group(format!("1080p, {} kB a frame", bytes / units.len() / 1000));
    group.sample_size(20);
    for (name, publish) in [("decode", false), ("decode, to JPEG message", true)] {
        let mut steps = Steps::new(publish).expect("a decoder");
        let mut next = units.iter().enumerate().cycle();
        group.bench_function(name, |b| {
            b.iter_batched(
                || next.next().map(|(index, unit)| (unit, index == 0)).expect("endless"),
                |(unit, key)| {
                    let messages = steps.access_unit(unit, key).expect("it can be decoded");
                    assert_eq!(messages.len(), usize::from(publish));
                    messages
                },
                BatchSize::PerIteration,
            );
        });
    }
    for (name, handover, looks) in [
        ("in one process, decoded at once", Handover::Decoded, true),
        ("in one process, a node looks at all", Handover::Deferred, true),
        ("in one process, no node looks", Handover::Deferred, false),
    ] {
        let mut steps = Steps::for_process(handover).expect("a decoder");
        let mut next = units.iter().enumerate().cycle();
        group.bench_function(name, |b| {
            b.iter(|| {
                let (index, unit) = next.next().expect("endless");
                let messages = steps.access_unit(unit, index == 0).expect("it can be decoded");
                if looks {
                    assert!(messages.iter().all(|message| DecodedPicture::of(message).is_some()));
                }
                messages.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
