//! What no repair can mend.

use msight_media::mp4::{Fault, Movie};

/// Why nothing of a file can be kept; `None` if `msight repair` can.
pub(in crate::cmd) fn hopeless(movie: &Movie) -> Option<&'static str> {
    if movie.faults.contains(&Fault::NoIndex) {
        return Some(
            "it has no index ('moov'), because its program was killed before it wrote where the samples are; `untrunc` \
             can rebuild one from a whole file of the same camera. Fragmented files, as msight_launch_recorder \
             writes them, survive this",
        );
    }
    if movie.tracks.is_empty() {
        return Some(
            "its index ('moov') is damaged; `untrunc` can rebuild one from a whole file of the same camera",
        );
    }
    let has_samples = movie.tracks.iter().any(|track| track.tables.count() > 0);
    if !has_samples && movie.is_fragmented {
        return Some("it has no whole fragment: its program was killed before the first one was on disk");
    }
    if !has_samples {
        return Some("its index has no sample");
    }
    if !movie.has_whole_sample() {
        return Some("it has no whole sample: it is cut off before the first one ends");
    }
    None
}
