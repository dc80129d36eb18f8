//! The sample tables of a track (ISO/IEC 14496-12, 8.6 and 8.7), as compact as in the file.

use shiguredo_mp4::Either;
use shiguredo_mp4::boxes::{
    Co64Box, CttsBox, CttsEntry, SampleEntry, StblBox, StcoBox, StscBox, StscEntry, StsdBox, StssBox,
    StszBox, SttsBox, SttsEntry,
};
use std::iter::repeat_n;
use std::num::NonZeroU32;

use super::error::Error;

mod read;

/// Most samples of different sizes in a track: of 30 pictures a second, 12 days. Their sizes take 128 MiB.
const MAX_SIZES: u32 = 1 << 25;

/// One sample, without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleInfo {
    /// Bytes.
    pub size: u32,
    /// Ticks of the track from its decoding time to that of the next sample.
    pub duration: u32,
    /// Ticks from its decoding time to its presentation time.
    pub composition_offset: i32,
    /// Whether decoding can start here.
    pub key: bool,
}

/// The samples of a track, and where they are in the file.
#[derive(Clone, Debug, Default)]
pub struct SampleTables {
    /// Run lengths of durations, in ticks.
    durations: Vec<(u32, u32)>,
    /// Run lengths of composition offsets, in ticks.
    offsets: Vec<(u32, i32)>,
    sizes: Sizes,
    /// Run lengths of key frames and others.
    keys: Vec<(u32, bool)>,
    /// Where each chunk begins, and the number of its samples.
    chunks: Vec<(u64, u32)>,
    count: u32,
    duration: u64,
}

/// The sizes of the samples. Those of uncompressed sound are all equal.
#[derive(Clone, Debug)]
enum Sizes {
    Equal(u32),
    Different(Vec<u32>),
}

impl Default for Sizes {
    fn default() -> Self {
        Self::Equal(0)
    }
}

impl SampleTables {
    /// The number of samples.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The number of key frames.
    #[must_use]
    pub fn keys(&self) -> u32 {
        self.keys.iter().filter(|(_, key)| *key).map(|(count, _)| count).sum()
    }

    /// The sum of the durations, in ticks.
    #[must_use]
    pub fn duration(&self) -> u64 {
        self.duration
    }

