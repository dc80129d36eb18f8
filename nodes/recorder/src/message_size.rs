//! The size of segments that travel as messages.
//!
//! Redis disconnects a subscriber whose buffer reaches 32 MiB (`client-output-buffer-limit pubsub`), and its allocator rounds a
//! message of more than 28 MiB up to 32 MiB. So 28 MiB is the largest message that a Redis with its defaults delivers.

use crate::frames::MAX_FRAMES;

/// Largest `--segment-bytes` of segments that travel as messages, and its default there.
pub(crate) const MAX_SEGMENT: u64 = 25 << 20;
/// Such a segment ends at this size if no key frame comes, which leaves room for its last sound and the end of its index.
pub(crate) const MAX_OPEN_SEGMENT: u64 = 27 << 20;
/// Largest message, without what Redis puts before it.
pub(crate) const MAX_MESSAGE: u64 = (28 << 20) - (64 << 10);

/// Bytes of the head of a message, and of the keys of its body.
const HEAD: u64 = 4 << 10;
/// Bytes of a frame in the lists of a message: its capture time and its id.
const FRAME: u64 = 18;

/// Bytes of a message with a video of this size and so many frames, at most.
pub(crate) fn message_bytes(video: u64, frames: u64) -> u64 {
    let listed = frames.min(MAX_FRAMES as u64 + 1);
    video.saturating_add(listed * FRAME).saturating_add(HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use msight_proto::{Head, Sample, VideoData, encode};

    #[test]
    fn a_message_has_at_most_its_estimated_size() {
        for frames in [0, 1, 100, MAX_FRAMES + 1] {
            let times = (0..frames).map(|frame| 1_800_000_000.1 + frame as f64).collect();
            let ids = (0..frames).map(|frame| Some((u64::MAX - frame as u64).into())).collect();
            let body = VideoData {
                video: Some(vec![7; 1000].into()),
                frame_ids: Some(ids),
                capture_timestamps: Some(times),
                ..VideoData::default()
            };
            let message = encode(&Sample::new(Head::new("gate".repeat(60), 1_800_000_000.5), body)).unwrap();
            let bound = message_bytes(1000, frames as u64);
            assert!(message.len() as u64 <= bound, "{frames} frames: {} of {bound}", message.len());
        }
    }
}
