//! Codec and picture size of an MP4 file.
//!
//! The boxes are those of ISO/IEC 14496-12. The file comes from a message, so every size in it is checked.

/// The first video track of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    /// As in RFC 6381, such as `avc1.42c01f`; or only the name of the sample entry.
    pub(crate) codec: String,
    pub(crate) width: u16,
    pub(crate) height: u16,
}

/// Maximum number of tracks to read.
const MAX_TRACKS: usize = 8;

/// Finds the first video track of an MP4. `None` for other files.
pub(crate) fn picture(file: &[u8]) -> Option<Picture> {
    let movie = boxes(file).find(|(kind, _)| kind == b"moov")?.1;
    let tracks = boxes(movie).filter(|(kind, _)| kind == b"trak").take(MAX_TRACKS);
    tracks.map(|(_, track)| track).find_map(|track| {
        let table = [b"mdia", b"minf", b"stbl", b"stsd"].iter().try_fold(track, |parent, kind| {
            boxes(parent).find(|(found, _)| found == *kind).map(|(_, content)| content)
        })?;
        // Skips version, flags and the number of entries.
        let (kind, entry) = boxes(table.get(8..)?).next()?;
        // A visual sample entry has 78 bytes before its own boxes, with the picture size at offset 24.
        let of = |at: usize| Some(u16::from_be_bytes(entry.get(at..at + 2)?.try_into().ok()?));
        let (width, height) = (of(24)?, of(26)?);
        let name =
            std::str::from_utf8(&kind).ok().filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric()))?;
        if !["avc1", "avc3", "hvc1", "hev1", "av01", "vp09", "mp4v", "jpeg", "mjpa"].contains(&name) {
            return None;
        }
        let configuration = boxes(entry.get(78..).unwrap_or_default()).find(|(kind, _)| kind == b"avcC");
        let codec = match configuration.and_then(|(_, avc)| avc.get(1..4)) {
            Some([profile, constraints, level]) => {
                format!("{name}.{profile:02x}{constraints:02x}{level:02x}")
            }
            _ => name.to_owned(),
        };
        Some(Picture { codec, width, height })
    })
}

/// The boxes of a file or of a box, with their types. Ends at the first box that exceeds the data.
fn boxes(mut rest: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let short = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
        let kind: [u8; 4] = rest.get(4..8)?.try_into().ok()?;
        let (header, size) = match short {
            // The box extends to the end of the file.
            0 => (8, rest.len()),
            1 => (16, usize::try_from(u64::from_be_bytes(rest.get(8..16)?.try_into().ok()?)).ok()?),
            size => (8, usize::try_from(size).ok()?),
        };
        let content = rest.get(header..size)?;
        rest = rest.get(size..)?;
        Some((kind, content))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).unwrap();
        [&size.to_be_bytes()[..], kind, content].concat()
    }

    /// A file with one track of this sample entry.
    pub(crate) fn file(name: &[u8; 4], width: u16, height: u16, avc: &[u8]) -> Vec<u8> {
        let mut entry = vec![0; 78];
        entry[24..26].copy_from_slice(&width.to_be_bytes());
        entry[26..28].copy_from_slice(&height.to_be_bytes());
        entry.extend(boxed(b"avcC", avc));
        let table = [&[0; 7][..], &[1], &boxed(name, &entry)].concat();
        let track = [b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"];
        let movie = track.into_iter().fold(table, |content, kind| boxed(kind, &content));
        [boxed(b"ftyp", b"isom"), boxed(b"mdat", &[7; 100]), movie].concat()
    }

    #[test]
    fn codec_and_size_are_read() {
        let found = picture(&file(b"avc1", 1280, 960, &[1, 0x42, 0xc0, 0x1f])).unwrap();
        assert_eq!(found, Picture { codec: "avc1.42c01f".to_owned(), width: 1280, height: 960 });
        assert_eq!(picture(&file(b"mp4v", 1, 2, &[])).unwrap().codec, "mp4v");
        assert_eq!(picture(&file(b"mp4a", 1, 2, &[])), None, "a track of audio");
        assert_eq!(picture(b""), None);
        assert_eq!(picture(b"no mp4 at all, whatever it is"), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_accepted(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0..300_usize, byte: u8) {
            picture(&bytes);
            let mut broken = file(b"avc1", 1280, 960, &[1, 0x42, 0xc0, 0x1f]);
            let at = at % broken.len();
            broken[at] = byte;
            picture(&broken);
            picture(&broken[..at]);
        }
    }
}
