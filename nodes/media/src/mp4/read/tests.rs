use std::io::Cursor;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::boxes::whole;
use super::super::{
    Extent, FragmentSample, FragmentTrack, FragmentWriter, TrackFormat, TrackRun, finish, former_heads,
    rewrite,
};
use super::*;
use crate::access_unit::{Codec, Kind};

fn read_all(bytes: &[u8]) -> Result<Movie, Error> {
    read(&mut Cursor::new(bytes), bytes.len() as u64)
}

/// A fragmented file of JPEG pictures, of which every fifth is a key frame, and sound.
fn fragmented(fragments: u64) -> Vec<u8> {
    let rate = NonZeroU32::new(8000).unwrap();
    let video = TrackFormat::video(Codec::Jpeg, None, &[], Some((64, 48))).unwrap();
    let audio = TrackFormat::audio(Codec::Pcmu, None, rate, 1).unwrap();
    let mut writer = FragmentWriter::new(vec![
        FragmentTrack { format: video, media_time: 3000 },
        FragmentTrack { format: audio, media_time: 0 },
    ]);
    let mut file = writer.head(Duration::from_secs(1_700_000_000), 4096, &[]).unwrap();
    for number in 0..fragments {
        let picture = |at: u64| FragmentSample {
            data: Bytes::from(vec![at as u8; 10 + at as usize]),
            duration: 9000,
            composition_offset: 3000,
            key: at.is_multiple_of(5),
        };
        let sound =
            FragmentSample { data: vec![0xff; 1600].into(), duration: 0, composition_offset: 0, key: true };
        let pictures = TrackRun {
            track: 0,
            decode_time: number * 18_000,
            samples: vec![picture(number * 2), picture(number * 2 + 1)],
        };
        let runs = [pictures, TrackRun { track: 1, decode_time: 800 + number * 1600, samples: vec![sound] }];
        file.extend(writer.fragment(&runs).unwrap());
        runs.iter().flat_map(|run| &run.samples).for_each(|sample| file.extend_from_slice(&sample.data));
    }
    file
}

fn metadata() -> SegmentMetadata {
    SegmentMetadata {
        ending: "gap".to_owned(),
        frames_lost_before: 1,
        frames_lost_within: 2,
        ..SegmentMetadata::default()
    }
}

fn finished(fragments: u64) -> Vec<u8> {
    let mut file = Cursor::new(fragmented(fragments));
    let mut tail = Vec::new();
    metadata().append_to(&mut tail);
    finish(&mut file, Extent::Written(fragments), &tail).unwrap();
    file.into_inner()
}

/// What a reader can tell of the samples.
fn samples(movie: &Movie) -> Vec<Vec<(u64, super::super::SampleInfo)>> {
    movie.tracks.iter().map(|track| track.tables.placed().collect()).collect()
}

#[test]
fn an_indexed_file_has_the_samples_of_the_fragments() {
    let (open, done) = (fragmented(6), finished(6));
    let (before, after) = (read_all(&open).unwrap(), read_all(&done).unwrap());
    assert_eq!((&before.faults[..], &after.faults[..]), (&[][..], &[][..]));
    assert_eq!(samples(&before), samples(&after));
    assert_eq!((before.fragments, before.is_fragmented, before.is_index_first), (6, true, Some(true)));
    assert_eq!((after.fragments, after.is_fragmented, after.is_index_first), (0, false, Some(true)));
    assert_eq!((before.metadata, after.metadata.as_ref()), (None, Some(&metadata())));
    assert_eq!(after.created, Some(Duration::from_secs(1_700_000_000)));
    assert_eq!((&after.brands[0], after.end), (b"isom", done.len() as u64));
    let heads = |file: &[u8]| former_heads(&mut Cursor::new(file), &read_all(file).unwrap()).unwrap();
    assert!(after.unindexed_bytes() > 0, "the heads of the fragments");
    assert_eq!(heads(&done), after.unindexed_bytes());
    let [video, audio] = &after.tracks[..] else { panic!("two tracks") };
    assert_eq!((video.tables.count(), video.tables.keys(), audio.tables.count()), (12, 3, 9600));
    assert_eq!((video.format.coded_size(), video.format.codec_name()), (Some((64, 48)), Some("jpeg")));
    assert_eq!((video.format.codec_string(), audio.format.codec_string()), ("mp4v.6c".into(), "ulaw".into()));
    assert_eq!((audio.format.sampling_rate(), audio.format.channels()), (Some(8000), Some(1)));
    assert_eq!((video.format.kind(), &audio.handler), (Kind::Video, b"soun"));
    let mut damaged = done;
    let last = damaged.windows(4).rposition(|kind| kind == b"moof").unwrap();
    damaged[last..last + 4].copy_from_slice(b"lost");
    assert!((1..after.unindexed_bytes()).contains(&heads(&damaged)), "not all are heads");
}

