//! The header of ADTS (ISO/IEC 13818-7, section 6.2), which is for files. Some cameras send it.

/// Bytes of a header without checksum.
const HEADER: usize = 7;
/// Bytes of a header with checksum.
const WITH_CHECKSUM: usize = 9;

/// Whether some bytes begin with a whole frame with its header.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    lengths(bytes).is_some_and(|(_, frame)| frame <= bytes.len())
}

/// The frames in some bytes: several with headers, each with the first bytes of its header, or one without.
pub(super) fn frames(bytes: &[u8]) -> impl Iterator<Item = (Option<[u8; 4]>, &[u8])> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest.take().filter(|bytes| !bytes.is_empty())?;
        let Some((header, frame)) = lengths(bytes) else { return Some((None, bytes)) };
        // A frame that is cut has no other one behind it.
        let (frame, behind) = bytes.split_at_checked(frame).unwrap_or((bytes, &[]));
        rest = Some(behind).filter(|behind| lengths(behind).is_some());
        Some((bytes.first_chunk().copied(), &frame[header..]))
    })
}

/// The length of the header, and that of the header and its frame. `None` if there is no header, or no byte behind it.
fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let &[sync, layer_and_checksum, _, l1, l2, l3, _] = bytes.first_chunk()?;
    // A frame without header does not begin with these bits: they are an element that ends it.
    if sync != 0xff || layer_and_checksum & 0xf6 != 0xf0 {
        return None;
    }
    let header = if layer_and_checksum & 1 == 1 { HEADER } else { WITH_CHECKSUM };
    let frame = usize::from(l1 & 3) << 11 | usize::from(l2) << 3 | usize::from(l3) >> 5;
    (frame > header && bytes.len() > header).then_some((header, frame))
}
