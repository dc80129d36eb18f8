//! Sample entries of sound.

use std::num::NonZeroU32;

use shiguredo_mp4::boxes::{AudioSampleEntryFields, DopsBox, EsdsBox, Mp4aBox, OpusBox, SampleEntry};
use shiguredo_mp4::descriptors::{
    DecoderConfigDescriptor, DecoderSpecificInfo, EsDescriptor, SlConfigDescriptor,
};
use shiguredo_mp4::{Encode, FixedPointNumber, Uint};

use super::boxes::whole;
use super::error::Error;
use super::video::unknown;
use crate::access_unit::Codec;
use crate::parameter_sets::ParameterSets;

/// `objectTypeIndication` of MPEG-4 audio (ISO/IEC 14496-1, table 5).
const MPEG4_AUDIO: u8 = 0x40;
/// `streamType` of sound (ISO/IEC 14496-1, table 6).
const AUDIO_STREAM: u8 = 5;
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
            let esds_box = EsdsBox { es: aac(config) };
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

/// The descriptor of AAC with this AudioSpecificConfig (ISO/IEC 14496-14, 3.1.2).
fn aac(config: &[u8]) -> EsDescriptor {
    EsDescriptor {
        es_id: 0,
        stream_priority: Uint::new(0),
        depends_on_es_id: None,
        url_string: None,
        ocr_es_id: None,
        dec_config_descr: DecoderConfigDescriptor {
            object_type_indication: MPEG4_AUDIO,
            stream_type: Uint::new(AUDIO_STREAM),
            up_stream: Uint::new(0),
            buffer_size_db: Uint::new(0),
            max_bitrate: 0,
            avg_bitrate: 0,
            dec_specific_info: Some(DecoderSpecificInfo { payload: config.to_vec() }),
        },
        sl_config_descr: SlConfigDescriptor,
    }
}
