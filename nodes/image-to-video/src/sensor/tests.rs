use super::*;
use crate::cuts::{BURST, INTERVAL};
use crate::metrics;
use clap::FromArgMatches as _;
use msight_node::Settings as _;
use msight_node::metrics::{Metric, Metrics};
use msight_proto::{FrameId, Head};
use proptest::prelude::*;

const START: f64 = 1.7e9;

struct Bench {
    sensor: Sensor,
    metrics: Metrics,
    segments: Vec<EndedSegment>,
}

impl Bench {
    fn new() -> Self {
        let command = <crate::Flags as clap::Args>::augment_args(clap::Command::new("test"));
        let flags = ["test", "--buffer-size=1000", "--overlap-size=0", "--fps=10"];
        let matches = command.get_matches_from(flags);
        let flags = crate::Flags::from_arg_matches(&matches).unwrap();
        let metrics = Metrics::default();
        let counts = Arc::new(Counts::new(&metrics));
        let settings = Settings::parse(flags).unwrap();
        let sensor = Sensor::new("gate".into(), settings, counts).unwrap();
        Self { sensor, metrics, segments: vec![] }
    }

    /// Sends a raw grey frame of this many pixels squared.
    fn send(&mut self, head: Head, side: u64) {
        let grey = vec![(side * 7) as u8; (side * side) as usize];
        let image = ImageData {
            image: Some(grey.into()),
            is_encoded: false,
            detection_results: None,
            size: Some(vec![side, side]),
            access_unit: None,
        };
        self.sensor.frame(Sample::new(head, Incoming::Picture(image)), &mut self.segments);
    }

    fn finish(&mut self) -> usize {
        self.sensor.finish(Ending::Stop, &mut self.segments);
        self.segments.iter().for_each(|segment| assert!(segment.to_mp4().is_ok()));
        self.segments.iter().map(|segment| segment.frames.len()).sum()
    }

    fn count(&self, metric: &Metric, reason: &str) -> u64 {
        self.metrics.counter_with(metric, &[reason]).get()
    }
}

fn head(time: f64) -> Head {
    Head::new("gate".to_owned(), time)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever sizes and capture times come, segments are few, and each frame that is not late is in one of them.
    #[test]
    fn segments_are_few_whatever_comes(
        frames in proptest::collection::vec(
            (prop_oneof![Just(16_u64), Just(32), Just(48), 8_u64..64], prop_oneof![Just(0.1), -20.0..20.0, -1e6..1e6]),
            1..200,
        ),
    ) {
        let mut bench = Bench::new();
        let (mut time, begun) = (START, Instant::now());
        let sent = frames.len() as u64;
        for (side, step) in frames {
            time += step;
            bench.send(head(time), side);
        }
        let shown = bench.finish() as u64;
        let more = begun.elapsed().as_secs_f64() / INTERVAL.as_secs_f64();
        prop_assert!(bench.segments.len() as f64 <= f64::from(BURST) + 2.0 + more);
        let left_out = ["late", "rate"].map(|reason| bench.count(&metrics::LEFT_OUT, reason));
        let lost = ["size", "second_source"].map(|reason| bench.count(&metrics::DROPPED, reason));
        prop_assert_eq!(shown + left_out.iter().chain(&lost).sum::<u64>(), sent);
    }
}

#[test]
fn sizes_that_alternate_share_segments_and_lose_no_frame() {
    let mut bench = Bench::new();
    for k in 0..150_u32 {
        bench.send(head(START + f64::from(k) / 10.0), [64, 32][k as usize % 2]);
    }
    assert_eq!(bench.finish(), 150);
    assert!((3..=20).contains(&bench.segments.len()), "{}", bench.segments.len());
    assert!(bench.count(&metrics::MERGED, "frame_size") > 50);
}

#[test]
fn a_clock_that_leaps_to_and_fro_shares_segments_and_loses_no_frame() {
    let mut bench = Bench::new();
    for k in 0..150_u32 {
        bench.send(head(START + f64::from(k) / 10.0 + [0.0, 3600.0][k as usize % 2]), 32);
    }
    assert_eq!(bench.finish(), 150);
    assert!((3..=20).contains(&bench.segments.len()), "{}", bench.segments.len());
    let long = bench.segments.iter().find(|segment| segment.frames.len() > 50).unwrap();
    assert!((5.0..20.0).contains(&long.seconds()), "plays {} s", long.seconds());
}

#[test]
fn frames_that_cannot_be_encoded_end_no_segment() {
    let mut bench = Bench::new();
    for k in 0..40_u32 {
        bench.send(head(START + f64::from(k) / 10.0), [64, 8][k as usize % 2]);
    }
    assert_eq!((bench.finish(), bench.segments.len()), (20, 1));
    assert_eq!(bench.count(&metrics::DROPPED, "size"), 20);
    assert_eq!((bench.segments[0].lost_before(), bench.segments[0].lost_within()), (0, 19));
}

#[test]
fn two_sources_that_look_alike_are_told_by_their_times() {
    let mut bench = Bench::new();
    for k in 0..60_u32 {
        let mut head = head(START + f64::from(k / 2) / 10.0 - f64::from(k % 2) * 2.03);
        head.frame_id = None;
        bench.send(head, 32);
    }
    let late = bench.count(&metrics::LEFT_OUT, "late");
    assert_eq!((bench.finish(), late), (30, 3));
    assert_eq!(bench.count(&metrics::DROPPED, "second_source"), 27);
}

#[test]
fn frames_of_a_second_source_are_counted_as_such() {
    let mut bench = Bench::new();
    for k in 0..60_u64 {
        let mut head = head(START + (k / 2) as f64 / 10.0 - (k % 2) as f64 * 0.03);
        let now = (head.creation_timestamp * 1e3) as u64;
        head.frame_id = Some(FrameId::from(now << 22 | (5 + k % 2) << 12 | 1));
        bench.send(head, 32);
    }
    assert_eq!(bench.count(&metrics::DROPPED, "second_source"), 29);
    assert!(bench.finish() >= 30);
}
