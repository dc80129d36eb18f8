//! A segment as an MP4 file in memory: ISO/IEC 14496-12 with an `avc1` track of ISO/IEC 14496-15.
//!
//! The index comes first, so that a player starts before it has the whole file. There are no B-frames, hence
//! neither composition offsets nor an edit list: presentation begins at zero and lasts exactly as long as the
//! samples' durations say.

use msight_picture::{Colour, Matrix, Range};
use shiguredo_mp4::bitstream::h264;
use shiguredo_mp4::boxes::{Avc1Box, AvccBox, SampleEntry, UnknownBox, VisualSampleEntryFields};
use shiguredo_mp4::mux::{Mp4FileMuxer, Mp4FileMuxerOptions, Sample, estimate_maximum_moov_box_size};
use shiguredo_mp4::{BoxSize, BoxType, TrackKind, Uint};
use std::num::NonZeroU32;
use std::time::Duration;

/// Ticks a second of the track and of the movie. RTP's video clock: every usual frame rate is exact or a
/// ten-thousandth of a frame away.
pub const TIMESCALE: NonZeroU32 = NonZeroU32::new(90_000).expect("not zero");

/// The SPS and PPS of a stream, each a NAL unit without start code (ITU-T H.264, 7.3.2.1 and 7.3.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSets {
    /// The sequence parameter set: profile, level, size, colours.
    pub sps: Vec<u8>,
    /// The picture parameter set.
    pub pps: Vec<u8>,
    /// What the sequence parameter set says of the colours.
    pub colour: Colour,
}

/// One access unit as a sample of the file.
#[derive(Debug, Clone, Copy)]
pub struct SampleData<'a> {
    /// NAL units, each after its length in four bytes, big-endian.
    pub data: &'a [u8],
    /// Whether decoding can start here.
    pub key: bool,
    /// How long the picture is shown, in ticks of [`TIMESCALE`].
    pub duration: u32,
}

/// Why no file could be made of the samples.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sequence parameter set is none, or describes something that MP4 cannot hold.
    #[error("the encoder's sequence parameter set cannot be read: {0}")]
    ParameterSets(String),
    /// The samples do not make a file: there are none, the first one is no key frame, or they are too long.
    #[error("the samples do not make an MP4 file: {0}")]
    Mux(String),
}

/// Writes samples in display order into a file created at `created` after 1970.
///
/// # Errors
/// See [`Error`].
pub fn mux(sets: &ParameterSets, created: Duration, samples: &[SampleData<'_>]) -> Result<Vec<u8>, Error> {
    if !samples.first().is_some_and(|first| first.key) {
        return Err(Error::Mux("the first sample is no key frame".into()));
    }
    let fault = |e: shiguredo_mp4::mux::MuxError| Error::Mux(e.to_string());
    let index = estimate_maximum_moov_box_size(&[samples.len()]) + sets.sps.len() + sets.pps.len();
    let mut muxer = Mp4FileMuxer::with_options(Mp4FileMuxerOptions {
        reserved_moov_box_size: index,
        creation_timestamp: created,
        ..Default::default()
    })
    .map_err(fault)?;

    let head = muxer.initial_boxes_bytes();
    let mut file = Vec::with_capacity(head.len() + samples.iter().map(|s| s.data.len()).sum::<usize>());
    file.extend_from_slice(head);
    let mut entry = Some(SampleEntry::Avc1(sample_entry(sets)?));
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
            "its index of {} bytes is larger than the {index} bytes reserved",
            boxes.moov_box_size()
        )));
    }
    for (offset, bytes) in boxes.offset_and_bytes_pairs() {
        let start = usize::try_from(offset).map_err(|e| Error::Mux(e.to_string()))?;
        file[start..start + bytes.len()].copy_from_slice(bytes);
    }
    Ok(file)
}

/// The `avc1` sample entry. Its size is the displayed one, after the cropping that the parameter set asks for.
fn sample_entry(sets: &ParameterSets) -> Result<Avc1Box, Error> {
    let sps = h264::parse_sps(&sets.sps).map_err(|e| Error::ParameterSets(e.to_string()))?;
    let high = !matches!(sps.profile_level_id.profile_idc, 66 | 77 | 88);
    Ok(Avc1Box {
        visual: VisualSampleEntryFields {
            data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
            width: sps.width,
            height: sps.height,
            horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
            vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
            frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
            compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
            depth: VisualSampleEntryFields::DEFAULT_DEPTH,
        },
        avcc_box: AvccBox {
            avc_profile_indication: sps.profile_level_id.profile_idc,
            profile_compatibility: sps.profile_level_id.profile_iop,
            avc_level_indication: sps.profile_level_id.level_idc,
            length_size_minus_one: Uint::new(3),
            sps_list: vec![sets.sps.clone()],
            pps_list: vec![sets.pps.clone()],
            chroma_format: high.then(|| Uint::new(sps.chroma_format_idc)),
            bit_depth_luma_minus8: high.then(|| Uint::new(sps.bit_depth_luma_minus8)),
            bit_depth_chroma_minus8: high.then(|| Uint::new(sps.bit_depth_chroma_minus8)),
            sps_ext_list: vec![],
        },
        unknown_boxes: vec![colour(sets.colour)],
    })
}

/// The `colr` box (ISO/IEC 14496-12, 12.1.5) with the code points of ITU-T H.273: BT.709 primaries and
/// transfer, and the matrix and range of the pictures. The same as the encoder writes into the parameter set, for
/// players that ask the file only.
fn colour(colour: Colour) -> UnknownBox {
    let matrix = match colour.matrix {
        Matrix::Bt601 => 6,
        Matrix::Bt709 => 1,
    };
    let full_range = if colour.range == Range::Full { 0x80 } else { 0 };
    let payload = [&b"nclx"[..], &[0, 1, 0, 1, 0, matrix, full_range]].concat();
    let box_size = BoxSize::U32(8 + payload.len() as u32);
    UnknownBox { box_type: BoxType::Normal(*b"colr"), box_size, payload }
}
