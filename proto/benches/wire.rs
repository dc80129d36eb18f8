//! Encodes and decodes a frame of 150 kB.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use msight_proto::{Head, ImageData, Sample, decode, encode};

fn wire(criterion: &mut Criterion) {
    let body = ImageData {
        image: Some(Bytes::from(vec![0xa5; 150_000]).into()),
        is_encoded: true,
        detection_results: None,
        size: Some(vec![1080, 1920, 3]),
        access_unit: None,
    };
    let sample = Sample::new(Head::new("north".to_owned(), 1_700_000_000.25), body);
    let payload = encode(&sample).expect("a plain message");
    let mut group = criterion.benchmark_group("frame of 150 kB");
    group.throughput(Throughput::Bytes(payload.len() as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| encode(&sample)));
    group.bench_function("decode", |bencher| bencher.iter(|| decode::<ImageData>(&payload)));
    group.finish();
}

criterion_group!(benches, wire);
criterion_main!(benches);
