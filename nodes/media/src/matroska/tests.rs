use std::io::Cursor;

use bytes::Bytes;
use proptest::prelude::*;
use webm_iterable::WebmIterator;

use super::*;
use crate::ParameterSets;

/// Baseline profile, 320x240 pixels.
fn video() -> TrackFormat {
    let sps = [0x67, 0x42, 0xc0, 0x1e, 0xda, 0x05, 0x07, 0xe4];
    let sets = [Bytes::copy_from_slice(&sps), Bytes::from_static(&[0x68, 0xce, 0x38, 0x80])];
    TrackFormat::video(Codec::H264, Some(&ParameterSets::new(sets.to_vec())), &[], None).unwrap()
}

fn sound() -> TrackFormat {
    TrackFormat::audio(Codec::Pcma, None, 8_000.try_into().unwrap(), 1).unwrap()
}

fn track(codec: Codec, format: &TrackFormat) -> Track<'_> {
    Track { codec, format, channels: 1 }
}

fn patched(mut file: Vec<u8>, patches: Vec<Patch>) -> Vec<u8> {
    for Patch { offset, bytes } in patches {
        file[offset as usize..][..bytes.len()].copy_from_slice(&bytes);
    }
    file
}

/// The id and length of each element in some bytes, and its place.
fn elements(bytes: &[u8]) -> Vec<MatroskaSpec> {
    WebmIterator::new(Cursor::new(bytes), &[]).map(|element| element.unwrap()).collect()
}

#[test]
fn the_parts_are_where_the_lists_say() {
    let (video, sound) = (video(), sound());
    let tracks = [track(Codec::H264, &video), track(Codec::Pcma, &sound)];
    let mut file = Vec::new();
    let mut writer = MatroskaWriter::new(&tracks, &mut file).unwrap();
    for frame in 0..100 {
        let (pts, key) = (frame * 3_600, frame % 25 == 0);
        let unit = Unit { data: &[0, 0, 0, 2, 0x65, 0x88], parameter_sets: None, pts, dts: pts, key };
        writer.write(0, &unit, &mut file).unwrap();
        let sound = Unit { data: &[0xd5; 320], key: true, ..unit };
        writer.write(1, &sound, &mut file).unwrap();
    }
    let patches = writer.finish(&mut file).unwrap();
    let open = file.clone();
    let file = patched(file, patches);
    assert_eq!(whole_length(&mut Cursor::new(&open)).unwrap(), Some(open.len() as u64));
    assert_eq!(whole_length(&mut Cursor::new(&file)).unwrap(), Some(file.len() as u64));

    let (mut places, mut clusters, mut times, mut blocks, mut duration) = (vec![], vec![], vec![], 0, None);
    for element in elements(&file) {
        match element {
            MatroskaSpec::SeekPosition(place) => places.push(place),
            MatroskaSpec::CueClusterPosition(place) => clusters.push(place),
            MatroskaSpec::CueTime(time) => times.push(time),
            MatroskaSpec::SimpleBlock(_) => blocks += 1,
            MatroskaSpec::Duration(value) => duration = Some(value),
            _ => {}
        }
    }
    let segment = file.windows(4).position(|id| id == [0x18, 0x53, 0x80, 0x67]).unwrap() + 12;
    let id_at = |place: &u64| &file[segment + *place as usize..][..4];
    let ids: Vec<_> = places.iter().map(id_at).collect();
    assert_eq!(ids, [[0x15, 0x49, 0xa9, 0x66], [0x16, 0x54, 0xae, 0x6b], [0x1c, 0x53, 0xbb, 0x6b]]);
    assert!(clusters.iter().all(|place| id_at(place) == [0x1f, 0x43, 0xb6, 0x75]));
    assert_eq!((times, clusters.len()), (vec![0, 10_000, 20_000, 30_000], 4));
    assert_eq!((blocks, duration), (200, Some(40_000.0)));
    // Every element has its length.
    assert_eq!(file[segment - 8..segment], ((file.len() - segment) as u64 | 1 << 56).to_be_bytes());
    assert_eq!(open[segment - 8..segment], [1, 255, 255, 255, 255, 255, 255, 255]);
}

#[test]
fn what_a_file_cannot_carry_is_an_error() {
    let format = sound();
    let mut file = Vec::new();
    let mut error = |tracks: &[Track<'_>]| {
        let error = MatroskaWriter::new(tracks, &mut file).unwrap_err();
        assert!(file.is_empty());
        error
    };
    assert!(!can_carry(Codec::Metadata) && can_carry(Codec::Jpeg) && can_carry(Codec::L16));
    assert!(matches!(error(&[track(Codec::Metadata, &format)]), Error::Codec(Codec::Metadata)));
    assert!(matches!(error(&[]), Error::Tracks(0)));
    assert!(matches!(error(&[track(Codec::Pcma, &format); 127]), Error::Tracks(127)));
    let mut writer = MatroskaWriter::new(&[track(Codec::Pcma, &format)], &mut file).unwrap();
    let unit = Unit { data: &[], parameter_sets: None, pts: 0, dts: 0, key: true };
    assert!(matches!(writer.write(1, &unit, &mut file), Err(Error::NoTrack(1))));
}

#[test]
fn only_a_file_of_matroska_has_a_whole_length() {
    for bytes in [&b""[..], b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\x80", &[0; 100], &[0xff; 100]] {
        assert_eq!(whole_length(&mut Cursor::new(bytes)).unwrap(), None);
    }
}

