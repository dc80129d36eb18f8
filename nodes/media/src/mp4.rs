//! An MP4 file in memory: ISO/IEC 14496-12 with an `avc1` track of ISO/IEC 14496-15.
//!
//! The index comes first, so a player can start before it has the whole file. Samples are in presentation order, so the
//! file needs neither composition offsets nor an edit list. Presentation begins at zero and lasts for the sum of the
//! sample durations.

use std::time::Duration;

use bytes::Bytes;
use shiguredo_mp4::boxes::{Avc1Box, AvccBox, SampleEntry, UnknownBox, VisualSampleEntryFields};
use shiguredo_mp4::mux::{Mp4FileMuxer, Mp4FileMuxerOptions, Sample, estimate_maximum_moov_box_size};
use shiguredo_mp4::{BoxSize, BoxType, TrackKind, Uint};

use crate::access_unit::TIMESCALE;
use crate::parameter_sets::ParameterSets;
use crate::sps::{Sps, SpsError};

/// One access unit as a sample of the file.
#[derive(Debug, Clone, Copy)]
pub struct SampleData<'a> {
    /// The picture, in the form of [`AccessUnit::data`](crate::AccessUnit::data).
    pub data: &'a [u8],
    /// Whether decoding can start here.
    pub key: bool,
    /// How long the picture is shown, in ticks of [`TIMESCALE`].
    pub duration: u32,
}

/// Why the file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sequence parameter set is invalid.
    #[error(transparent)]
    ParameterSets(#[from] SpsError),
    /// The picture is too large for MP4.
    #[error("an MP4 file cannot hold pictures of {0}x{1}")]
    Size(u32, u32),
    /// The samples are invalid: the list is empty, the first sample is not a key frame, or the samples are too long.
    #[error("cannot write an MP4 file: {0}")]
    Mux(String),
}

/// Writes samples of H.264 in presentation order into a file. `created` is the creation time, since 1970.
///
/// # Errors
/// See [`Error`].
pub fn mux(sets: &ParameterSets, created: Duration, samples: &[SampleData<'_>]) -> Result<Vec<u8>, Error> {
    if !samples.first().is_some_and(|first| first.key) {
        return Err(Error::Mux("the first sample is not a key frame".into()));
    }
    let fault = |e: shiguredo_mp4::mux::MuxError| Error::Mux(e.to_string());
    let index =
        estimate_maximum_moov_box_size(&[samples.len()]) + sets.all().iter().map(Bytes::len).sum::<usize>();
    let mut muxer = Mp4FileMuxer::with_options(Mp4FileMuxerOptions {
        reserved_moov_box_size: index,
        creation_timestamp: created,
        ..Default::default()
    })
    .map_err(fault)?;

    let head = muxer.initial_boxes_bytes();
    let mut file = Vec::with_capacity(head.len() + samples.iter().map(|s| s.data.len()).sum::<usize>());
    file.extend_from_slice(head);
    let mut entry = Some(SampleEntry::Avc1(sample_entry(sets, samples)?));
    for sample in samples {
        muxer
            .append_sample(&Sample {
                track_kind: TrackKind::Video,
                sample_entry: entry.take(),
                keyframe: sample.key,
                timescale: TIMESCALE,
                duration: sample.duration,
                composition_time_offset: None,
                data_offset: file.len() as u64,
                data_size: sample.data.len(),
            })
            .map_err(fault)?;
        file.extend_from_slice(sample.data);
    }
    let boxes = muxer.finalize().map_err(fault)?;
    if !boxes.is_faststart_enabled() {
        return Err(Error::Mux(format!(
            "the index has {} bytes, more than the {index} reserved for it",
            boxes.moov_box_size()
        )));
    }
    for (offset, bytes) in boxes.offset_and_bytes_pairs() {
        let start = usize::try_from(offset).map_err(|e| Error::Mux(e.to_string()))?;
        file[start..start + bytes.len()].copy_from_slice(bytes);
    }
    Ok(file)
}

/// The `avc1` sample entry. Its size is that of the cropped picture.
fn sample_entry(sets: &ParameterSets, samples: &[SampleData<'_>]) -> Result<Avc1Box, Error> {
    let first = samples.first().map_or(&[][..], |first| first.data);
    let sps = Sps::parse(sets.h264_sps_of(first).map_or(&[][..], |sps| sps))?;
    let list = |sets: &mut dyn Iterator<Item = &Bytes>| sets.map(|set| set.to_vec()).collect();
    let side = |side: u32| u16::try_from(side).map_err(|_| Error::Size(sps.width, sps.height));
    // Baseline, Main and Extended profile have no such fields in the box (ISO/IEC 14496-15, 5.3.3.1).
    let high = !matches!(sps.profile, 66 | 77 | 88);
    Ok(Avc1Box {
        visual: VisualSampleEntryFields {
            data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
            width: side(sps.width)?,
            height: side(sps.height)?,
            horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
            vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
            frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
            compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
            depth: VisualSampleEntryFields::DEFAULT_DEPTH,
        },
        avcc_box: AvccBox {
            avc_profile_indication: sps.profile,
            profile_compatibility: sps.constraints,
            avc_level_indication: sps.level,
            length_size_minus_one: Uint::new(3),
            sps_list: list(&mut sets.h264_sps()),
            pps_list: list(&mut sets.h264_pps()),
            chroma_format: high.then(|| Uint::new(sps.chroma_format)),
            bit_depth_luma_minus8: high.then(|| Uint::new(sps.luma_bits - 8)),
            bit_depth_chroma_minus8: high.then(|| Uint::new(sps.chroma_bits - 8)),
            sps_ext_list: vec![],
        },
        unknown_boxes: colour(&sps).into_iter().collect(),
    })
}

/// The `colr` box (ISO/IEC 14496-12, 12.1.5) with the colours of the parameter set, for players that read only the
/// boxes.
fn colour(sps: &Sps) -> Option<UnknownBox> {
    let colour = sps.colour?;
    let full_range = if sps.full_range == Some(true) { 0x80 } else { 0 };
    let code_points = [0, colour.primaries, 0, colour.transfer, 0, colour.matrix, full_range];
    let payload = [&b"nclx"[..], &code_points].concat();
    let box_size = BoxSize::U32(8 + payload.len() as u32);
    Some(UnknownBox { box_type: BoxType::Normal(*b"colr"), box_size, payload })
}
