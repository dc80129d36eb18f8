//! What the samples of a track are.

use std::num::NonZeroU32;

use shiguredo_mp4::Encode as _;
use shiguredo_mp4::boxes::SampleEntry;

use super::boxes::HEADER;
use super::error::Error;
use super::{audio, video};
use crate::access_unit::{Codec, Kind, TIMESCALE};
use crate::parameter_sets::ParameterSets;

/// What the samples of a track are: its sample entry (ISO/IEC 14496-12, 8.5.2) and its clock.
#[derive(Clone, Debug)]
pub struct TrackFormat {
    pub(super) kind: Kind,
    pub(super) timescale: NonZeroU32,
    pub(super) entry: SampleEntry,
    /// Width and height of pictures, in pixels.
    pub(super) size: Option<(u16, u16)>,
    /// Bytes of one sample of uncompressed sound. What a unit holds are then many samples of one tick each.
    pub(super) sound_sample: Option<NonZeroU32>,
}

impl TrackFormat {
    /// Pictures of a codec, with times in ticks of [`TIMESCALE`]. `first` is the data of the first unit, in the form of
    /// [`AccessUnit::data`](crate::AccessUnit::data), and `size` the width and height in pixels, for a codec whose parameter
    /// sets do not tell.
    ///
    /// The entries are `avc1`, `hvc1`, and `mp4v` for JPEG, all with their parameter sets in the index.
    ///
    /// # Errors
    /// The codec is not one of pictures, its parameter sets or its size are missing, or the pictures are too large.
    pub fn video(
        codec: Codec,
        sets: Option<&ParameterSets>,
        first: &[u8],
        size: Option<(u32, u32)>,
    ) -> Result<Self, Error> {
        let (entry, size) = video::entry(codec, sets, first, size)?;
        Ok(Self { kind: Kind::Video, timescale: TIMESCALE, entry, size: Some(size), sound_sample: None })
    }

    /// Sound of a codec, with `rate` ticks a second, which is the sampling rate.
    ///
    /// The entries are `mp4a`, `Opus`, `ulaw` and `alaw` as in QuickTime files, and `ipcm` (ISO/IEC 23003-5) for
    /// [`Codec::L16`].
    ///
    /// # Errors
    /// The codec is not one of sound, or AAC without its configuration.
    pub fn audio(
        codec: Codec,
        sets: Option<&ParameterSets>,
        rate: NonZeroU32,
        channels: u32,
    ) -> Result<Self, Error> {
        let (entry, sound_sample) = audio::entry(codec, sets, rate.get(), channels)?;
        Ok(Self { kind: Kind::Audio, timescale: rate, entry, size: None, sound_sample })
    }

    /// Pictures or sound.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Ticks a second.
    #[must_use]
    pub fn timescale(&self) -> NonZeroU32 {
        self.timescale
    }

    /// Width and height of pictures, in pixels.
    #[must_use]
    pub fn size(&self) -> Option<(u16, u16)> {
        self.size
    }

    /// What a decoder of H.264, H.265 or AAC needs first, as other containers hold it too (ISO/IEC 14496-15, 5.3.3.1.2 and
    /// 8.3.3.1.2; AudioSpecificConfig). `None` for other codecs.
    ///
    /// # Errors
    /// The parameter sets are too large.
    pub(crate) fn decoder_configuration(&self) -> Result<Option<Vec<u8>>, Error> {
        let whole = match &self.entry {
            SampleEntry::Avc1(entry) => entry.avcc_box.encode_to_vec(),
            SampleEntry::Hvc1(entry) => entry.hvcc_box.encode_to_vec(),
            SampleEntry::Mp4a(entry) => {
                let config = entry.esds_box.es.dec_config_descr.dec_specific_info.as_ref();
                return Ok(config.map(|config| config.payload.clone()));
            }
            _ => return Ok(None),
        };
        let mut content = whole.map_err(Error::mux)?;
        content.drain(..HEADER as usize);
        Ok(Some(content))
    }
}