proptest! {
    /// Whatever the sizes and times, the blocks are those of the units, and a file that is cut anywhere is whole up to a
    /// cluster.
    #[test]
    fn what_is_written_is_read(
        units in prop::collection::vec((any::<bool>(), 0..20_000usize, 0..400_000i64), 1..30),
        cut in 0.0..1.0,
    ) {
        let format = video();
        let mut file = Vec::new();
        let mut writer = MatroskaWriter::new(&[track(Codec::H264, &format)], &mut file).unwrap();
        let (mut pts, mut expected, mut ends) = (0, Vec::new(), vec![file.len()]);
        for (key, bytes, step) in units {
            pts += step;
            let data = vec![0xaa; bytes];
            let unit = Unit { data: &data, parameter_sets: None, pts, dts: pts, key };
            if writer.write(0, &unit, &mut file).unwrap() > 0 {
                ends.push(file.len());
            }
            expected.push(((pts + 4) / 9, key, bytes));
        }
        let cut = ends[0] + ((file.len() - ends[0]) as f64 * cut) as usize;
        let whole = whole_length(&mut Cursor::new(&file[..cut])).unwrap();
        prop_assert_eq!(whole, ends[1..].iter().rfind(|end| **end <= cut).map(|end| *end as u64));

        writer.finish(&mut file).unwrap();
        let (mut start, mut blocks) = (0, Vec::new());
        for element in elements(&file) {
            match element {
                MatroskaSpec::Timestamp(time) => start = time as i64,
                MatroskaSpec::SimpleBlock(block) => {
                    let time = start + i64::from(i16::from_be_bytes([block[1], block[2]]));
                    blocks.push((time, block[3] == 0x80, block.len() - 4));
                }
                _ => {}
            }
        }
        prop_assert_eq!(blocks, expected);
    }
}

#[test]
fn tracks_times_and_gaps_are_read() {
    let (video, sound) = (video(), sound());
    let mut file = Vec::new();
    let tracks = [track(Codec::H264, &video), track(Codec::Pcma, &sound)];
    let mut writer = MatroskaWriter::new(&tracks, &mut file).unwrap();
    for frame in 0..50 {
        // A second without frames after the first half.
        let pts = frame * 9_000 + if frame < 25 { 0 } else { 90_000 };
        let unit = Unit { data: &[0; 100], parameter_sets: None, pts, dts: pts, key: frame % 10 == 0 };
        writer.write(0, &unit, &mut file).unwrap();
        writer.write(1, &Unit { data: &[0xd5; 800], key: true, ..unit }, &mut file).unwrap();
    }
    let patches = writer.finish(&mut file).unwrap();
    let open = read(&mut Cursor::new(&file)).unwrap();
    let file = patched(file, patches);
    let found = read(&mut Cursor::new(&file)).unwrap();
    assert_eq!((&*found.doc_type, found.is_index_first, &found.faults), ("matroska", Some(false), &vec![]));
    let [pictures, sound] = &found.tracks[..] else { panic!("{found:?}") };
    assert_eq!((&*pictures.codec_string(), pictures.codec_name()), ("avc1.42c01e", Some("h264")));
    assert_eq!((pictures.size, pictures.frames, pictures.key_frames), (Some((320, 240)), 50, 5));
    assert_eq!((pictures.bytes, sound.bytes), (5_000, 40_000));
    assert_eq!(
        (sound.codec_name(), sound.sampling_rate, sound.channels),
        (Some("pcma"), Some(8_000), Some(1))
    );
    let timing = found.timing(pictures);
    assert_eq!((timing.shown, timing.start, timing.end), (50, 0.0, 6.0));
    assert_eq!((timing.gap_count, timing.gaps[0].start, timing.gaps[0].duration), (1, 2.4, 1.1));
    assert_eq!(timing.key_distances.map(|distance| distance.mean), Some(10.0));
    // A segment without a length, as it is while it is written.
    assert_eq!((open.tracks[0].frames, open.faults.len()), (50, 0));

    // Cut off anywhere, with all frames before.
    let mut frames = 0;
    for length in 0..file.len() {
        let Ok(part) = read(&mut Cursor::new(&file[..length])) else { continue };
        assert!(length < 60 || !part.faults.is_empty(), "{length}");
        let count = part.tracks.iter().map(|track| track.frames).sum();
        assert!(count >= frames, "{length}");
        frames = count;
    }
    assert_eq!(frames, 100);
}

proptest! {
    #[test]
    fn damaged_files_are_read_within_bounds(
        changes in proptest::collection::vec((0_usize..4000, any::<u8>()), 0..20),
        length in 0_usize..4000,
    ) {
        let video = video();
        let mut file = Vec::new();
        let mut writer = MatroskaWriter::new(&[track(Codec::H264, &video)], &mut file).unwrap();
        for frame in 0..30 {
            let unit = Unit { data: &[0; 60], parameter_sets: None, pts: frame * 9_000, dts: 0, key: frame % 5 == 0 };
            writer.write(0, &unit, &mut file).unwrap();
        }
        writer.finish(&mut file).unwrap();
        file.truncate(length);
        for (place, byte) in changes {
            if let Some(changed) = file.get_mut(place) {
                *changed = byte;
            }
        }
        if let Ok(found) = read(&mut Cursor::new(&file)) {
            for track in &found.tracks {
                let _ = (found.timing(track), track.codec_string(), track.codec_name());
            }
        }
    }
}
