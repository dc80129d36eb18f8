//! The NAL units of the picture that is being received.

use std::sync::Arc;

use bytes::Bytes;
use msight_media::ParameterSets;
use msight_media::nal::{self, LENGTH};

use crate::syntax::{Coding, Slice};

/// Pictures without a random access point after which gradual refresh counts as one.
const PICTURES_WITHOUT_KEY: u32 = 300;

/// The NAL units of the picture that is being received.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    /// The RTP timestamp of its slices.
    pub(crate) timestamp: u32,
    /// NAL units, each after its length.
    pub(crate) data: Vec<u8>,
    /// Number of NAL units in it.
    pub(crate) nals: usize,
    /// Where the last slice is in `data`, with its length.
    last_slice: usize,
    /// Where the first slice is.
    first_slice: usize,
    /// It has a slice.
    pub(crate) has_slices: bool,
    /// It has both fields of a frame.
    pub(crate) has_both_fields: bool,
    /// Where units begin that belong to the next picture, if a first slice follows.
    pub(crate) next: Option<usize>,
    /// It cannot be used: its further units are skipped.
    pub(crate) is_spoiled: bool,
    /// The last packet with its slices had a marker.
    pub(crate) is_marked: bool,
    /// The parameter sets at its last slice.
    pub(crate) sets: Option<Arc<ParameterSets>>,
    /// A sequence parameter set came with it.
    pub(crate) has_sps: bool,
    /// From its recovery point message.
    pub(crate) recovery: Option<u32>,
    has_random_access: bool,
    has_inter: bool,
}

impl Picture {
    /// An empty picture of about this length.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { data: Vec::with_capacity(capacity), ..Self::default() }
    }

    /// Whether slices of it have come, though they may have been discarded.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_slices || self.is_spoiled
    }

    /// Writes the length of the unit at `start`, which is complete.
    pub(crate) fn seal(&mut self, start: usize) {
        let length = u32::try_from(self.data.len() - start - LENGTH).unwrap_or(u32::MAX);
        self.data[start..start + LENGTH].copy_from_slice(&length.to_be_bytes());
        self.nals += 1;
    }

    /// Takes the slice at `start`, which is complete.
    pub(crate) fn add_slice(&mut self, start: usize, slice: Slice) {
        self.seal(start);
        if !self.has_slices {
            self.first_slice = start;
        }
        self.last_slice = start;
        self.has_slices = true;
        self.next = None;
        self.has_random_access |= slice.coding == Coding::RandomAccess;
        self.has_inter |= slice.coding == Coding::Inter;
    }

    /// The last slice.
    pub(crate) fn last_slice(&self) -> &[u8] {
        nal::units(&self.data[self.last_slice..]).next().unwrap_or_default()
    }

    /// The first slice.
    pub(crate) fn first_slice(&self) -> &[u8] {
        nal::units(&self.data[self.first_slice..]).next().unwrap_or_default()
    }

    /// Discards its units. Further ones are skipped.
    pub(crate) fn spoil(&mut self) {
        self.data.clear();
        self.nals = 0;
        self.has_slices = false;
        self.next = None;
        self.is_spoiled = true;
    }

    /// Whether decoding can start with it. `without_key`: the number of pictures since the last such one.
    ///
    /// - A random access point: an IDR picture (ITU-T H.264, section 7.4.1.2.4), an IRAP picture (ITU-T H.265, section 3.75).
    /// - An intra picture that the encoder announces as a recovery point with nothing to wait for (ITU-T H.264, section
    ///   D.2.8), or sends parameter sets before: cameras with open groups of pictures have no others.
    /// - The beginning of a gradual refresh (same section), in streams that have nothing else: pictures are right soon after.
    pub(crate) fn is_key(&self, without_key: u32) -> bool {
        let announced = self.has_sps || self.recovery == Some(0);
        self.has_random_access
            || (announced && !self.has_inter)
            || (self.recovery.is_some() && without_key >= PICTURES_WITHOUT_KEY)
    }

    /// Its data, without much spare room.
    pub(crate) fn into_data(self) -> Bytes {
        let mut data = self.data;
        if data.capacity() > 2 * data.len() {
            data.shrink_to_fit();
        }
        Bytes::from(data)
    }
}
