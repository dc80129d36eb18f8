//! Writes a fragmented file (ISO/IEC 14496-12, 8.8): a short index, then fragments, each with the index of its own samples.

use std::time::Duration;

use bytes::Bytes;
use shiguredo_mp4::boxes::{
    Brand, FtypBox, MfhdBox, MoofBox, TfdtBox, TfhdBox, TrafBox, TrunBox, TrunSample,
};
use shiguredo_mp4::{Encode, SampleFlags};

use super::boxes::{self, HEADER, LARGE_HEADER};
use super::error::Error;
use super::format::TrackFormat;
use super::moof::MAX_SAMPLES;
use super::movie::{Edit, MovieTrack, created_at, fragmented_index};
use super::tables::SampleTables;

/// Flags of a sample at which decoding can start: it depends on no other one (ISO/IEC 14496-12, 8.8.3.1).
pub(super) const KEY: SampleFlags = SampleFlags::from_fields(0, 2, 0, 0, 0, false, 0);
/// Flags of any other sample.
const NOT_KEY: SampleFlags = SampleFlags::from_fields(0, 1, 0, 0, 0, true, 0);

/// A track of a fragmented file.
#[derive(Clone, Debug)]
pub struct FragmentTrack {
    /// What its samples are.
    pub format: TrackFormat,
    /// The composition time of the first picture shown, in ticks: the composition offset of the first sample where pictures
    /// refer to later ones, and otherwise 0.
    pub media_time: u64,
}

/// A sample of a fragment.
#[derive(Clone, Debug)]
pub struct FragmentSample {
    /// The unit, in the form of [`AccessUnit::data`](crate::AccessUnit::data).
    pub data: Bytes,
    /// Ticks from its decoding time to that of the next sample.
    pub duration: u32,
    /// Ticks from its decoding time to its presentation time.
    pub composition_offset: i32,
    /// Whether decoding can start here.
    pub key: bool,
}

/// The samples of one track in a fragment.
#[derive(Clone, Debug)]
pub struct TrackRun {
    /// The track's position in the list that the file was begun with.
    pub track: usize,
    /// The decoding time of the first sample, in ticks of the track from the start of the file. The next run of the track
    /// may begin later than this one ends: the last sample then lasts until there.
    pub decode_time: u64,
    /// The samples in decoding order.
    pub samples: Vec<FragmentSample>,
}

/// Makes the boxes of a fragmented file. The caller writes them into the file, each followed by the data that belongs to it.
#[derive(Debug)]
pub struct FragmentWriter {
    tracks: Vec<FragmentTrack>,
    fragments: u32,
}

impl FragmentWriter {
    /// For a file with these tracks.
    #[must_use]
    pub fn new(tracks: Vec<FragmentTrack>) -> Self {
        Self { tracks, fragments: 0 }
    }

    /// The beginning of the file, made at `created` since 1970. `room` bytes are kept free for the index of the whole file,
    /// and `user` is whole boxes that belong to the open file, such as a [`uuid_box`](super::uuid_box).
    ///
    /// # Errors
    /// The tracks have no form in MP4.
    pub fn head(&self, created: Duration, room: u32, user: &[u8]) -> Result<Vec<u8>, Error> {
        let tables = SampleTables::default();
        let tracks: Vec<_> = (self.tracks.iter())
            .map(|track| MovieTrack {
                format: &track.format,
                edit: Edit { media_time: track.media_time, ..Edit::default() },
                tables: &tables,
            })
            .collect();
        let mut head = file_type().encode_to_vec().map_err(Error::mux)?;
        // The header of the box for the samples will be behind the index.
        let content = u64::from(room).max(HEADER) - HEADER + LARGE_HEADER;
        head.extend(boxes::header(*b"free", content));
        head.resize(head.len() + content as usize, 0);
        head.extend_from_slice(user);
        head.extend(fragmented_index(created_at(created), &tracks)?);
        Ok(head)
    }

