use std::io::Cursor;
use std::num::NonZeroU32;

use super::super::boxes::whole;
use super::super::movie::{Edit, MovieTrack, created_at, index};
use super::super::{SampleInfo, TrackFormat, read};
use super::*;
use crate::access_unit::Codec;
use crate::timing::Gap;

/// A file of JPEG pictures with these tables, and the timing of its track.
fn timing_of(format: &TrackFormat, edit: Edit, samples: &[SampleInfo]) -> Timing {
    let mut tables = SampleTables::default();
    samples.iter().for_each(|sample| tables.push(*sample).unwrap());
    let edit = Edit { duration: if edit.duration == 0 { tables.duration() } else { edit.duration }, ..edit };
    let created = created_at(std::time::Duration::ZERO);
    let moov = index(created, &[MovieTrack { format, edit, tables: &tables }], 0).unwrap();
    let file = [moov, whole(*b"mdat", &[0; 5000])].concat();
    let movie = read(&mut Cursor::new(&file), file.len() as u64).unwrap();
    movie.timing(&movie.tracks[0])
}

fn pictures() -> TrackFormat {
    TrackFormat::video(Codec::Jpeg, None, &[], Some((64, 48))).unwrap()
}

fn sound() -> TrackFormat {
    TrackFormat::audio(Codec::Opus, None, NonZeroU32::new(48_000).unwrap(), 1).unwrap()
}

fn sample(duration: u32, composition_offset: i32, key: bool) -> SampleInfo {
    SampleInfo { size: 10, duration, composition_offset, key }
}

#[test]
fn rates_and_key_frames_are_counted() {
    let samples: Vec<_> = (0..20).map(|at| sample(9000, 0, at % 8 == 0)).collect();
    let timing = timing_of(&pictures(), Edit::default(), &samples);
    assert_eq!((timing.shown, timing.duration), (20, 2.0));
    assert!((timing.rate().unwrap() - 10.0).abs() < 1e-9);
    let keys = timing.key_distances.unwrap();
    assert_eq!((keys.min, keys.mean, keys.max), (8.0, 8.0, 8.0));
    assert_eq!(timing.key_intervals.unwrap().max, 0.8);
    assert_eq!((timing.gap_count, timing.start, timing.end), (0, 0.0, 2.0));
}

#[test]
fn a_gap_is_found_where_it_is() {
    let samples: Vec<_> = (0..20).map(|at| sample(if at == 4 { 45_000 } else { 9000 }, 0, true)).collect();
    let edit = Edit { delay: 90_000, ..Edit::default() };
    let timing = timing_of(&pictures(), edit, &samples);
    assert_eq!(timing.gaps, [Gap { start: 1.4, duration: 0.5 }]);
    assert_eq!(timing.spans[0], Span { start: 0.0, end: 1.0, media_time: None });
    assert_eq!((timing.start, timing.end), (1.0, 3.4));
    let samples: Vec<_> = (0..20).map(|at| sample(if at == 4 { 48_000 } else { 960 }, 0, true)).collect();
    let timing = timing_of(&sound(), Edit::default(), &samples);
    assert_eq!(timing.gaps, [Gap { start: 0.08, duration: 1.0 }]);
}

#[test]
fn samples_outside_of_the_edit_are_hidden() {
    let samples: Vec<_> = (0..20).map(|at| sample(9000, 0, at == 0)).collect();
    let edit = Edit { delay: 0, media_time: 27_000, duration: 90_000 };
    let timing = timing_of(&pictures(), edit, &samples);
    assert_eq!((timing.hidden_before, timing.shown, timing.hidden_after), (3, 10, 7));
    assert_eq!((timing.start, timing.end, timing.duration), (0.0, 1.0, 1.0));
    let samples: Vec<_> = (0..20).map(|_| sample(960, 0, true)).collect();
    // A sound is hidden if all of it is outside.
    let edit = Edit { delay: 0, media_time: 1000, duration: 9600 };
    let timing = timing_of(&sound(), edit, &samples);
    assert_eq!((timing.hidden_before, timing.shown, timing.hidden_after), (1, 11, 8));
}

/// Pictures that refer to later ones: I P B B, shown as I B B P.
#[test]
fn pictures_in_another_order_are_all_shown() {
    let offsets = [2, 4, 1, 1].into_iter().cycle().take(16);
    let samples: Vec<_> = offsets.enumerate().map(|(at, off)| sample(3000, off * 3000, at == 0)).collect();
    let edit = Edit { delay: 0, media_time: 6000, duration: 0 };
    let timing = timing_of(&pictures(), edit, &samples);
    assert_eq!((timing.hidden_before, timing.shown, timing.hidden_after), (0, 16, 0));
    assert_eq!(timing.rate().map(f64::round), Some(30.0));
}

#[test]
fn a_track_without_samples_has_a_timing() {
    for format in [pictures(), sound()] {
        let timing = timing_of(&format, Edit::default(), &[]);
        assert_eq!((timing.shown, timing.rate(), timing.intervals), (0, None, None));
    }
}