#[test]
fn a_file_that_is_no_mp4_is_refused() {
    for bytes in
        [&b""[..], b"short", b"\x47\x40\x00\x10 a transport stream", &[0; 100], b"{\"frame_ids\": []}"]
    {
        assert!(matches!(read_all(bytes), Err(Error::Format(_))), "{bytes:?}");
    }
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let open = fragmented(3);
    let faults = |bytes: &[u8]| read_all(bytes).unwrap().faults;
    let cut = &open[..open.len() - 5];
    assert_eq!(faults(cut), [Fault::CutOff { kind: *b"mdat", missing: 5 }]);
    assert_eq!(read_all(cut).unwrap().fragments, 2);
    assert_eq!(faults(&[&open[..], &[0; 20]].concat()), [Fault::Trailing { bytes: 20 }]);
    let without = [whole(*b"ftyp", b"isom\0\0\0\0"), whole(*b"mdat", &[7; 100])].concat();
    assert_eq!(faults(&without), [Fault::NoIndex]);
    assert_eq!(read_all(&without).unwrap().unindexed_bytes(), 100);
    let empty = [whole(*b"moov", &[]), whole(*b"mdat", &[7; 100])].concat();
    assert!(matches!(faults(&empty)[..], [Fault::Index(_)]));
}

#[test]
fn an_indexed_file_that_is_cut_off_is_rewritten_with_the_samples_that_are_there() {
    let done = finished(6);
    let whole = read_all(&done).unwrap();
    assert!(matches!(rewrite(&mut Cursor::new(&done), &mut Vec::new(), None), Err(Error::Indexed)));
    // Behind the third fragment.
    let place = whole.tracks[0].tables.placed().nth(6).unwrap().0;
    let cut = &done[..place as usize + 1];
    let missing = read_all(cut).unwrap().faults;
    assert!(missing.contains(&Fault::SamplesMissing { track: 1, missing: 6, samples: 12 }), "{missing:?}");
    let mut out = Vec::new();
    rewrite(&mut Cursor::new(cut), &mut out, None).unwrap();
    let kept = read_all(&out).unwrap();
    assert_eq!(kept.faults, []);
    assert_eq!((kept.tracks[0].tables.count(), kept.tracks[1].tables.count()), (6, 4800));
    let bytes = |file: &[u8], movie: &Movie| {
        let picture = |(place, sample): (u64, super::super::SampleInfo)| {
            file[place as usize..][..sample.size as usize].to_vec()
        };
        movie.tracks[0].tables.placed().take(6).map(picture).collect::<Vec<_>>()
    };
    assert_eq!(bytes(&out, &kept), bytes(&done, &whole));
}

/// The content of a `trak` box with these tables.
fn trak(tables: &[Vec<u8>]) -> Vec<u8> {
    let header = whole(*b"tkhd", &[&[0; 12][..], &7_u32.to_be_bytes(), &[0; 68]].concat());
    let clock = whole(*b"mdhd", &[&[0; 12][..], &1000_u32.to_be_bytes(), &[0; 8]].concat());
    let handler = whole(*b"hdlr", &[&[0; 8][..], b"vide", &[0; 13]].concat());
    let stsd = whole(*b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &whole(*b"test", &[0; 78])].concat());
    let stbl = whole(*b"stbl", &[&[stsd][..], tables].concat().concat());
    let media = whole(*b"mdia", &[clock, handler, whole(*b"minf", &stbl)].concat());
    [header, media].concat()
}

/// A table with these numbers behind its version and flags.
fn table(kind: &[u8; 4], numbers: &[u32]) -> Vec<u8> {
    let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
    whole(*kind, &[0; 4].into_iter().chain(numbers).collect::<Vec<_>>())
}

