//! A file with one track of H.264, in memory.

use std::time::Duration;

use shiguredo_mp4::Encode;

use super::boxes;
use super::error::Error;
use super::format::TrackFormat;
use super::fragments::file_type;
use super::movie::{Edit, MovieTrack, created_at, index};
use super::tables::{SampleInfo, SampleTables};
use crate::access_unit::Codec;
use crate::parameter_sets::ParameterSets;

/// One access unit as a sample of the file.
#[derive(Debug, Clone, Copy)]
pub struct SampleData<'a> {
    /// The picture, in the form of [`AccessUnit::data`](crate::AccessUnit::data).
    pub data: &'a [u8],
    /// Whether decoding can start here.
    pub key: bool,
    /// Time from the decoding of this sample to that of the next one, in ticks of [`TIMESCALE`](crate::TIMESCALE). Without
    /// composition offsets it is how long the picture is shown.
    pub duration: u32,
    /// Ticks from the time at which the picture is decoded to that at which it is shown. 0 where pictures are in presentation
    /// order.
    pub composition_offset: i32,
}

/// Writes samples of H.264 in decoding order into a file. `created` is the creation time, since 1970. With an `edit`, only
/// that part of the track is shown.
///
/// # Errors
/// See [`Error`].
pub fn mux(
    sets: &ParameterSets,
    created: Duration,
    samples: &[SampleData<'_>],
    edit: Option<Edit>,
) -> Result<Vec<u8>, Error> {
    let Some(first) = samples.first().filter(|first| first.key) else {
        return Err(Error::Mux("the first sample is not a key frame".into()));
    };
    let format = TrackFormat::video(Codec::H264, Some(sets), first.data, None)?;
    let mut tables = SampleTables::default();
    for sample in samples {
        tables.push(SampleInfo {
            size: u32::try_from(sample.data.len()).map_err(Error::mux)?,
            duration: sample.duration,
            composition_offset: sample.composition_offset,
            key: sample.key,
        })?;
    }
    let edit = edit.unwrap_or(Edit { duration: tables.duration(), ..Edit::default() });
    let tracks = [MovieTrack { format: &format, edit, tables: &tables }];
    let mut file = file_type().encode_to_vec().map_err(Error::mux)?;
    let header = boxes::header(*b"mdat", tables.bytes());
    // All samples are one chunk, whose place has the same number of bytes wherever it is below 4 GiB.
    let length = file.len() + index(created_at(created), &tracks, 0)?.len() + header.len();
    let shift = i64::try_from(length).map_err(Error::mux)?;
    let index = index(created_at(created), &tracks, shift)?;
    file.reserve_exact(index.len() + header.len() + tables.bytes() as usize);
    file.extend(index);
    file.extend(header);
    samples.iter().for_each(|sample| file.extend_from_slice(sample.data));
    Ok(file)
}
