use super::*;
use crate::container::Container;
use crate::cuts::CutRules;
use crate::sink::Sink;
use crate::testing::{START, audio, video};
use bytes::Bytes;
use msight_media::Codec;
use msight_media::intervals::PauseLimit;
use msight_media::mp4::box_at;
use msight_node::health::Health;
use msight_node::metrics::Metrics;
use proptest::prelude::*;
use std::io::Cursor;

fn segmenter(duration: f64) -> Segmenter {
    let cuts = CutRules {
        duration: Some(duration),
        align: false,
        bytes: u64::MAX,
        max_bytes: u64::MAX,
        max_gap: PauseLimit::AtLeast(2.0),
    };
    let rules = WriteRules { container: Container::Mp4, fragment: 0.4, sync: false, room: 60.0 };
    let identity = SensorIdentity { sensor: Some("gate".to_owned()), device: "edge1".to_owned() };
    let files = Files::new(None, Container::Mp4, Health::default());
    let idle = PauseLimit::AtLeast(5.0);
    Segmenter::new(identity, cuts, rules, idle, files, "gate", Arc::new(Counts::new(&Metrics::default())))
}

/// A picture whose data is its number. JPEG needs no parameter sets.
fn picture(number: u64, key: bool) -> Unit {
    Unit { codec: Codec::Jpeg, sets: None, data: marker(b'v', number), ..video(number, key) }
}

fn sound(number: u64) -> Unit {
    Unit { data: marker(b'a', number), ..audio(number) }
}

fn marker(kind: u8, number: u64) -> Bytes {
    let mut bytes = vec![kind; 8];
    bytes.extend(number.to_be_bytes());
    bytes.extend(vec![kind; 16]);
    bytes.into()
}

/// The numbers of the units of a kind in a segment, by their markers in its data.
fn numbers(segment: &Ended, kind: u8) -> Vec<u64> {
    let Sink::Memory(file) = &segment.sink else { panic!("in memory") };
    let bytes = file.get_ref();
    let mut numbers = Vec::new();
    let mut at = 0;
    let edge = [kind; 8];
    while at + 32 <= bytes.len() {
        if bytes[at..].starts_with(&edge) && bytes[at + 16..at + 32] == [kind; 16] {
            numbers.push(u64::from_be_bytes(bytes[at + 8..at + 16].try_into().unwrap()));
            at += 32;
        } else {
            at += 1;
        }
    }
    numbers
}

fn record(duration: f64, units: impl IntoIterator<Item = Unit>) -> Vec<Ended> {
    let (mut segmenter, mut ended) = (segmenter(duration), Vec::new());
    units.into_iter().for_each(|unit| segmenter.push(unit, &mut ended));
    segmenter.end(Ending::Stop, &mut ended);
    ended
}

#[test]
fn each_segment_has_its_index_first() {
    let ended = record(1.0, (0..40).map(|number| picture(number, number % 10 == 0)));
    assert_eq!(
        ended.iter().map(|segment| segment.ending).collect::<Vec<_>>(),
        [Ending::Duration, Ending::Duration, Ending::Duration, Ending::Stop]
    );
    for segment in &ended {
        let Sink::Memory(file) = &segment.sink else { panic!("in memory") };
        let bytes = file.get_ref();
        let first = box_at(&mut Cursor::new(bytes), 0, bytes.len() as u64).unwrap().unwrap();
        let second = box_at(&mut Cursor::new(bytes), first.end, bytes.len() as u64).unwrap().unwrap();
        assert_eq!((&first.kind, &second.kind), (b"ftyp", b"moov"));
    }
}

#[test]
fn sound_before_the_first_picture_of_a_segment_belongs_to_the_one_before() {
    // Sound comes half a second ahead of the pictures, and then half a second behind them.
    for lag in [-25_i64, 0, 25] {
        let mut units: Vec<(i64, Unit)> = Vec::new();
        units.extend((0..100).map(|number| (number * 5, picture(number as u64, number % 10 == 0))));
        units.extend((0..500).map(|number| (number + lag, sound(number as u64))));
        units.sort_by_key(|(time, unit)| (*time, unit.track.clone()));
        let ended = record(2.0, units.into_iter().map(|(_, unit)| unit));
        assert_eq!(ended.len(), 5, "lag {lag}");
        for (at, segment) in ended.iter().enumerate() {
            let first = at as u64;
            assert_eq!(numbers(segment, b'v'), (first * 20..first * 20 + 20).collect::<Vec<_>>());
            assert_eq!(
                numbers(segment, b'a'),
                (first * 100..first * 100 + 100).collect::<Vec<_>>(),
                "lag {lag}"
            );
            assert_eq!(segment.origin.start, START + 2.0 * at as f64);
        }
    }
}

