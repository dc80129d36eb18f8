//! The headers of a payload (RFC 2435, section 3.1).

use crate::fault::Fault;

/// The headers in one payload, and what follows them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    /// Where `data` belongs in the entropy-coded data of the picture, bytes.
    pub(super) offset: usize,
    /// The colour sampling: 0 is 4:2:2, 1 is 4:2:0.
    pub(super) kind: u8,
    /// Which quantization tables the picture has.
    pub(super) q: u8,
    /// Width and height in units of 8 pixels; 0 is unknown.
    pub(super) blocks: (u8, u8),
    /// Blocks between two restart markers.
    pub(super) restart_interval: Option<u16>,
    /// The precision field, and the quantization tables. Empty: the tables that were sent before with this `q`.
    pub(super) tables: (u8, &'a [u8]),
    /// Entropy-coded data.
    pub(super) data: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads a payload.
    pub(super) fn read(payload: &'a [u8]) -> Result<Self, Fault> {
        let (main, mut data) = payload.split_first_chunk().ok_or(Fault::BadPayload)?;
        // The first byte is for interlaced fields. Each field is a picture, as in ffmpeg and GStreamer.
        let [_, o1, o2, o3, kind, q, width, height] = *main;
        let offset = u32::from_be_bytes([0, o1, o2, o3]) as usize;
        let mut restart_interval = None;
        if kind & 0xc0 == 0x40 {
            let ([i1, i2, _, _], rest) = data.split_first_chunk().ok_or(Fault::BadPayload)?;
            restart_interval = Some(u16::from_be_bytes([*i1, *i2]));
            data = rest;
        }
        let mut tables = (0, &[][..]);
        if q >= 128 && offset == 0 {
            let ([_, precision, l1, l2], rest) = data.split_first_chunk().ok_or(Fault::BadPayload)?;
            let length = u16::from_be_bytes([*l1, *l2]);
            let (bytes, rest) = rest.split_at_checked(length.into()).ok_or(Fault::BadPayload)?;
            tables = (*precision, bytes);
            data = rest;
        }
        // 64 to 127 are the types 0 to 63 with restart intervals; higher ones are unassigned.
        let kind = if restart_interval.is_some() { kind - 0x40 } else { kind };
        Ok(Self { offset, kind, q, blocks: (width, height), restart_interval, tables, data })
    }

    /// The size in pixels, unless it is unknown.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        let (width, height) = self.blocks;
        (width > 0 && height > 0).then_some((u32::from(width) * 8, u32::from(height) * 8))
    }
}
