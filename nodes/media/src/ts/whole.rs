//! How much of an unfinished stream is whole.

use std::io::{self, Read, Seek, SeekFrom};

use super::PACKET;

/// Packets that are read at once, from the end of the file.
const CHUNK: u64 = 1024;
const SYNC_BYTE: u8 = 0x47;
/// `payload_unit_start_indicator`, in the second byte of a packet.
const UNIT_START: u8 = 0x40;
/// Flags of an adaptation field and of a payload, in the fourth byte.
const ADAPTATION: u8 = 0x20;
const PAYLOAD: u8 = 0x10;
/// Bytes of a PES header up to its `PES_packet_length`, which counts the rest.
const PES_COUNTED: usize = 6;

/// The part of an unfinished file that consists of whole units, as [`TsWriter`](super::TsWriter) writes them one after the
/// other: what follows is a unit that was cut off.
///
/// # Errors
/// The file cannot be read.
pub fn whole_length(file: &mut (impl Read + Seek)) -> io::Result<u64> {
    let packets = file.seek(SeekFrom::End(0))? / PACKET as u64;
    let mut bytes = Vec::new();
    // What the packets behind the current one carry of the last unit, and whether the last one of them is filled up.
    let (mut carried, mut is_filled, mut end) = (0, None, packets);
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        file.seek(SeekFrom::Start(start * PACKET as u64))?;
        bytes.resize((end - start) as usize * PACKET, 0);
        file.read_exact(&mut bytes)?;
        for (index, packet) in bytes.chunks_exact(PACKET).enumerate().rev() {
            let number = start + index as u64;
            let Some(payload) = payload(packet) else { continue };
            let filled = *is_filled.get_or_insert(payload.len() < PACKET - 4);
            if packet[1] & UNIT_START == 0 {
                carried += payload.len();
                continue;
            }
            // Tables are one packet each. Long video does not state its length: its last packet is filled up.
            let length = match payload {
                [0, 0, 1, _, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
                _ => return Ok((number + 1) * PACKET as u64),
            };
            let is_whole = match length {
                0 => carried > 0 && filled,
                length => payload.len() + carried >= PES_COUNTED + length,
            };
            return Ok(if is_whole { packets } else { number } * PACKET as u64);
        }
        end = start;
    }
    Ok(0)
}

/// The payload of a packet, if it has one.
fn payload(packet: &[u8]) -> Option<&[u8]> {
    if packet[0] != SYNC_BYTE || packet[3] & PAYLOAD == 0 {
        return None;
    }
    let field = if packet[3] & ADAPTATION == 0 { 0 } else { 1 + usize::from(packet[4]) };
    packet.get(4 + field..)
}