#[test]
fn sound_alone_is_recorded_and_video_that_begins_later_begins_a_segment() {
    let ended = record(2.0, (0..500).map(sound));
    assert_eq!(ended.len(), 5);
    let all: Vec<u64> = ended.iter().flat_map(|segment| numbers(segment, b'a')).collect();
    assert_eq!(all, (0..500).collect::<Vec<_>>());

    let mut units: Vec<_> = (0..400).map(sound).collect();
    units.extend((50..80).map(|number| picture(number, number % 10 == 0)));
    units.sort_by(|one, other| one.captured.total_cmp(&other.captured));
    let ended = record(60.0, units);
    assert_eq!(
        ended.iter().map(|segment| segment.ending).collect::<Vec<_>>(),
        [Ending::Tracks, Ending::Stop]
    );
    let pictures: Vec<u64> = ended.iter().flat_map(|segment| numbers(segment, b'v')).collect();
    let all: Vec<u64> = ended.iter().flat_map(|segment| numbers(segment, b'a')).collect();
    assert_eq!((pictures, all), ((50..80).collect(), (0..400).collect()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_unit_between_two_segments_is_lost_or_repeated(
        gops in prop::collection::vec(1..12_u64, 2..12), duration in 3..30_u32, lag in -40..40_i64,
        jitter in prop::collection::vec(0..5_i64, 64), sessions in 1..4_u64,
    ) {
        let mut keys = vec![0];
        gops.iter().for_each(|gop| keys.push(keys[keys.len() - 1] + gop));
        let count = *keys.last().unwrap();
        let mut units: Vec<(i64, Unit)> = Vec::new();
        units.extend((0..count).map(|number| (number as i64 * 5 + jitter[number as usize % 64], picture(number, keys.contains(&number)))));
        units.extend((0..count * 5).map(|number| (number as i64 + lag, sound(number))));
        units.sort_by_key(|(time, _)| *time);
        // Each track keeps its own order.
        let mut all = Vec::new();
        for session in 0..sessions {
            let of = |unit: &Unit| Unit { session: session.to_string(), ..unit.clone() };
            let (mut pictures, mut sounds): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
            for (_, unit) in &units {
                if unit.kind() == Kind::Video { pictures.push(of(unit)) } else { sounds.push(of(unit)) }
            }
            pictures.sort_by_key(|unit| unit.dts);
            sounds.sort_by_key(|unit| unit.dts);
            let (mut pictures, mut sounds) = (pictures.into_iter(), sounds.into_iter());
            for (_, unit) in &units {
                all.extend(if unit.kind() == Kind::Video { pictures.next() } else { sounds.next() });
            }
        }
        let ended = record(f64::from(duration) / 10.0, all);
        for (kind, expected) in [(b'v', count), (b'a', count * 5)] {
            let found: Vec<u64> = ended.iter().flat_map(|segment| numbers(segment, kind)).collect();
            let sent: Vec<u64> = (0..sessions).flat_map(|_| 0..expected).collect();
            prop_assert_eq!(found, sent);
        }
        for segment in &ended {
            prop_assert!(keys.contains(&numbers(segment, b'v')[0]));
        }
    }
}

#[test]
fn a_flush_between_two_units_leaves_room_for_another_track() {
    let (mut segmenter, mut ended) = (segmenter(60.0), Vec::new());
    for number in 0..30 {
        segmenter.push(picture(number, number == 0), &mut ended);
        if number == 11 {
            // The segment has begun, and its only ready units are written.
            segmenter.flush(&mut ended);
            segmenter.flush(&mut ended);
        }
    }
    segmenter.end(Ending::Stop, &mut ended);
    assert_eq!(numbers(&ended[0], b'v'), (0..30).collect::<Vec<_>>());
}

#[test]
fn a_clock_that_goes_back_does_not_part_sound_from_its_picture() {
    let back = |unit: Unit, since: f64| {
        let captured = if unit.captured >= since { unit.captured - 3600.0 } else { unit.captured };
        Unit { captured, ..unit }
    };
    let mut units: Vec<_> = (0..100).map(|number| picture(number, number % 10 == 0)).collect();
    units.extend((0..500).map(sound));
    units.sort_by(|one, other| one.captured.total_cmp(&other.captured));
    let ended = record(2.0, units.into_iter().map(|unit| back(unit, START + 5.0)));
    assert_eq!(ended.iter().filter(|segment| segment.ending == Ending::ClockStep).count(), 1);
    let pictures: Vec<u64> = ended.iter().flat_map(|segment| numbers(segment, b'v')).collect();
    assert_eq!(pictures, (0..100).collect::<Vec<_>>());
    for segment in &ended[3..] {
        // Five units of sound for each picture.
        let (first, last) = (numbers(segment, b'v')[0], numbers(segment, b'v').len() as u64);
        assert_eq!(numbers(segment, b'a'), (first * 5..(first + last) * 5).collect::<Vec<_>>());
    }
}

#[test]
fn sound_is_recorded_on_while_no_video_comes() {
    let (mut segmenter, mut ended) = (segmenter(60.0), Vec::new());
    let mut units: Vec<_> = (0..20).map(|number| picture(number, number == 0)).collect();
    // The first pictures after the pause continue a key frame that was recorded before it.
    units.extend((300..330).map(|number| picture(number, number == 310)));
    units.extend((0..1650).map(sound));
    units.sort_by(|one, other| one.captured.total_cmp(&other.captured));
    let mut written = 0;
    for unit in units {
        if (3.0..6.0).contains(&(unit.captured - START)) {
            let segment = segmenter.current.as_ref().unwrap();
            written = segment.unwritten.1.max(written);
        }
        segmenter.push(unit, &mut ended);
    }
    assert!(written < 200, "{written} units of sound wait");
    segmenter.end(Ending::Stop, &mut ended);
    assert_eq!(
        ended.iter().map(|segment| segment.ending).collect::<Vec<_>>(),
        [Ending::Gap, Ending::Tracks, Ending::Stop]
    );
    let all = |kind| ended.iter().flat_map(|segment| numbers(segment, kind)).collect::<Vec<_>>();
    assert_eq!(all(b'a'), (0..1650).collect::<Vec<_>>());
    assert_eq!(all(b'v'), (0..20).chain(310..330).collect::<Vec<_>>());
}

#[test]
fn sound_from_before_a_segment_is_not_moved_into_it() {
    let mut units: Vec<_> = (0..10).map(|number| picture(number, number == 0)).collect();
    units.extend((0..50).map(sound));
    units.sort_by(|one, other| one.captured.total_cmp(&other.captured));
    // After a pause of the camera, the sound is half a second late.
    units.push(picture(100, true));
    units.extend((475..550).map(sound));
    let ended = record(60.0, units);
    assert_eq!(ended[0].ending, Ending::Gap);
    assert_eq!(numbers(&ended[1], b'a'), (500..550).collect::<Vec<_>>());
}

#[test]
fn a_part_of_a_sample_costs_the_unit_alone() {
    let odd = |number| Unit { codec: Codec::L16, data: vec![b'x'; 33].into(), ..sound(number) };
    let mut units: Vec<_> = (0..20).map(|number| picture(number, number == 0)).collect();
    units.extend((0..100).map(|number| Unit { codec: Codec::L16, ..sound(number) }));
    units.extend((0..100).map(odd));
    units.sort_by(|one, other| one.captured.total_cmp(&other.captured));
    let ended = record(60.0, units);
    assert_eq!(numbers(&ended[0], b'v'), (0..20).collect::<Vec<_>>());
    assert_eq!(numbers(&ended[0], b'a'), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_clock_that_stands_still_does_not_fill_the_memory() {
    let (mut segmenter, mut ended) = (segmenter(60.0), Vec::new());
    for number in 0..100 {
        let pictures = Unit { dts: 0, pts: 0, captured: START, ..picture(number, number == 0) };
        segmenter.push(Unit { data: vec![0; 1 << 20].into(), ..pictures }, &mut ended);
        let waiting = segmenter.current.as_ref().map_or(0, |segment| segment.unwritten.0);
        assert!(waiting <= 6 << 20, "{waiting} bytes wait");
    }
    segmenter.end(Ending::Stop, &mut ended);
    assert!(ended[0].bytes > 100 << 20);
}

/// The bus was away for longer than the idle limit: what comes late cannot go into a segment that has ended.
#[test]
fn frames_that_come_after_an_idle_end_are_lost_and_stated() {
    let (mut segmenter, mut ended) = (segmenter(60.0), Vec::new());
    (0..30).for_each(|number| segmenter.push(picture(number, number == 0), &mut ended));
    segmenter.end(Ending::Idle, &mut ended);
    (30..60).for_each(|number| segmenter.push(picture(number, number == 40), &mut ended));
    segmenter.end(Ending::Stop, &mut ended);
    assert_eq!(ended.iter().map(|segment| segment.origin.frames_lost_before).collect::<Vec<_>>(), [0, 10]);
    assert_eq!(numbers(&ended[1], b'v'), (40..60).collect::<Vec<_>>());
}