fn file_of(tables: &[Vec<u8>]) -> Vec<u8> {
    let header = whole(*b"mvhd", &[&[0; 12][..], &1000_u32.to_be_bytes(), &[0; 84]].concat());
    let moov = whole(*b"moov", &[header, whole(*b"trak", &trak(tables))].concat());
    [moov, whole(*b"mdat", &[0; 500])].concat()
}

#[test]
fn tables_that_claim_too_much_cost_nothing() {
    const MANY: u32 = u32::MAX;
    let chunks = [table(b"stsc", &[1, 1, MANY, 1]), table(b"stco", &[1, 400])];
    let times = table(b"stts", &[1, MANY, MANY]);
    let read_with = |sizes: Vec<u8>| {
        let file = file_of(&[&chunks[..], &[times.clone(), sizes]].concat());
        let movie = read_all(&file).unwrap();
        let [track] = &movie.tracks[..] else { panic!("{:?}", movie.faults) };
        (track.tables.count(), movie.timing(track).shown, movie.faults.len())
    };
    let (count, shown, faults) = read_with(table(b"stsz", &[1, MANY]));
    assert!((400..2000).contains(&count) && shown == count && faults == 2, "{count} {shown} {faults}");
    assert_eq!(read_with(table(b"stsz", &[0, MANY, 7, 8])), (2, 2, 1), "the sizes that are there");
    assert_eq!(read_with(table(b"stsz", &[MANY, MANY])), (0, 0, 1));
    assert_eq!(read_with(table(b"stz2", &[4, 3, 0x1230_0000])).0, 3);
    assert_eq!(read_with(table(b"stz2", &[16, 3, 0x0001_0002, 0x0003_0000])).0, 3);
    assert_eq!(read_with(vec![]), (0, 0, 0));
}

#[test]
fn runs_of_fragments_that_claim_too_much_are_refused() {
    let mut file = fragmented(2);
    let place = file.windows(4).rposition(|kind| kind == b"trun").unwrap();
    // The sound has no bytes of its own in the run.
    file[place + 8..place + 12].copy_from_slice(&u32::MAX.to_be_bytes());
    let movie = read_all(&file).unwrap();
    assert_eq!(movie.fragments, 1);
    assert!(matches!(movie.faults[..], [Fault::Fragment(_)]));
}

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let base = prop_oneof![Just(fragmented(4)), Just(finished(4))];
    let values = prop_oneof![Just(0_u8), Just(1), Just(0x7f), Just(0xff), any::<u8>()];
    (base, prop::collection::vec((0.0..1.0f64, values, 1..9_usize), 1..6), 0.0..2.0f64).prop_map(
        |(mut file, changes, cut)| {
            for (place, value, count) in changes {
                // Most of the file is samples, and its indexes are what can be damaged.
                let place = (file.len() as f64 * place.powi(3)) as usize;
                file.iter_mut().skip(place).take(count).for_each(|byte| *byte = value);
            }
            file.truncate((file.len() as f64 * cut) as usize);
            file
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn damaged_files_are_read_and_rewritten(file in damaged()) {
        let Ok(movie) = read_all(&file) else { return Ok(()) };
        for track in &movie.tracks {
            let timing = movie.timing(track);
            prop_assert!(u64::from(timing.shown) <= file.len() as u64);
            prop_assert_eq!(track.tables.placed().count(), track.tables.count() as usize);
            let _ = (track.format.codec_string(), track.format.codec_name(), track.format.coded_size());
            let _ = (track.format.channels(), track.format.sampling_rate());
        }
        let heads = former_heads(&mut Cursor::new(&file), &movie).unwrap();
        prop_assert!(heads <= file.len() as u64);
        let mut out = Vec::new();
        if rewrite(&mut Cursor::new(&file), &mut out, None).is_ok() {
            prop_assert!(read_all(&out).is_ok());
        }
    }

    #[test]
    fn the_tables_of_an_index_are_those_that_were_written(fragments in 1..20_u64) {
        let movie = read_all(&finished(fragments)).unwrap();
        prop_assert_eq!(movie.tracks[0].tables.count(), fragments as u32 * 2);
        prop_assert_eq!(movie.tracks[0].tables.whole_within(movie.length), fragments as u32 * 2);
        prop_assert_eq!(movie.tracks[0].tables.first(3).count(), (fragments as u32 * 2).min(3));
    }
}
