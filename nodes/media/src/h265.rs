//! NAL units of H.265 (ITU-T H.265, section 7.3): their types, and the parameter sets among them.

mod sps;

pub use sps::{Profile, Sps};

use h264_reader::rbsp::{BitRead as _, BitReader, BitReaderError, decode_nal};

/// Bytes of the header of a NAL unit.
pub const HEADER: usize = 2;

/// `nal_unit_type` of a video parameter set (table 7-1).
pub const VPS: u8 = 32;
/// `nal_unit_type` of a sequence parameter set.
pub const SPS: u8 = 33;
/// `nal_unit_type` of a picture parameter set.
pub const PPS: u8 = 34;

/// `nal_unit_type`, from the first byte of a NAL unit.
#[must_use]
pub fn unit_type(header: u8) -> u8 {
    header >> 1 & 0x3f
}

/// Whether a NAL unit of this type is a slice of a picture where decoding can start: an intra random access point.
#[must_use]
pub fn is_random_access(unit_type: u8) -> bool {
    matches!(unit_type, 16..=23)
}

/// The id of a parameter set. `None` if the unit is not a parameter set, is cut off, or has an id out of range.
#[must_use]
pub fn id_of_set(nal: &[u8]) -> Option<u32> {
    /// The longest set has its id within this: a sequence parameter set with the profiles of 7 layers.
    const MAX_BYTES: usize = 160;
    let (kind, rbsp) = (unit_type(*nal.first()?), payload(&nal[..nal.len().min(MAX_BYTES)])?);
    let mut bits = BitReader::new(&rbsp[..]);
    let id = match kind {
        VPS => bits.read::<u32>(4, "vps_video_parameter_set_id").ok()?,
        SPS => sps::read_until_id(&mut bits).ok()?.id,
        PPS => bits.read_ue("pps_pic_parameter_set_id").ok()?,
        _ => return None,
    };
    (id < if kind == PPS { 64 } else { 16 }).then_some(id)
}

/// The payload of a NAL unit, without its header and emulation prevention.
fn payload(nal: &[u8]) -> Option<Vec<u8>> {
    if nal.len() <= HEADER {
        return None;
    }
    // Removes the first byte of the header.
    decode_nal(nal).ok()?.get(HEADER - 1..).map(<[u8]>::to_vec)
}

/// Reads bits of a payload.
type Bits<'a> = BitReader<&'a [u8]>;

type Read<T> = Result<T, BitReaderError>;
