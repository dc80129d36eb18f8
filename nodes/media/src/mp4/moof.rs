//! The index of a fragment: the `moof` box (ISO/IEC 14496-12, 8.8.4).

use std::io::{Read, Seek};

use shiguredo_mp4::boxes::{MoofBox, TfhdBox, TrafBox, TrunBox, TrunSample};
use shiguredo_mp4::{Decode, SampleFlags};

use super::boxes::{BoxHeader, MAX_INDEX, children, content, u32_at, whole};
use super::error::Error;
use super::tables::SampleInfo;
use super::track::{Defaults, Track};

/// Most samples of a fragment, such as 8 MiB of sound with a byte for each. The library makes room for all of them, also for
/// those that take no bytes in the index because they are like the others.
pub(super) const MAX_SAMPLES: u64 = 1 << 23;
/// So many samples need no data.
const MAX_WITHOUT_DATA: u64 = 1 << 20;

/// The index of a fragment in a file of `length` bytes. `None` if it is damaged.
pub(super) fn read_moof(file: &mut (impl Read + Seek), found: &BoxHeader, length: u64) -> Option<MoofBox> {
    let content = content(file, found, MAX_INDEX).ok()?;
    // A sample of sound has a byte or more.
    let data = length.saturating_sub(found.end);
    if samples(&content) > data.clamp(MAX_WITHOUT_DATA, MAX_SAMPLES) {
        return None;
    }
    MoofBox::decode(&whole(found.kind, &content)).ok().map(|(moof, _)| moof)
}

/// The samples of all runs, by their headers.
fn samples(moof: &[u8]) -> u64 {
    let runs = children(moof).filter(|(kind, _)| kind == b"traf").flat_map(|(_, traf)| children(traf));
    let counts = runs
        .filter(|(kind, _)| kind == b"trun")
        .map(|(_, run)| u32_at(run, 4).map_or(MAX_SAMPLES + 1, u64::from));
    counts.fold(0, u64::saturating_add)
}

/// Adds the samples of a fragment, whose data ends at `end`. Returns whether all of it is there; if not, no sample of the
/// fragment counts.
pub(super) fn add_fragment(
    tracks: &mut [Track],
    at: &BoxHeader,
    moof: &MoofBox,
    end: u64,
) -> Result<bool, Error> {
    let mut place = at.start;
    let mut runs = Vec::new();
    for traf in &moof.traf_boxes {
        let header = &traf.tfhd_box;
        let base = match header.base_data_offset {
            Some(base) => base,
            None if header.default_base_is_moof => at.start,
            None => place,
        };
        place = base;
        let Some(track) = tracks.iter().position(|track| track.id == header.track_id) else { continue };
        let defaults = tracks[track].defaults.of(header);
        for run in &traf.trun_boxes {
            if let Some(offset) = run.data_offset {
                place = base.saturating_add_signed(offset.into());
            }
            runs.push((track, place, traf, run, defaults));
            let bytes: u64 = run.samples.iter().map(|s| u64::from(s.size.unwrap_or(defaults.size))).sum();
            place = place.saturating_add(bytes);
            if place > end {
                return Ok(false);
            }
        }
    }
    for (track, place, traf, run, defaults) in runs {
        tracks[track].add(place, traf, run, defaults)?;
    }
    Ok(true)
}

impl Defaults {
    /// Those of a fragment.
    fn of(self, header: &TfhdBox) -> Self {
        Self {
            duration: header.default_sample_duration.unwrap_or(self.duration),
            size: header.default_sample_size.unwrap_or(self.size),
            flags: header.default_sample_flags.unwrap_or(self.flags),
        }
    }
}

impl Track {
    /// Adds the samples of a run, whose data is at `place`.
    fn add(&mut self, place: u64, traf: &TrafBox, run: &TrunBox, defaults: Defaults) -> Result<(), Error> {
        if run.samples.is_empty() {
            return Ok(());
        }
        let is_first_run = traf.trun_boxes.first().is_some_and(|first| std::ptr::eq(first, run));
        let time = traf.tfdt_box.as_ref().filter(|_| is_first_run).map(|time| time.base_media_decode_time);
        match (self.decode_time, time) {
            (None, time) => self.decode_time = Some(time.unwrap_or(0)),
            (Some(first), Some(time)) if time.saturating_sub(first) != self.tables.duration() => {
                self.tables.extend_to(time.saturating_sub(first));
            }
            _ => {}
        }
        self.tables.begin_chunk(place);
        let described = |sample: &TrunSample, flags: SampleFlags| SampleInfo {
            size: sample.size.unwrap_or(defaults.size),
            duration: sample.duration.unwrap_or(defaults.duration),
            composition_offset: clamp(sample.composition_time_offset.unwrap_or(0)),
            key: !flags.sample_is_non_sync_sample(),
        };
        let first_flags = run.first_sample_flags;
        for (number, sample) in run.samples.iter().enumerate() {
            let flags = first_flags.filter(|_| number == 0).or(sample.flags).unwrap_or(defaults.flags);
            self.tables.push(described(sample, flags))?;
        }
        Ok(())
    }
}

fn clamp(offset: i64) -> i32 {
    offset.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}
