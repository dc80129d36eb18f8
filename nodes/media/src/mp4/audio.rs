//! Sample entries of sound.

use std::num::NonZeroU32;

use shiguredo_mp4::boxes::{AudioSampleEntryFields, DopsBox, Mp4aBox, OpusBox, SampleEntry};
use shiguredo_mp4::{Encode, FixedPointNumber};

use super::boxes::{unknown, whole};
use super::descriptor::{MPEG4_AUDIO, esds};
use super::error::Error;
use crate::access_unit::Codec;
use crate::parameter_sets::ParameterSets;

/// The sampling rate of Opus, whatever the sound was.
const OPUS_RATE: u32 = 48_000;
/// Most channels of an entry.
const MAX_CHANNELS: u32 = 8;

/// The entry of a codec, and the bytes of a sample of uncompressed sound.
pub(super) fn entry(
    codec: Codec,
    sets: Option<&ParameterSets>,
    rate: u32,
    channels: u32,
) -> Result<(SampleEntry, Option<NonZeroU32>), Error> {
    let channels = channels.clamp(1, MAX_CHANNELS);
    let fields = |rate| fields(rate, channels);
    match codec {
        Codec::Aac => {
            let config = sets.and_then(|sets| sets.all().first()).ok_or(Error::NoParameterSets(codec))?;
            let esds_box = esds(MPEG4_AUDIO, Some(config.to_vec()));
            Ok((SampleEntry::Mp4a(Mp4aBox { audio: fields(rate), esds_box, unknown_boxes: vec![] }), None))
        }
        Codec::Opus => {
            let dops_box = DopsBox {
                output_channel_count: channels.min(2) as u8,
                // A live stream has been played before: no samples are to be skipped.
                pre_skip: 0,
                input_sample_rate: OPUS_RATE,
                output_gain: 0,
            };
            let audio = fields(OPUS_RATE);
            Ok((SampleEntry::Opus(OpusBox { audio, dops_box, unknown_boxes: vec![] }), None))
        }
        Codec::Pcma => pcm(*b"alaw", &fields(rate), &[], channels),
        Codec::Pcmu => pcm(*b"ulaw", &fields(rate), &[], channels),
        Codec::L16 => {
            // Big-endian samples of 16 bits (ISO/IEC 23003-5, 5.2.1).
            let config = whole(*b"pcmC", &[0, 0, 0, 0, 0, 16]);
            pcm(*b"ipcm", &fields(rate), &config, 2 * channels)
        }
        Codec::H264 | Codec::H265 | Codec::Jpeg | Codec::Metadata => Err(Error::Codec(codec)),
    }
}

/// Uncompressed sound, with `bytes` bytes for a sample of all channels.
fn pcm(
    kind: [u8; 4],
    fields: &AudioSampleEntryFields,
    config: &[u8],
    bytes: u32,
) -> Result<(SampleEntry, Option<NonZeroU32>), Error> {
    let mut payload = fields.encode_to_vec().map_err(Error::mux)?;
    payload.extend_from_slice(config);
    Ok((SampleEntry::Unknown(unknown(kind, payload)), NonZeroU32::new(bytes)))
}

fn fields(rate: u32, channels: u32) -> AudioSampleEntryFields {
    AudioSampleEntryFields {
        data_reference_index: AudioSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
        channelcount: channels as u16,
        samplesize: AudioSampleEntryFields::DEFAULT_SAMPLESIZE,
        // A higher rate has no place here; decoders read it from the configuration.
        samplerate: FixedPointNumber::new(u16::try_from(rate).unwrap_or(0), 0),
    }
}
