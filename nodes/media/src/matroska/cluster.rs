//! Clusters: about a second of all tracks (RFC 9559, section 5.1.3).

use webm_iterable::matroska_spec::{Master, MatroskaSpec};

use crate::unit::Unit;

/// Ticks of the file in a second.
const SECOND: i64 = 10_000;
/// A key frame begins a cluster after this time, so that clusters begin with key frames where these are frequent.
const KEY_AFTER: i64 = SECOND / 2;
/// A longer cluster ends, whatever its time: a reader has all of it in memory.
const MAX_BYTES: usize = 8 << 20;
/// Bytes of a block before its data: track, time and flags.
const BLOCK_HEADER: usize = 4;
/// The flag of a block that is a key frame.
const KEY: u8 = 0x80;

/// The units since the last cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    start: i64,
    blocks: Vec<MatroskaSpec>,
    bytes: usize,
}

impl Cluster {
    /// A cluster whose first unit has this time, in ticks of the file.
    pub(super) fn new(start: i64) -> Self {
        Self { start: start.max(0), blocks: Vec::new(), bytes: 0 }
    }

    pub(super) fn units(&self) -> usize {
        self.blocks.len()
    }

    /// Whether a unit of this time belongs into the next cluster.
    pub(super) fn is_complete_before(&self, time: i64, is_video_key: bool) -> bool {
        let since = time - self.start;
        since >= SECOND
            || (is_video_key && since >= KEY_AFTER)
            || self.bytes >= MAX_BYTES
            || i16::try_from(since).is_err()
    }

    pub(super) fn push(&mut self, track: usize, time: i64, unit: &Unit<'_>) {
        let since = (time - self.start).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        let mut block = Vec::with_capacity(BLOCK_HEADER + unit.data.len());
        // The number of the track as a variable-length integer of one byte.
        block.push(0x80 | (track as u8 + 1));
        block.extend(since.to_be_bytes());
        block.push(if unit.key { KEY } else { 0 });
        block.extend_from_slice(unit.data);
        self.bytes += block.len();
        self.blocks.push(MatroskaSpec::SimpleBlock(block));
    }

    pub(super) fn into_element(self) -> MatroskaSpec {
        let mut elements = vec![MatroskaSpec::Timestamp(self.start as u64)];
        elements.extend(self.blocks);
        MatroskaSpec::Cluster(Master::Full(elements))
    }
}
