//! How much of an unfinished file is whole.

use std::io::{self, Read, Seek, SeekFrom};

use super::element::Header;
use super::{CLUSTER, EBML, SEGMENT};

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
        let Some(header) = Header::read(file)? else { break };
        if expected.is_some_and(|expected| header.id != expected) {
            return Ok(None);
        }
        expected = (header.id == EBML).then_some(SEGMENT);
        let size = if header.id == SEGMENT { Some(0) } else { header.size };
        let end = size.and_then(|size| size.checked_add(place + header.length));
        let Some(end) = end.filter(|end| *end <= length) else { break };
        has_cluster |= header.id == CLUSTER;
        place = end;
    }
    Ok(has_cluster.then_some(place))
}
