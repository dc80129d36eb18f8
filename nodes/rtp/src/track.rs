//! One track of a description: how its units are encoded and packed, and where it is.

use std::sync::Arc;

use msight_media::{Codec, ParameterSets};

/// One track of a camera that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// How its units are encoded and packed.
    pub format: Format,
    /// The payload type of its packets.
    pub payload_type: u8,
    /// Ticks of its timestamps in a second; never 0.
    pub clock_rate: u32,
    /// The address of the track, as the camera writes it: absolute, relative to the description's, or absent.
    pub control: Option<String>,
}

/// How the units of a track are encoded and packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// H.264 in any packetization mode (RFC 6184).
    H264 {
        /// The sets of `sprop-parameter-sets`, if any.
        sets: Option<Arc<ParameterSets>>,
    },
    /// H.265 (RFC 7798).
    H265 {
        /// The sets of `sprop-vps`, `sprop-sps` and `sprop-pps`, if any.
        sets: Option<Arc<ParameterSets>>,
        /// Payloads have a DONL field: `sprop-max-don-diff` is above 0.
        has_decoding_order: bool,
    },
    /// JPEG (RFC 2435).
    Jpeg {
        /// Width and height in pixels, for pictures above 2040 pixels, whose size the packets do not have.
        size: Option<(u32, u32)>,
    },
    /// AAC (RFC 3640).
    Aac {
        /// The AudioSpecificConfig.
        config: Option<Arc<ParameterSets>>,
        /// `sizelength`, `indexlength` and `indexdeltalength`, bits.
        header: [u8; 3],
    },
    /// AAC in LATM (RFC 6416).
    Latm {
        /// The AudioSpecificConfig, from the StreamMuxConfig of the description.
        config: Option<Arc<ParameterSets>>,
    },
    /// Opus (RFC 7587).
    Opus,
    /// G.711 with the A-law.
    Pcma,
    /// G.711 with the µ-law.
    Pcmu,
    /// Linear samples of 16 bits, with this number of channels.
    L16 {
        /// Number of channels.
        channels: u8,
    },
    /// ONVIF metadata: a document may extend over several packets; the marker is on its last one.
    Metadata,
}

impl Format {
    /// The codec of its units.
    #[must_use]
    pub fn codec(&self) -> Codec {
        match self {
            Self::H264 { .. } => Codec::H264,
            Self::H265 { .. } => Codec::H265,
            Self::Jpeg { .. } => Codec::Jpeg,
            Self::Aac { .. } | Self::Latm { .. } => Codec::Aac,
            Self::Opus => Codec::Opus,
            Self::Pcma => Codec::Pcma,
            Self::Pcmu => Codec::Pcmu,
            Self::L16 { .. } => Codec::L16,
            Self::Metadata => Codec::Metadata,
        }
    }
}
