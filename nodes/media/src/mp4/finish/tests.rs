use std::io::Cursor;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::boxes::box_at;
use super::super::{FragmentSample, FragmentTrack, FragmentWriter, SampleInfo, TrackFormat, TrackRun};
use super::*;
use crate::access_unit::Codec;
use std::num::NonZeroU32;

const ROOM: u32 = 4096;

fn metadata() -> SegmentMetadata {
    SegmentMetadata { ending: "full".to_owned(), ..SegmentMetadata::default() }
}

fn tail() -> Vec<u8> {
    let mut tail = Vec::new();
    metadata().append_to(&mut tail);
    tail
}

fn tracks() -> Vec<FragmentTrack> {
    let rate = NonZeroU32::new(8000).unwrap();
    let video = TrackFormat::video(Codec::Jpeg, None, &[], Some((64, 48))).unwrap();
    let audio = TrackFormat::audio(Codec::Pcmu, None, rate, 1).unwrap();
    vec![FragmentTrack { format: video, media_time: 3000 }, FragmentTrack { format: audio, media_time: 0 }]
}

fn sample(number: u8, size: usize) -> FragmentSample {
    FragmentSample {
        data: Bytes::from(vec![number; size]),
        duration: 9000,
        composition_offset: if number.is_multiple_of(2) { 3000 } else { 0 },
        key: number.is_multiple_of(5),
    }
}

/// A fragmented file; of each fragment the sizes of the pictures and the bytes of sound.
fn written(room: u32, fragments: &[(Vec<usize>, usize)]) -> (Vec<u8>, Vec<FragmentSample>) {
    let mut writer = FragmentWriter::new(tracks());
    let mut file =
        writer.head(Duration::from_secs(1_700_000_000), room, &boxes::uuid_box([7; 16], b"x")).unwrap();
    let (mut all, mut sound) = (Vec::new(), 160);
    for (pictures, bytes) in fragments {
        let decode_time = all.len() as u64 * 9000;
        let samples: Vec<_> = (all.len()..).zip(pictures).map(|(at, size)| sample(at as u8, *size)).collect();
        all.extend(samples.iter().cloned());
        let of_sound =
            FragmentSample { data: vec![0xff; *bytes].into(), duration: 0, composition_offset: 0, key: true };
        let runs = [
            TrackRun { track: 0, decode_time, samples },
            TrackRun { track: 1, decode_time: sound, samples: vec![of_sound] },
        ];
        sound += *bytes as u64;
        file.extend(writer.fragment(&runs).unwrap());
        runs.iter().flat_map(|run| &run.samples).for_each(|sample| file.extend_from_slice(&sample.data));
    }
    (file, all)
}

/// The types of the boxes at the top of the file.
fn layout(file: &[u8]) -> Vec<String> {
    let (mut place, mut kinds) = (0, Vec::new());
    while let Some(found) = box_at(&mut Cursor::new(file), place, file.len() as u64).unwrap() {
        assert!(found.end <= file.len() as u64, "{found:?}");
        kinds.push(String::from_utf8_lossy(&found.kind).into_owned());
        place = found.end;
    }
    assert_eq!(place, file.len() as u64);
    kinds
}

/// The pictures of an indexed file, read by another library.
fn pictures(file: &[u8]) -> Vec<(SampleInfo, Vec<u8>)> {
    use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};
    let mut demuxer = Mp4FileDemuxer::new();
    while let Some(needed) = demuxer.required_input() {
        let start = needed.position as usize;
        let end = needed.size.map_or(file.len(), |size| (start + size).min(file.len()));
        demuxer.handle_input(Input { position: needed.position, data: &file[start..end] });
    }
    let mut found = Vec::new();
    while let Some(sample) = demuxer.next_sample().unwrap() {
        if sample.track.kind != shiguredo_mp4::TrackKind::Video {
            continue;
        }
        let start = sample.data_offset as usize;
        let info = SampleInfo {
            size: sample.data_size as u32,
            duration: sample.duration,
            composition_offset: sample.composition_time_offset.unwrap_or(0) as i32,
            key: sample.keyframe,
        };
        found.push((info, file[start..start + sample.data_size].to_vec()));
    }
    found
}

fn expected(samples: &[FragmentSample]) -> Vec<(SampleInfo, Vec<u8>)> {
    let info = |sample: &FragmentSample| SampleInfo {
        size: sample.data.len() as u32,
        duration: sample.duration,
        composition_offset: sample.composition_offset,
        key: sample.key,
    };
    samples.iter().map(|sample| (info(sample), sample.data.to_vec())).collect()
}

fn finished(file: Vec<u8>) -> Result<Vec<u8>, Error> {
    let mut file = Cursor::new(file);
    let bytes = finish(&mut file, Extent::Readable, &tail())?.bytes;
    assert_eq!(bytes, file.get_ref().len() as u64);
    Ok(file.into_inner())
}

