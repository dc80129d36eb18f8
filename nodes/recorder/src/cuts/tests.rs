use super::*;
use crate::testing::{START, video};
use msight_media::ParameterSets;
use proptest::prelude::*;
use std::sync::Arc;

fn rules() -> CutRules {
    CutRules {
        duration: Some(2.0),
        align: false,
        bytes: u64::MAX,
        max_bytes: u64::MAX,
        max_gap: PauseLimit::AtLeast(2.0),
    }
}

/// The numbers of the units at which segments begin, and why the segments before them ended.
fn begins(rules: CutRules, units: impl IntoIterator<Item = Unit>) -> Vec<(u64, Option<Ending>)> {
    let mut cutter = Cutter::new(rules);
    let (mut begins, mut bytes, mut is_open) = (Vec::new(), 0, false);
    for unit in units {
        let verdict = if is_open { cutter.decide(&unit, bytes) } else { Verdict::Continue };
        match verdict {
            Verdict::Continue if is_open => {}
            Verdict::Overflow => {
                begins.push((unit.sequence, Some(Ending::Limit)));
                is_open = false;
                cutter.end();
                continue;
            }
            Verdict::Cut(why) | Verdict::Break(why) => {
                assert!(unit.key);
                begins.push((unit.sequence, Some(why)));
                cutter.begin(&unit);
                bytes = 0;
            }
            Verdict::Continue if unit.key => {
                begins.push((unit.sequence, None));
                cutter.begin(&unit);
                (is_open, bytes) = (true, 0);
            }
            Verdict::Continue => continue,
        }
        bytes += unit.data.len() as u64;
    }
    begins
}

fn stream(count: u64, gop: u64) -> impl Iterator<Item = Unit> {
    (0..count).map(move |number| video(number, number % gop == 0))
}

#[test]
fn segments_begin_at_the_first_key_frame_after_the_duration() {
    use Ending::Duration;
    assert_eq!(begins(rules(), stream(50, 10)), [(0, None), (20, Some(Duration)), (40, Some(Duration))]);
    assert_eq!(begins(rules(), stream(70, 15)), [(0, None), (30, Some(Duration)), (60, Some(Duration))]);
    assert_eq!(begins(CutRules { duration: None, ..rules() }, stream(500, 10)), [(0, None)]);
    let hours = (0..40_000).filter(|number| number % 600 == 0).map(|number| video(number, true));
    let none = CutRules { duration: None, max_gap: PauseLimit::Exactly(1000.0), ..rules() };
    assert_eq!(begins(none, hours), [(0, None), (36_000, Some(Ending::Limit))]);
}

#[test]
fn aligned_segments_begin_at_the_first_key_frame_of_a_full_minute() {
    let aligned = CutRules { duration: Some(60.0), align: true, ..rules() };
    let from = |first| stream(1500, 25).skip(first);
    use Ending::Duration;
    assert_eq!(begins(aligned, from(0)), [(0, None), (600, Some(Duration)), (1200, Some(Duration))]);
    assert_eq!(begins(aligned, from(590)), [(600, None), (1200, Some(Duration))]);
    assert_eq!(begins(aligned, from(570)), [(575, None), (600, Some(Duration)), (1200, Some(Duration))]);
}

#[test]
fn a_segment_ends_before_the_key_frame_after_which_it_would_be_too_large() {
    let small = CutRules { bytes: 25_000, duration: None, ..rules() };
    assert_eq!(
        begins(small, stream(45, 10)),
        [(0, None), (20, Some(Ending::Bytes)), (40, Some(Ending::Bytes))]
    );
}

#[test]
fn without_a_key_frame_a_segment_ends_at_its_absolute_limit() {
    let small = CutRules { bytes: 5000, max_bytes: 10_000, duration: None, ..rules() };
    let units = (0..30).map(|number| video(number, number == 0 || number == 20));
    assert_eq!(begins(small, units), [(0, None), (10, Some(Ending::Limit)), (20, None)]);
}

#[test]
fn pauses_and_clocks_that_were_set_end_a_segment_at_the_next_key_frame() {
    let later = |from: u64, seconds: i64, captured: f64| {
        stream(60, 10).map(move |unit| {
            let is_later = unit.sequence >= from;
            let by = if is_later { seconds * 90_000 } else { 0 };
            let captured = unit.captured + if is_later { captured } else { 0.0 };
            Unit { pts: unit.pts + by, dts: unit.dts + by, captured, ..unit }
        })
    };
    let long = CutRules { duration: None, ..rules() };
    assert_eq!(begins(long, later(10, 3, 3.0)), [(0, None), (10, Some(Ending::Gap))]);
    assert_eq!(begins(long, later(15, 3, 3.0)), [(0, None), (20, Some(Ending::Gap))]);
    assert_eq!(begins(long, later(15, 1, 1.0)), [(0, None)]);
    assert_eq!(begins(long, later(15, 0, 3600.0)), [(0, None), (20, Some(Ending::ClockStep))]);
    assert_eq!(begins(long, later(15, 0, -1.0)), [(0, None), (20, Some(Ending::ClockStep))]);
    assert_eq!(begins(long, later(15, 0, 0.3)), [(0, None)]);
}

#[test]
fn a_new_session_and_new_parameter_sets_end_a_segment() {
    let long = CutRules { duration: None, ..rules() };
    let session = |unit: Unit| {
        let session = if unit.sequence < 20 { "a" } else { "b" }.to_owned();
        Unit { session, ..unit }
    };
    assert_eq!(begins(long, stream(40, 10).map(session)), [(0, None), (20, Some(Ending::Session))]);
    let sets = |unit: Unit| match unit.sequence {
        0..30 => unit,
        _ => Unit { sets: Some(Arc::new(ParameterSets::default())), ..unit },
    };
    assert_eq!(begins(long, stream(40, 10).map(sets)), [(0, None), (30, Some(Ending::ParameterSets))]);
}

proptest! {
    #[test]
    fn every_segment_begins_at_a_key_frame_and_none_is_longer_than_needed(
        gops in prop::collection::vec(1..40_u64, 1..30), duration in 1..9_u32, align: bool,
    ) {
        let mut keys = vec![0];
        gops.iter().for_each(|gop| keys.push(keys[keys.len() - 1] + gop));
        let units = (0..*keys.last().unwrap()).map(|number| video(number, keys.contains(&number)));
        // Halves are exact in binary.
        let seconds = f64::from(duration) / 2.0;
        let found = begins(CutRules { duration: Some(seconds), align, ..rules() }, units);
        for (at, (number, _)) in found.iter().enumerate() {
            prop_assert!(keys.contains(number));
            let end = found.get(at + 1).map_or(*keys.last().unwrap(), |next| next.0);
            // No key frame within the segment could have begun the next one.
            for key in keys.iter().filter(|key| (*number + 1..end).contains(key)) {
                let captured = |number: u64| START + number as f64 / 10.0;
                if align {
                    let minute = |number| (captured(number) / seconds).floor();
                    prop_assert_eq!(minute(*number), minute(*key));
                } else {
                    prop_assert!(((key - number) as f64 / 10.0) < seconds);
                }
            }
        }
    }
}