    /// The sum of the sizes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match &self.sizes {
            Sizes::Equal(size) => u64::from(*size) * u64::from(self.count),
            Sizes::Different(sizes) => sizes.iter().map(|size| u64::from(*size)).sum(),
        }
    }

    /// The samples in decoding order.
    pub fn samples(&self) -> impl Iterator<Item = SampleInfo> + '_ {
        let durations = self.durations.iter().flat_map(|&(count, value)| repeat_n(value, count as usize));
        let offsets = self.offsets.iter().flat_map(|&(count, value)| repeat_n(value, count as usize));
        let keys = self.keys.iter().flat_map(|&(count, value)| repeat_n(value, count as usize));
        durations.zip(offsets).zip(keys).enumerate().map(|(at, ((duration, composition_offset), key))| {
            let size = match &self.sizes {
                Sizes::Equal(size) => *size,
                Sizes::Different(sizes) => sizes[at],
            };
            SampleInfo { size, duration, composition_offset, key }
        })
    }

    /// The samples that follow are at this place in the file, one behind the other.
    pub(super) fn begin_chunk(&mut self, place: u64) {
        match self.chunks.last_mut() {
            // An empty chunk is not allowed.
            Some((start, 0)) => *start = place,
            _ => self.chunks.push((place, 0)),
        }
    }

    /// Appends a sample to the last chunk.
    ///
    /// # Errors
    /// There are too many samples.
    pub(super) fn push(&mut self, sample: SampleInfo) -> Result<(), Error> {
        let before = self.count;
        let is_different = !matches!(&self.sizes, Sizes::Equal(size) if before == 0 || *size == sample.size);
        if is_different && before >= MAX_SIZES {
            return Err(Error::mux("too many samples"));
        }
        self.count = before.checked_add(1).ok_or_else(|| Error::mux("too many samples"))?;
        if self.chunks.is_empty() {
            self.begin_chunk(0);
        }
        if let Some((_, samples)) = self.chunks.last_mut() {
            *samples += 1;
        }
        extend(&mut self.durations, 1, sample.duration);
        extend(&mut self.offsets, 1, sample.composition_offset);
        extend(&mut self.keys, 1, sample.key);
        self.duration = self.duration.saturating_add(sample.duration.into());
        match &mut self.sizes {
            Sizes::Equal(size) if before == 0 || *size == sample.size => *size = sample.size,
            Sizes::Equal(size) => {
                let mut sizes = vec![*size; before as usize];
                sizes.push(sample.size);
                self.sizes = Sizes::Different(sizes);
            }
            Sizes::Different(sizes) => sizes.push(sample.size),
        }
        Ok(())
    }

    /// Makes the last sample last until `time`, in ticks from the first sample, where the next sample begins. A sample lasts
    /// for a tick or more.
    pub(super) fn extend_to(&mut self, time: u64) {
        let Some((count, duration)) = self.durations.pop() else { return };
        if count > 1 {
            self.durations.push((count - 1, duration));
        }
        let begun = self.duration.saturating_sub(duration.into());
        let duration = u32::try_from(time.saturating_sub(begun)).unwrap_or(u32::MAX).max(1);
        extend(&mut self.durations, 1, duration);
        self.duration = begun.saturating_add(duration.into());
    }

    /// The `stbl` box. `shift` is added to the place of every chunk.
    pub(super) fn to_box(&self, entry: SampleEntry, shift: i64) -> StblBox {
        let place = |start: u64| start.saturating_add_signed(shift);
        let starts: Vec<u64> =
            self.chunks.iter().filter(|(_, samples)| *samples > 0).map(|(start, _)| place(*start)).collect();
        let small: Option<Vec<u32>> = starts.iter().map(|start| u32::try_from(*start).ok()).collect();
        let has_offsets = self.offsets.iter().any(|(_, offset)| *offset != 0);
        let has_others = self.keys.iter().any(|(_, key)| !key);
        StblBox {
            stsd_box: StsdBox { entries: vec![entry] },
            stts_box: SttsBox {
                entries: (self.durations.iter())
                    .map(|&(sample_count, sample_delta)| SttsEntry { sample_count, sample_delta })
                    .collect(),
            },
            ctts_box: has_offsets.then(|| CttsBox {
                version: self.offsets.iter().any(|(_, offset)| *offset < 0).into(),
                entries: (self.offsets.iter())
                    .map(|&(sample_count, offset)| CttsEntry { sample_count, sample_offset: offset.into() })
                    .collect(),
            }),
            cslg_box: None,
            stsc_box: StscBox { entries: self.chunk_runs() },
            stsz_box: match &self.sizes {
                Sizes::Equal(size) => match NonZeroU32::new(*size) {
                    Some(sample_size) => StszBox::Fixed { sample_size, sample_count: self.count },
                    None => StszBox::Variable { entry_sizes: vec![0; self.count as usize] },
                },
                Sizes::Different(sizes) => StszBox::Variable { entry_sizes: sizes.clone() },
            },
            stco_or_co64_box: match small {
                Some(chunk_offsets) => Either::A(StcoBox { chunk_offsets }),
                None => Either::B(Co64Box { chunk_offsets: starts }),
            },
            stss_box: has_others.then(|| StssBox {
                sample_numbers: (1..=self.count)
                    .zip(self.keys.iter().flat_map(|&(count, key)| repeat_n(key, count as usize)))
                    .filter_map(|(number, key)| NonZeroU32::new(number).filter(|_| key))
                    .collect(),
            }),
            sdtp_box: None,
            unknown_boxes: vec![],
        }
    }

    /// The first of each run of chunks with the same number of samples.
    fn chunk_runs(&self) -> Vec<StscEntry> {
        let mut runs: Vec<StscEntry> = Vec::new();
        let filled = self.chunks.iter().filter(|(_, samples)| *samples > 0);
        for (number, (_, samples)) in (1..).zip(filled) {
            let Some(first_chunk) = NonZeroU32::new(number) else { continue };
            if runs.last().is_none_or(|run| run.sample_per_chunk != *samples) {
                runs.push(StscEntry {
                    first_chunk,
                    sample_per_chunk: *samples,
                    sample_description_index: NonZeroU32::MIN,
                });
            }
        }
        runs
    }
}

