//! How much of an unfinished file is whole.

use std::io::{self, Read, Seek, SeekFrom};

const EBML: u64 = 0x1a45_dfa3;
const SEGMENT: u64 = 0x1853_8067;
const CLUSTER: u64 = 0x1f43_b675;

/// The part of an unfinished file that consists of whole elements: what follows is a cluster that was cut off. `None` if
/// the file has no whole cluster, or is not one that [`MatroskaWriter`](super::MatroskaWriter) has begun.
///
/// # Errors
/// The file cannot be read.
pub fn whole_length(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut place = 0;
    let (mut expected, mut has_cluster) = (Some(EBML), false);
    loop {
        file.seek(SeekFrom::Start(place))?;
        let Some((id, size, header)) = element(file)? else { break };
        if expected.is_some_and(|expected| id != expected) {
            return Ok(None);
        }
        expected = (id == EBML).then_some(SEGMENT);
        let size = if id == SEGMENT { 0 } else { size };
        let Some(end) = size.checked_add(place + header).filter(|end| *end <= length) else { break };
        has_cluster |= id == CLUSTER;
        place = end;
    }
    Ok(has_cluster.then_some(place))
}

/// The id and the length of an element, and the bytes that these take (RFC 8794, sections 4 to 6). `None` if they are cut off
/// or invalid.
fn element(file: &mut impl Read) -> io::Result<Option<(u64, u64, u64)>> {
    let mut header = Vec::with_capacity(12);
    file.take(12).read_to_end(&mut header)?;
    let Some((id, after_id)) = integer(&header, 4) else { return Ok(None) };
    let Some((size, after_size)) = integer(&header[after_id..], 8) else { return Ok(None) };
    // The marker of the length is not a part of it.
    let size = size ^ 1 << (7 * after_size);
    Ok(Some((id, size, (after_id + after_size) as u64)))
}

/// A variable-length integer with its marker, and its length.
fn integer(bytes: &[u8], max: usize) -> Option<(u64, usize)> {
    let length = bytes.first()?.leading_zeros() as usize + 1;
    let bytes = bytes.get(..length).filter(|_| length <= max)?;
    Some((bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)), length))
}
