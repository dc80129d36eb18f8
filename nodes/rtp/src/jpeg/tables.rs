//! Quantization tables, and the Huffman tables that RFC 2435 presumes.

use crate::fault::Fault;

/// Quantization tables by their identifier, each in zigzag order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tables([Option<[u16; 64]>; 4]);

impl Tables {
    /// The tables of a quality (RFC 2435, section 4.2 and appendix A).
    pub(super) fn of_quality(q: u8) -> Result<Self, Fault> {
        // The standard ends at 99. 100 is what the same formula and encoders mean by it: no quantization.
        let scale = match u32::from(q) {
            0 | 101.. => return Err(Fault::BadPayload),
            q @ 1..50 => 5000 / q,
            q => 200 - q * 2,
        };
        let scaled =
            |base: [u8; 64]| base.map(|value| ((u32::from(value) * scale + 50) / 100).clamp(1, 255) as u16);
        Ok(Self([Some(scaled(LUMA)), Some(scaled(CHROMA)), None, None]))
    }

    /// The tables in a quantization table header. Bit n of `precision`: the values of table n have two bytes.
    pub(super) fn in_band(precision: u8, mut bytes: &[u8]) -> Result<Self, Fault> {
        let mut tables = Self::default();
        for (id, table) in tables.0.iter_mut().enumerate() {
            let Some((values, rest)) = values(precision >> id & 1 == 1, bytes) else { break };
            *table = Some(values);
            bytes = rest;
        }
        tables.0[0].is_some().then_some(tables).ok_or(Fault::BadPayload)
    }

    /// Takes the tables of a DQT segment (ITU-T T.81, section B.2.4.1) in place of those with the same identifier.
    pub(super) fn replace(&mut self, segment: &[u8]) {
        let mut bytes = segment.get(4..).unwrap_or_default();
        while let [precision_and_id, rest @ ..] = bytes
            && let Some((values, rest)) = values(precision_and_id >> 4 != 0, rest)
        {
            if let Some(table) = self.0.get_mut(usize::from(precision_and_id & 0x0f)) {
                *table = Some(values);
            }
            bytes = rest;
        }
    }

    /// Whether all four tables are missing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// The identifier of the table for chroma, if table 0 is for luma.
    pub(super) fn chroma(&self) -> u8 {
        self.0[1].is_some().into()
    }

    /// A value is above 255, which a baseline frame may not have.
    pub(super) fn are_wide(&self) -> bool {
        self.0.iter().flatten().any(is_wide)
    }

    /// Appends a DQT segment for each table.
    pub(super) fn write(&self, file: &mut Vec<u8>) {
        for (id, table) in (0..).zip(&self.0) {
            let Some(table) = table else { continue };
            if is_wide(table) {
                file.extend([0xff, 0xdb, 0, 131, 0x10 | id]);
                file.extend(table.iter().flat_map(|value| value.to_be_bytes()));
            } else {
                file.extend([0xff, 0xdb, 0, 67, id]);
                file.extend(table.iter().map(|value| *value as u8));
            }
        }
    }
}

fn is_wide(table: &[u16; 64]) -> bool {
    table.iter().any(|value| *value > 0xff)
}

/// The values of one table, and what follows.
fn values(wide: bool, bytes: &[u8]) -> Option<([u16; 64], &[u8])> {
    if wide {
        let (values, rest) = bytes.split_first_chunk::<128>()?;
        Some((std::array::from_fn(|i| u16::from_be_bytes([values[i * 2], values[i * 2 + 1]])), rest))
    } else {
        let (values, rest) = bytes.split_first_chunk::<64>()?;
        Some((values.map(u16::from), rest))
    }
}

/// ITU-T T.81, table K.1, in zigzag order.
const LUMA: [u8; 64] = [
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40,
    58, 51, 61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103,
    104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
];

/// Table K.2, in zigzag order.
const CHROMA: [u8; 64] = [
    17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];

/// Appends DHT segments with the tables K.3 to K.6 of ITU-T T.81: DC and AC of luma, then of chroma.
pub(super) fn write_huffman(file: &mut Vec<u8>) {
    for (class_and_id, counts, values) in [
        (0x00, DC_LUMA, &DC_VALUES[..]),
        (0x10, AC_LUMA, &AC_LUMA_VALUES),
        (0x01, DC_CHROMA, &DC_VALUES),
        (0x11, AC_CHROMA, &AC_CHROMA_VALUES),
    ] {
        let length = 2 + 1 + counts.len() + values.len();
        file.extend([0xff, 0xc4, 0, length as u8, class_and_id]);
        file.extend(counts);
        file.extend(values);
    }
}

/// Table K.3: how many codes have each length, from 1 to 16 bits.
const DC_LUMA: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];

/// Table K.4.
const DC_CHROMA: [u8; 16] = [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0];

/// Tables K.3 and K.4: the values.
const DC_VALUES: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/// Table K.5.
const AC_LUMA: [u8; 16] = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125];

/// Table K.6.
const AC_CHROMA: [u8; 16] = [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119];

/// Table K.5: the values.
const AC_LUMA_VALUES: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22,
    0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33,
    0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34,
    0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55,
    0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76,
    0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5,
    0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4,
    0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1,
    0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

/// Table K.6: the values.
const AC_CHROMA_VALUES: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13,
    0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62,
    0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29,
    0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54,
    0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75,
    0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94,
    0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3,
    0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2,
    0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea,
    0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];