/// Appends a value to run lengths, `count` times.
fn extend<T: PartialEq>(runs: &mut Vec<(u32, T)>, count: u32, value: T) {
    match runs.last_mut() {
        Some((length, last)) if *last == value => *length += count,
        _ if count == 0 => {}
        _ => runs.push((count, value)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> impl Strategy<Value = SampleInfo> {
        (prop_oneof![Just(160), 0..9u32], 1..4u32, -2..3i32, any::<bool>()).prop_map(
            |(size, duration, composition_offset, key)| SampleInfo {
                size,
                duration,
                composition_offset,
                key,
            },
        )
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(samples in prop::collection::vec(sample(), 0..40)) {
            let mut tables = SampleTables::default();
            samples.iter().for_each(|sample| tables.push(*sample).unwrap());
            prop_assert_eq!(tables.count() as usize, samples.len());
            prop_assert_eq!(tables.duration(), samples.iter().map(|s| u64::from(s.duration)).sum::<u64>());
            prop_assert_eq!(tables.bytes(), samples.iter().map(|s| u64::from(s.size)).sum::<u64>());
            prop_assert_eq!(tables.keys() as usize, samples.iter().filter(|s| s.key).count());
            prop_assert_eq!(tables.samples().collect::<Vec<_>>(), samples);
        }
    }

    #[test]
    fn the_last_sample_lasts_until_the_next() {
        let mut tables = SampleTables::default();
        let sample = SampleInfo { size: 1, duration: 10, composition_offset: 0, key: true };
        (0..3).for_each(|_| tables.push(sample).unwrap());
        tables.extend_to(50);
        assert_eq!(tables.samples().map(|s| s.duration).collect::<Vec<_>>(), [10, 10, 30]);
        tables.extend_to(0);
        assert_eq!((tables.duration(), tables.samples().last().unwrap().duration), (21, 1));
    }

    #[test]
    fn empty_chunks_are_left_out() {
        let mut tables = SampleTables::default();
        let sample = SampleInfo { size: 1, duration: 10, composition_offset: 0, key: true };
        for (place, samples) in [(100, 2), (200, 0), (300, 2), (400, 1), (u64::from(u32::MAX), 1), (9, 0)] {
            tables.begin_chunk(place);
            (0..samples).for_each(|_| tables.push(sample).unwrap());
        }
        let runs: Vec<_> =
            tables.chunk_runs().iter().map(|run| (run.first_chunk.get(), run.sample_per_chunk)).collect();
        assert_eq!(runs, [(1, 2), (3, 1)]);
        let entry = || {
            SampleEntry::Unknown(shiguredo_mp4::boxes::UnknownBox {
                box_type: shiguredo_mp4::BoxType::Normal(*b"none"),
                box_size: shiguredo_mp4::BoxSize::U32(8),
                payload: vec![],
            })
        };
        let places = |shift| match tables.to_box(entry(), shift).stco_or_co64_box {
            Either::A(small) => small.chunk_offsets.into_iter().map(u64::from).collect(),
            Either::B(large) => large.chunk_offsets,
        };
        assert_eq!(places(-1), [99, 299, 399, u64::from(u32::MAX) - 1]);
        assert_eq!(places(1), [101, 301, 401, 1 << 32]);
    }
}
