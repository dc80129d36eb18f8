//! What an MPEG transport stream has (ISO/IEC 13818-1): tracks by its tables, times by its packets.

mod track;

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use msight_media::ts::PACKET;

use super::format::SYNC;
pub(super) use track::StreamTrack;

/// The packet identifier of the program association table, and that of empty packets.
const PAT: u16 = 0;
const NULL: u16 = 0x1fff;
/// Most tracks, and most tables of programs.
const MAX_TRACKS: usize = 64;
/// Most bytes of a table (2.4.4.8).
const MAX_SECTION: usize = 1024;

/// What a stream has.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) tracks: Vec<StreamTrack>,
    /// How often the counters of packets jumped.
    pub(super) lost: u64,
    /// Bytes that are not in packets.
    pub(super) stray: u64,
    /// Bytes of the last packet, if it is cut off.
    cut_off: usize,
    programs: Vec<u16>,
    counters: HashMap<u16, u8>,
    sections: HashMap<u16, Vec<u8>>,
}

impl Stream {
    /// What is wrong. A file that is still written ends within a packet.
    pub(super) fn faults(&self, is_open: bool) -> Vec<String> {
        let mut faults = Vec::new();
        if self.tracks.is_empty() {
            faults.push("it has no table of its tracks (PAT and PMT)".to_owned());
        }
        if self.lost > 0 {
            faults.push(format!("packets are missing at {} places", self.lost));
        }
        if self.stray > 0 {
            faults.push(format!("{} bytes are not in packets", self.stray));
        }
        if self.cut_off > 0 && !is_open {
            faults.push(format!(
                "the file is cut off: it ends within a packet, of which {} bytes are missing",
                PACKET - self.cut_off
            ));
        }
        faults
    }

    fn packet(&mut self, packet: &[u8]) {
        let pid = pid(packet[1], packet[2]);
        let (starts, has_payload) = (packet[1] & 0x40 != 0, packet[3] & 0x10 != 0);
        let mut payload = &packet[4..];
        let (mut jumps, mut is_key) = (false, false);
        if packet[3] & 0x20 != 0 {
            let length = usize::from(payload[0]);
            if length > 0 {
                (jumps, is_key) = (payload[1] & 0x80 != 0, payload[1] & 0x40 != 0);
            }
            payload = payload.get(1 + length..).unwrap_or_default();
        }
        if pid == NULL || !has_payload {
            return;
        }
        let counter = packet[3] & 15;
        match self.counters.insert(pid, counter) {
            // A packet may be sent twice.
            Some(last) if last == counter && !jumps => return,
            Some(last) if (last + 1) & 15 != counter && !jumps => self.lost += 1,
            _ => {}
        }
        if pid == PAT || self.programs.contains(&pid) {
            self.section(pid, starts, payload);
        } else if let Some(track) = self.tracks.iter_mut().find(|track| track.pid == pid) {
            track.add(starts, is_key, payload);
        }
    }

    /// Part of a table.
    fn section(&mut self, pid: u16, starts: bool, payload: &[u8]) {
        let section = self.sections.entry(pid).or_default();
        if starts {
            section.clear();
            let pointer = payload.first().map_or(0, |pointer| usize::from(*pointer));
            section.extend_from_slice(payload.get(1 + pointer..).unwrap_or_default());
        } else if !section.is_empty() && section.len() < MAX_SECTION {
            section.extend_from_slice(payload);
        }
        let Some(length) = section.get(1..3).map(|at| length(at[0], at[1])) else {
            return;
        };
        // Without the checksum at the end.
        let Some(whole) =
            section.get(..(3 + length).saturating_sub(4)).filter(|_| section.len() >= 3 + length)
        else {
            return;
        };
        let whole = whole.to_vec();
        match whole.first() {
            Some(0) if pid == PAT => self.association(whole.get(8..).unwrap_or_default()),
            Some(2) if pid != PAT => self.program(&whole),
            _ => {}
        }
    }

    fn association(&mut self, programs: &[u8]) {
        for program in programs.chunks_exact(4).filter(|program| program[..2] != [0, 0]) {
            let pid = pid(program[2], program[3]);
            if !self.programs.contains(&pid) && self.programs.len() < MAX_TRACKS {
                self.programs.push(pid);
            }
        }
    }

    fn program(&mut self, table: &[u8]) {
        let Some(skipped) = table.get(10..12).map(|at| length(at[0], at[1])) else {
            return;
        };
        let mut rest = table.get(12 + skipped..).unwrap_or_default();
        while let [stream_type, p0, p1, l0, l1, after @ ..] = rest {
            let (pid, length) = (pid(*p0, *p1), length(*l0, *l1));
            let descriptors = after.get(..length).unwrap_or_default();
            rest = after.get(length..).unwrap_or_default();
            if self.tracks.len() < MAX_TRACKS && self.tracks.iter().all(|track| track.pid != pid) {
                self.tracks.push(StreamTrack::new(pid, *stream_type, descriptors));
            }
        }
    }
}

/// A packet identifier, in the last 13 bits of two bytes.
fn pid(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high & 0x1f, low])
}

/// The length of a part of a table, in the last 12 bits of two bytes.
fn length(high: u8, low: u8) -> usize {
    u16::from_be_bytes([high & 0x0f, low]).into()
}

/// Reads a stream from its beginning.
///
/// # Errors
/// The file cannot be read.
pub(super) fn read(file: &mut (impl Read + Seek)) -> io::Result<Stream> {
    file.seek(SeekFrom::Start(0))?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let (mut stream, mut packet, mut filled) = (Stream::default(), [0; PACKET], 0);
    loop {
        let read = file.read(&mut packet[filled..])?;
        filled += read;
        if read == 0 {
            stream.cut_off = filled;
            stream.tracks.iter_mut().for_each(StreamTrack::describe);
            return Ok(stream);
        }
        if filled < PACKET {
            continue;
        }
        if packet[0] == SYNC {
            stream.packet(&packet);
            filled = 0;
            continue;
        }
        let next = packet.iter().position(|byte| *byte == SYNC).unwrap_or(PACKET);
        packet.copy_within(next.., 0);
        filled = PACKET - next;
        stream.stray += next as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let mut stream: Vec<u8> = (0..PACKET * 20).map(|_| random.u8(..)).collect();
            for packet in stream.chunks_mut(PACKET).take(random.usize(..20)) {
                packet[0] = SYNC;
                // Few identifiers, so that tables and tracks are met.
                packet[1] = random.u8(..) & 0x40;
                packet[2] = random.u8(..4);
                if random.bool() {
                    packet[3] &= 0x1f;
                    packet[4..16].copy_from_slice(&[
                        0,
                        random.u8(..4),
                        0xb0,
                        random.u8(..60),
                        0,
                        1,
                        0,
                        0,
                        0,
                        0,
                        1,
                        0,
                    ]);
                }
            }
            let read = read(&mut Cursor::new(&stream)).unwrap();
            assert!(read.tracks.len() <= MAX_TRACKS && read.programs.len() <= MAX_TRACKS);
        }
    }
}
