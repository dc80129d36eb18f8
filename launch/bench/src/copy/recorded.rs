//! Compares recorded segments with the stream that the cameras sent: picture by picture, by what was encoded.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::Result;
use serde::Serialize;

use crate::segments::Segment;
use msight_camera::LoopVideo;
use msight_media::nal;

/// What is in the segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Recorded {
    pub(super) segments: usize,
    /// Frames that are shown.
    pub(super) frames: u64,
    /// Frames between a key frame and the first one that is shown.
    pub(super) hidden: u64,
    /// Whether the frames of each camera are those that it sent: in its order, none left out or repeated, and bit by
    /// bit as it encoded them.
    pub(super) as_sent: bool,
}

/// Checks segments, sorted by sensor and time, of cameras that play this loop.
pub(super) fn check(segments: &[(String, Segment)], video: &LoopVideo) -> Result<Recorded> {
    let sent = pictures(video);
    let mut recorded =
        Recorded { segments: segments.len(), as_sent: !segments.is_empty(), ..Recorded::default() };
    for of_sensor in segments.chunk_by(|(one, _), (other, _)| one == other) {
        let mut shown = Vec::new();
        for (_, segment) in of_sensor {
            let hidden = (segment.movie.frames as usize).saturating_sub(segment.captured.len());
            shown.extend(pictures(&LoopVideo::open(&segment.video)?).into_iter().skip(hidden));
            recorded.hidden += hidden as u64;
            recorded.frames += segment.captured.len() as u64;
        }
        recorded.as_sent &= continues(&sent, &shown);
    }
    Ok(recorded)
}

/// A hash of each picture: of its slices, without what a container adds or leaves out around them.
fn pictures(video: &LoopVideo) -> Vec<u64> {
    video.annex_b().map(|unit| hash(&unit)).collect()
}

/// Of H.264 in the form of Annex B.
fn hash(unit: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    nal::annex_b_units(unit).filter(|unit| nal::is_slice(unit)).for_each(|slice| slice.hash(&mut hasher));
    hasher.finish()
}

/// Whether `seen` is a part of the endless repetition of `loop_of`.
fn continues(loop_of: &[u64], seen: &[u64]) -> bool {
    let from = |start: usize| loop_of.iter().cycle().skip(start).zip(seen).all(|(sent, seen)| sent == seen);
    (0..loop_of.len()).any(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_a_repetition_and_a_change_are_noticed() {
        let sent = [1, 2, 3, 4, 5];
        assert!(continues(&sent, &[4, 5, 1, 2, 3, 4, 5, 1]) && continues(&sent, &[]));
        for wrong in [[1, 2, 4], [1, 1, 2], [1, 2, 9], [3, 2, 1]] {
            assert!(!continues(&sent, &wrong), "{wrong:?}");
        }
    }

    #[test]
    fn only_slices_count() {
        let start = [0, 0, 0, 1];
        let unit =
            |nals: &[&[u8]]| nals.iter().flat_map(|nal| [&start[..], nal].concat()).collect::<Vec<u8>>();
        let (slice, other): (&[u8], &[u8]) = (&[0x65, 1, 2, 3], &[0x65, 1, 2, 4]);
        let bare = hash(&unit(&[slice]));
        assert_eq!(hash(&unit(&[&[0x67, 9], &[0x68, 9], &[0x06, 1], slice])), bare);
        assert_ne!(hash(&unit(&[other])), bare);
        assert_ne!(hash(&unit(&[slice, slice])), bare);
    }
}
