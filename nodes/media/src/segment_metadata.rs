//! Metadata of a segment, inside its MP4 file: why it ended, and how many frames were lost.
//!
//! It is JSON in a `uuid` box (ISO/IEC 14496-12, 4.2) at the end of the file, which players skip. The message format
//! remains that of MSight, and the metadata passes through Python nodes with the file.

use serde::{Deserialize, Serialize};

/// The extended type of the box.
const EXTENDED_TYPE: [u8; 16] =
    [0x8d, 0xf0, 0x2c, 0xfb, 0x73, 0x91, 0x44, 0xe8, 0xbc, 0x35, 0x43, 0x66, 0x55, 0x1a, 0x89, 0x2b];
/// Bytes of the box before its content: size, `uuid` and the extended type.
const HEADER: usize = 24;
/// Maximum bytes of the content; a larger box is skipped.
pub(crate) const MAX_CONTENT: usize = 4096;

/// Why a segment ended, and what was lost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentMetadata {
    /// Why the segment ended, such as `full` or `gap`: a value of the label `reason` of `msight_aggregator_segments_total`.
    pub ending: String,
    /// Frames of the sensor that were lost since the last frame before the segment, in the aggregator and its queue. It
    /// does not know of losses before its queue.
    #[serde(default)]
    pub frames_lost_before: u64,
    /// Frames of the sensor that were lost between the first and the last frame of the segment.
    #[serde(default)]
    pub frames_lost_within: u64,
    /// The video holds what the camera encoded, and was not encoded again.
    #[serde(default)]
    pub copied: bool,
    /// Pictures in the file that are decoded and not shown: those since the last key frame before the segment.
    #[serde(default)]
    pub frames_hidden: u64,
}

impl SegmentMetadata {
    /// Appends the box to an MP4 file.
    pub fn append_to(&self, file: &mut Vec<u8>) {
        // Strings and numbers always have a JSON form.
        let Ok(content) = serde_json::to_vec(self) else { return };
        let Ok(size) = u32::try_from(HEADER + content.len()) else { return };
        file.extend_from_slice(&size.to_be_bytes());
        file.extend_from_slice(b"uuid");
        file.extend_from_slice(&EXTENDED_TYPE);
        file.extend_from_slice(&content);
    }

    /// Reads the content of a `uuid` box, if it is this one.
    pub(crate) fn from_box(content: &[u8]) -> Option<Self> {
        let content = content.strip_prefix(&EXTENDED_TYPE)?;
        serde_json::from_slice(content).ok()
    }

    /// Finds the box in an MP4 file. `None` if the file has none, or is not an MP4 file.
    #[must_use]
    pub fn read(file: &[u8]) -> Option<Self> {
        let mut rest = file;
        while rest.len() >= HEADER {
            let size = match u32::from_be_bytes(rest[..4].try_into().ok()?) {
                0 => rest.len(),
                1 => usize::try_from(u64::from_be_bytes(rest[8..16].try_into().ok()?)).ok()?,
                size => usize::try_from(size).ok()?,
            };
            let whole = rest.get(..size).filter(|whole| whole.len() >= 8)?;
            if whole.len() <= HEADER + MAX_CONTENT
                && whole[4..].starts_with(b"uuid")
                && whole[8..].starts_with(&EXTENDED_TYPE)
            {
                return serde_json::from_slice(&whole[HEADER..]).ok();
            }
            rest = &rest[size..];
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn metadata() -> SegmentMetadata {
        SegmentMetadata {
            ending: "gap".to_owned(),
            frames_lost_before: 3,
            frames_lost_within: 41,
            copied: true,
            frames_hidden: 7,
        }
    }

    /// A box with this content.
    fn mp4_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(8 + content.len()).unwrap().to_be_bytes();
        [&size[..], kind, content].concat()
    }

    #[test]
    fn the_box_is_found_after_other_boxes() {
        let mut file = mp4_box(b"ftyp", b"isom\0\0\x02\0");
        file.extend(mp4_box(b"uuid", &[7; 40]));
        // A box with a size of 64 bits.
        file.extend([&[0, 0, 0, 1][..], b"mdat", &[0, 0, 0, 0, 0, 0, 0, 20], b"data"].concat());
        assert_eq!(SegmentMetadata::read(&file), None);
        metadata().append_to(&mut file);
        assert_eq!(SegmentMetadata::read(&file), Some(metadata()));
        file.pop();
        assert_eq!(SegmentMetadata::read(&file), None, "cut off");
    }

    #[test]
    fn unknown_and_missing_fields_are_accepted() {
        let content = br#"{"ending":"full","colour":"red"}"#;
        let file = mp4_box(b"uuid", &[&EXTENDED_TYPE[..], content].concat());
        let read = SegmentMetadata::read(&file).unwrap();
        assert_eq!((read.ending.as_str(), read.frames_lost_before, read.frames_lost_within), ("full", 0, 0));
        assert!(!read.copied && read.frames_hidden == 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(mut file in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..200)) {
            let _ = SegmentMetadata::read(&file);
            metadata().append_to(&mut file);
            let _ = SegmentMetadata::read(&file);
        }
    }
}
