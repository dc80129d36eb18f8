//! What an unfinished MP4 file tells: whether it holds samples, and when they were captured.

use std::io::{self, Read, Seek, SeekFrom};

use msight_media::Kind;
use msight_media::mp4::{self, Fault, FragmentedFile};

use super::Failure;

/// Most capture times in the message of a recovered segment.
const MAX_TIMES: usize = 1 << 16;

/// Largest end of a file that is searched for fragments behind a damaged one, in bytes.
const MAX_SEARCHED: u64 = 64 << 20;

/// Whether a file without a whole fragment is one whose writer died before it had written its first one.
pub(super) fn holds_no_sample(file: &mut (impl Read + Seek), length: u64) -> Result<bool, Failure> {
    /// Bytes of the shortest box.
    const BOX: u64 = 8;
    if length < BOX {
        return Ok(true);
    }
    let movie = match mp4::read(file, length) {
        Ok(movie) => movie,
        Err(mp4::Error::Format(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let is_cut_off = movie.faults.iter().all(|fault| match fault {
        Fault::CutOff { .. } => true,
        Fault::Trailing { bytes } => *bytes < BOX,
        Fault::NoIndex => movie.data_bytes == 0,
        _ => false,
    });
    Ok(is_cut_off && fragments(file, length)? <= 1)
}

/// How often the type of a fragment's index is in the file, which damaged sizes cannot hide; at least 2 in a large file.
fn fragments(file: &mut (impl Read + Seek), length: u64) -> io::Result<usize> {
    if length > MAX_SEARCHED {
        return Ok(2);
    }
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes.windows(4).filter(|kind| kind == b"moof").count())
}

/// The samples of a file that has its index, whose writer died before it had its sidecar, and whether the file says why it
/// ended.
pub(super) fn indexed(file: &mut (impl Read + Seek), length: u64) -> Result<(FragmentedFile, bool), Failure> {
    let movie = mp4::read(file, length)?;
    let missing = |fault: &&Fault| matches!(fault, Fault::SamplesMissing { .. } | Fault::CutOff { .. });
    if let Some(fault) = movie.faults.iter().find(missing) {
        return Err(Failure::Damaged(fault.to_string()));
    }
    let has_ending = movie.metadata.is_some();
    let timescale = f64::from(movie.timescale.get());
    // An empty edit delays the track.
    let delays: Vec<_> = (movie.tracks.iter())
        .filter_map(|track| {
            let delay = track.edits.first().filter(|edit| edit.media_time.is_none())?;
            let rate = f64::from(track.format.timescale().get());
            Some((track.format.kind(), (delay.duration as f64 / timescale * rate) as u64))
        })
        .collect();
    let mut file = FragmentedFile::from(movie);
    for track in &mut file.tracks {
        let delay = delays.iter().find(|(kind, _)| *kind == track.format.kind());
        track.decode_time = delay.map(|(_, delay)| *delay).or(track.decode_time);
    }
    Ok((file, has_ending))
}

/// The capture times of the pictures, or of the sound at a second each, in the order of presentation.
pub(super) fn capture_times(file: &FragmentedFile, start: f64) -> Vec<f64> {
    let video =
        file.tracks.iter().find(|track| track.format.kind() == Kind::Video && track.tables.count() > 0);
    let Some(track) = video.or_else(|| file.tracks.iter().find(|track| track.tables.count() > 0)) else {
        return vec![start];
    };
    let rate = f64::from(track.format.timescale().get());
    let count = track.tables.count() as usize;
    let stride = match video {
        Some(_) => count.div_ceil(MAX_TIMES).max(1),
        None => ((rate.min(count as f64)) as usize / 10).max(count.div_ceil(MAX_TIMES)).max(1),
    };
    let mut decoded = i64::try_from(track.decode_time.unwrap_or(0)).unwrap_or(0);
    let media_time = i64::try_from(track.media_time).unwrap_or(0);
    let mut times = Vec::new();
    for (number, sample) in track.tables.samples().enumerate() {
        if number.is_multiple_of(stride) || number + 1 == count {
            let shown = decoded + i64::from(sample.composition_offset) - media_time;
            times.push(start + shown as f64 / rate);
        }
        decoded += i64::from(sample.duration);
    }
    times.sort_by(f64::total_cmp);
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use msight_media::Codec;
    use msight_media::mp4::Extent;
    use std::io::Cursor;
    use std::time::Duration;

    /// Three fragments with a picture each, and where they begin and end.
    fn fragments_of_pictures() -> (Vec<u8>, Vec<usize>) {
        let format = mp4::TrackFormat::video(Codec::Jpeg, None, &[], Some((64, 48))).unwrap();
        let mut writer = mp4::FragmentWriter::new(vec![mp4::FragmentTrack { format, media_time: 0 }]);
        let mut file = writer.head(Duration::from_secs(1_800_000_000), 4096, &[]).unwrap();
        let mut places = vec![file.len()];
        for number in 0..3 {
            let picture = bytes::Bytes::from_static(&[0xff; 50]);
            let sample =
                mp4::FragmentSample { data: picture, duration: 9000, composition_offset: 0, key: true };
            let run = mp4::TrackRun { track: 0, decode_time: number * 9000, samples: vec![sample] };
            file.extend(writer.fragment(&[run]).unwrap());
            file.extend([0xff; 50]);
            places.push(file.len());
        }
        (file, places)
    }

    #[test]
    fn only_files_without_a_sample_are_removed() {
        let is_empty = |file: &[u8]| holds_no_sample(&mut Cursor::new(file), file.len() as u64).unwrap();
        let (whole, places) = fragments_of_pictures();
        for length in [0, 5, 20, 1000, places[0], places[0] + 3, places[0] + 40, places[1] - 20] {
            assert!(is_empty(&whole[..length]), "{length} bytes");
        }
        // The first box, the index, and the index of the first fragment: its type and its size.
        let index = whole.windows(4).position(|kind| kind == b"moov").unwrap();
        for (place, value) in [(4, 0), (index, 0), (index + 12, 0), (places[0] + 4, 0), (places[0] + 1, 9)] {
            let mut damaged = whole.clone();
            damaged[place] = value;
            assert!(!is_empty(&damaged), "byte {place} is damaged");
        }
        assert!(!is_empty(&[0; 4096]));
    }

    #[test]
    fn a_file_that_has_its_index_tells_its_times_and_what_is_missing() {
        let (whole, _) = fragments_of_pictures();
        let mut file = Cursor::new(whole);
        mp4::finish(&mut file, Extent::Written(3), &[]).unwrap();
        let length = file.get_ref().len();
        let (found, has_ending) = indexed(&mut file, length as u64).unwrap();
        assert!(!has_ending);
        let times = capture_times(&found, 1_800_000_000.0);
        let seconds: Vec<_> = times.iter().map(|time| ((time - 1.8e9) * 10.0).round()).collect();
        assert_eq!(seconds, [0.0, 1.0, 2.0]);
        let cut = indexed(&mut Cursor::new(&file.get_ref()[..length - 20]), length as u64 - 20);
        assert!(matches!(cut, Err(Failure::Damaged(_))), "{cut:?}");
    }
}