#[test]
fn the_index_comes_first_and_the_file_keeps_its_samples() {
    let (open, samples) = written(ROOM, &[(vec![10, 20, 30], 800), (vec![5], 0), (vec![40, 1], 160)]);
    assert_eq!(layout(&open)[..6], ["ftyp", "free", "uuid", "moov", "moof", "mdat"]);
    let file = finished(open).unwrap();
    assert_eq!(layout(&file), ["ftyp", "moov", "free", "mdat", "uuid"]);
    assert_eq!(pictures(&file), expected(&samples));
    assert_eq!(SegmentMetadata::read(&file), Some(metadata()));
    assert!(matches!(finished(file), Err(Error::Indexed)));
}

#[test]
fn only_a_dead_writers_file_is_cut_off() {
    let (mut open, _) = written(ROOM, &[(vec![10, 20], 80), (vec![30], 80), (vec![40], 80)]);
    let second = open.windows(4).enumerate().filter(|(_, kind)| kind == b"tfhd").nth(2).unwrap().0;
    open[second] = 0;
    let mut file = Cursor::new(open.clone());
    let refused = finish(&mut file, Extent::Written(3), &tail());
    assert!(matches!(refused, Err(Error::Unread { read: 1, written: 3 })), "{refused:?}");
    assert_eq!(file.get_ref(), &open);
    assert_eq!(finish(&mut file, Extent::Readable, &tail()).unwrap().fragmented.fragments, 1);
}

#[test]
fn a_fragment_can_have_millions_of_samples_of_sound() {
    let samples = (1 << 20) + 9;
    let (open, _) = written(ROOM, &[(vec![10], samples), (vec![20], 160)]);
    let finished = finish(&mut Cursor::new(open), Extent::Written(2), &[]).unwrap();
    assert_eq!(finished.fragmented.tracks[1].tables.count() as usize, samples + 160);
    let too_many = TrackRun {
        track: 1,
        decode_time: 0,
        samples: vec![FragmentSample {
            data: vec![0; (1 << 23) + 1].into(),
            duration: 0,
            composition_offset: 0,
            key: true,
        }],
    };
    assert!(FragmentWriter::new(tracks()).fragment(&[too_many]).is_err());
}

#[test]
fn a_file_without_room_is_rewritten() {
    let (open, samples) = written(100, &[(vec![10, 20, 30], 800), (vec![40, 1], 160)]);
    assert!(matches!(finished(open.clone()), Err(Error::Room { room: 100, .. })));
    let mut file = Vec::new();
    let bytes = rewrite(&mut Cursor::new(&open), &mut file, Some(&metadata())).unwrap().bytes;
    assert_eq!(bytes, file.len() as u64);
    assert_eq!(layout(&file), ["ftyp", "moov", "mdat", "uuid"]);
    assert_eq!(pictures(&file), expected(&samples));
}

#[test]
fn sound_that_begins_later_is_delayed() {
    let (open, _) = written(ROOM, &[(vec![10, 20], 800), (vec![30], 800)]);
    let mut file = Cursor::new(open);
    let finished = finish(&mut file, Extent::Written(2), &[]).unwrap();
    let [video, audio] = &finished.fragmented.tracks[..] else { panic!("two tracks") };
    assert_eq!((video.decode_time, audio.decode_time), (Some(0), Some(160)));
    assert_eq!((audio.tables.count(), audio.tables.duration(), audio.tables.bytes()), (1600, 1600, 1600));
    assert_eq!(finished.duration(), Duration::from_millis(300));
}

proptest! {
    /// However a writer is killed, what is whole is kept.
    #[test]
    fn a_file_that_is_cut_off_has_its_whole_fragments(
        fragments in prop::collection::vec((prop::collection::vec(1..50usize, 1..4), 0..40usize), 1..5),
        cut in 0.0..1.0f64,
    ) {
        let (open, samples) = written(ROOM, &fragments);
        // The ends of the fragments.
        let ends: Vec<usize> = (0..=fragments.len()).map(|n| written(ROOM, &fragments[..n]).0.len()).collect();
        let cut = (open.len() as f64 * cut) as usize;
        let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
        let kept: usize = fragments[..whole].iter().map(|(pictures, _)| pictures.len()).sum();
        match finished(open[..cut].to_vec()) {
            Ok(file) => prop_assert_eq!(pictures(&file), expected(&samples[..kept])),
            Err(Error::Format(_) | Error::Io(_)) => prop_assert_eq!(kept, 0),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn damaged_files_are_accepted(position in 0.0..1.0f64, value in any::<u8>(), tail in prop::collection::vec(any::<u8>(), 0..40)) {
        let (mut open, _) = written(ROOM, &[(vec![10, 20], 80), (vec![30], 80)]);
        let position = (open.len() as f64 * position) as usize;
        open[position] = value;
        open.extend(tail);
        let _ = finished(open);
    }
}