    /// The index of the next fragment, and the header of its data. The data of all samples has to follow, in the order of the
    /// runs.
    ///
    /// # Errors
    /// The fragment has 2 GiB or more, or more than 2^23 samples, or a run has samples of uncompressed sound that are not whole.
    pub fn fragment(&mut self, runs: &[TrackRun]) -> Result<Vec<u8>, Error> {
        self.fragments = self.fragments.wrapping_add(1);
        let bytes: usize = runs.iter().map(run_bytes).sum();
        let samples: u64 = runs.iter().map(|run| self.samples(run)).sum();
        if samples > MAX_SAMPLES {
            return Err(Error::mux(format!("a fragment of {samples} samples")));
        }
        // The places of the data count from the beginning of the index, whose length does not depend on them.
        let length = self.index(runs, 0)?.len();
        if i32::try_from(length + bytes + LARGE_HEADER as usize).is_err() {
            return Err(Error::mux(format!("a fragment of {bytes} bytes")));
        }
        let mut index = self.index(runs, length + HEADER as usize)?;
        index.extend(boxes::header(*b"mdat", bytes as u64));
        Ok(index)
    }

    /// The number of samples that the file will have of a run.
    fn samples(&self, run: &TrackRun) -> u64 {
        let sound = self.tracks.get(run.track).and_then(|track| track.format.sound_sample);
        sound.map_or(run.samples.len(), |bytes| run_bytes(run) / bytes.get() as usize) as u64
    }

    fn index(&self, runs: &[TrackRun], mut place: usize) -> Result<Vec<u8>, Error> {
        let mut traf_boxes = Vec::with_capacity(runs.len());
        for run in runs.iter().filter(|run| !run.samples.is_empty()) {
            let track = self.tracks.get(run.track).ok_or_else(|| Error::mux("a run of an unknown track"))?;
            traf_boxes.push(track_fragment(run, &track.format, place)?);
            place += run_bytes(run);
        }
        let moof = MoofBox {
            mfhd_box: MfhdBox { sequence_number: self.fragments },
            traf_boxes,
            unknown_boxes: vec![],
        };
        moof.encode_to_vec().map_err(Error::mux)
    }
}

/// The `ftyp` box: plain players know `isom`, and fragments are described by `iso5`.
pub(super) fn file_type() -> FtypBox {
    FtypBox {
        major_brand: Brand::ISOM,
        minor_version: 512,
        compatible_brands: vec![Brand::ISOM, Brand::ISO2, Brand::ISO5, Brand::ISO6, Brand::MP41],
    }
}

fn run_bytes(run: &TrackRun) -> usize {
    run.samples.iter().map(|sample| sample.data.len()).sum()
}

/// The `traf` box of a run whose data is `place` bytes behind the beginning of the `moof` box.
fn track_fragment(run: &TrackRun, format: &TrackFormat, place: usize) -> Result<TrafBox, Error> {
    let mut defaults = TfhdBox {
        track_id: run.track as u32 + 1,
        base_data_offset: None,
        sample_description_index: None,
        default_sample_duration: None,
        default_sample_size: None,
        default_sample_flags: None,
        duration_is_empty: false,
        default_base_is_moof: true,
    };
    let samples = match format.sound_sample {
        None => described(&run.samples),
        Some(bytes) => {
            let length = run_bytes(run);
            if !length.is_multiple_of(bytes.get() as usize) {
                return Err(Error::mux(format!("{length} bytes of sound in samples of {bytes} bytes")));
            }
            (defaults.default_sample_duration, defaults.default_sample_size) = (Some(1), Some(bytes.get()));
            defaults.default_sample_flags = Some(KEY);
            let plain = TrunSample { duration: None, size: None, flags: None, composition_time_offset: None };
            vec![plain; length / bytes.get() as usize]
        }
    };
    Ok(TrafBox {
        tfhd_box: defaults,
        tfdt_box: Some(TfdtBox { version: 1, base_media_decode_time: run.decode_time }),
        trun_boxes: vec![TrunBox {
            data_offset: Some(i32::try_from(place).map_err(Error::mux)?),
            first_sample_flags: None,
            samples,
        }],
        unknown_boxes: vec![],
    })
}

/// Samples with their own duration, size and flags.
fn described(samples: &[FragmentSample]) -> Vec<TrunSample> {
    let has_offsets = samples.iter().any(|sample| sample.composition_offset != 0);
    let describe = |sample: &FragmentSample| TrunSample {
        duration: Some(sample.duration),
        size: u32::try_from(sample.data.len()).ok(),
        flags: Some(if sample.key { KEY } else { NOT_KEY }),
        composition_time_offset: has_offsets.then(|| sample.composition_offset.into()),
    };
    samples.iter().map(describe).collect()
}
