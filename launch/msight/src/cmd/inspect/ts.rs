//! What an MPEG transport stream has (ISO/IEC 13818-1): tracks by its tables, times by its packets.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use msight_media::ts::PACKET;

use super::format::SYNC;

/// The packet identifier of the program association table, and that of empty packets.
const PAT: u16 = 0;
const NULL: u16 = 0x1fff;
/// Most tracks, and most tables of programs.
const MAX_TRACKS: usize = 64;
/// Most bytes of a table (2.4.4.8).
const MAX_SECTION: usize = 1024;
/// Times have 33 bits.
const WRAP: i64 = 1 << 33;

/// What a stream has.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) tracks: Vec<StreamTrack>,
    /// How often the counters of packets jumped.
    pub(super) lost: u64,
    /// Bytes that are not in packets.
    pub(super) stray: u64,
    programs: Vec<u16>,
    counters: HashMap<u16, u8>,
    sections: HashMap<u16, Vec<u8>>,
}

/// A track of a stream.
#[derive(Debug)]
pub(super) struct StreamTrack {
    pub(super) pid: u16,
    pub(super) bytes: u64,
    /// Packets of the elementary stream, which hold a picture, or some frames of sound.
    pub(super) units: u32,
    /// Those at which decoding can start.
    pub(super) keys: u32,
    stream_type: u8,
    format: Option<[u8; 4]>,
    times: Option<(i64, i64)>,
    last: i64,
}

impl StreamTrack {
    /// The first presentation time, in seconds.
    pub(super) fn start(&self) -> Option<f64> {
        self.times.map(|(first, _)| first as f64 / 90_000.0)
    }

    /// Where the last unit ends, if it lasts as long as the others.
    pub(super) fn end(&self) -> Option<f64> {
        let last = self.times.map(|(_, last)| last as f64 / 90_000.0)?;
        Some(last + self.rate().map_or(0.0, |rate| 1.0 / rate))
    }

    /// Units a second.
    pub(super) fn rate(&self) -> Option<f64> {
        let (first, last) = self.times?;
        (self.units > 1 && last > first).then(|| f64::from(self.units - 1) * 90_000.0 / (last - first) as f64)
    }

    /// Pictures or sound. `None`: neither.
    pub(super) fn is_video(&self) -> Option<bool> {
        match self.stream_type {
            0x01 | 0x02 | 0x10 | 0x1b | 0x24 => Some(true),
            0x03 | 0x04 | 0x0f | 0x11 | 0x81 => Some(false),
            0x06 if self.format == Some(*b"Opus") => Some(false),
            _ => None,
        }
    }

    /// The name of the codec, and what stands for it (table 2-34).
    pub(super) fn codec(&self) -> (Option<&'static str>, String) {
        let name = match self.stream_type {
            0x01 => "mpeg1",
            0x02 => "mpeg2",
            0x03 | 0x04 => "mp3",
            0x0f | 0x11 => "aac",
            0x10 => "mpeg4",
            0x1b => "h264",
            0x24 => "h265",
            0x81 => "ac3",
            0x06 if self.format == Some(*b"Opus") => "opus",
            other => return (None, format!("stream type 0x{other:02x}")),
        };
        (Some(name), name.to_owned())
    }
}

impl Stream {
    /// What is wrong.
    pub(super) fn faults(&self) -> Vec<String> {
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
                self.tracks.push(StreamTrack {
                    pid,
                    bytes: 0,
                    units: 0,
                    keys: 0,
                    stream_type: *stream_type,
                    format: registration(descriptors),
                    times: None,
                    last: 0,
                });
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

/// The format identifier of a registration descriptor (2.6.8).
fn registration(mut descriptors: &[u8]) -> Option<[u8; 4]> {
    while let [tag, length, rest @ ..] = descriptors {
        let content = rest.get(..usize::from(*length))?;
        if *tag == 5 {
            return content.first_chunk().copied();
        }
        descriptors = &rest[usize::from(*length)..];
    }
    None
}

impl StreamTrack {
    fn add(&mut self, starts: bool, is_key: bool, payload: &[u8]) {
        if !starts {
            self.bytes += payload.len() as u64;
            return;
        }
        self.units = self.units.saturating_add(1);
        self.keys = self.keys.saturating_add(is_key.into());
        let header = payload.get(8).map_or(0, |length| 9 + usize::from(*length));
        self.bytes += payload.len().saturating_sub(header) as u64;
        let has_time =
            payload.starts_with(&[0, 0, 1]) && payload.get(7).is_some_and(|flags| flags & 0x80 != 0);
        let Some([a, b, c, d, e]) = payload.get(9..14).filter(|_| has_time) else { return };
        let time = i64::from(a >> 1 & 7) << 30
            | i64::from(*b) << 22
            | i64::from(c >> 1) << 15
            | i64::from(*d) << 7
            | i64::from(e >> 1);
        let time = match self.times {
            // The nearest time of those with these 33 bits.
            Some(_) => self.last + (time - self.last + WRAP / 2).rem_euclid(WRAP) - WRAP / 2,
            None => time,
        };
        self.last = time;
        let (first, last) = self.times.unwrap_or((time, time));
        self.times = Some((first.min(time), last.max(time)));
    }
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
            // The last packet may be cut off.
            stream.stray += filled as u64;
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
