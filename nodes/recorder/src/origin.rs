//! What an open segment says of itself, so that it can be published after its writer has died: JSON in a `uuid` box at its
//! beginning (ISO/IEC 14496-12, 4.2).

use std::io::{self, Read, Seek, SeekFrom};

use msight_media::mp4::{box_at, uuid_box};
use msight_spool::sensor_of_folder;
use serde::{Deserialize, Serialize};

/// The extended type of the box.
const EXTENDED_TYPE: [u8; 16] =
    [0x5e, 0x1d, 0x0c, 0x8a, 0x34, 0x0b, 0x4f, 0x2e, 0x9d, 0x47, 0xa1, 0x6c, 0x77, 0x20, 0xb8, 0x93];
/// Most bytes of the content that are read.
const MAX_CONTENT: u64 = 64 << 10;
/// Most boxes before it.
const MAX_BOXES: usize = 16;

/// Where a segment comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The sensor.
    pub(crate) sensor: Option<String>,
    /// The device of the node.
    pub(crate) device: String,
    /// The capture time that belongs to the start of the presentation, in seconds since 1970.
    pub(crate) start: f64,
    /// The session with the camera.
    pub(crate) session: String,
    /// Frames lost before the segment.
    #[serde(default)]
    pub(crate) frames_lost_before: u64,
}

impl Origin {
    /// The box.
    pub(crate) fn to_box(&self) -> Vec<u8> {
        // Strings and numbers always have a JSON form.
        uuid_box(EXTENDED_TYPE, &serde_json::to_vec(self).unwrap_or_default())
    }

    /// The sensor and the start by the names of folder and file, to the millisecond.
    pub(crate) fn of_path(path: &str) -> Self {
        let mut parts = path.split('/');
        let (sensor, day, file) = (parts.next(), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let start = start_of_names(day, file).unwrap_or(0.0);
        let sensor = sensor.and_then(sensor_of_folder);
        Self { sensor, device: String::new(), start, session: String::new(), frames_lost_before: 0 }
    }

    /// Finds the box in a file of `length` bytes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read(file: &mut (impl Read + Seek), length: u64) -> io::Result<Option<Self>> {
        let mut place = 0;
        for _ in 0..MAX_BOXES {
            let Some(found) = box_at(file, place, length)?.filter(|found| found.end <= length) else { break };
            let content = found.content();
            if &found.kind == b"uuid" && (16..=MAX_CONTENT).contains(&content) {
                file.seek(SeekFrom::Start(found.start + found.header))?;
                let mut bytes = Vec::new();
                file.take(content).read_to_end(&mut bytes)?;
                if let Some(json) = bytes.strip_prefix(&EXTENDED_TYPE) {
                    return Ok(serde_json::from_slice(json).ok());
                }
            }
            place = found.end;
        }
        Ok(None)
    }
}

/// `2026-11-28` and `16-53-00.123Z…` in seconds since 1970.
fn start_of_names(day: &str, file: &str) -> Option<f64> {
    let time = file.split_once('Z')?.0.replace('-', ":");
    let start: jiff::Timestamp = format!("{day}T{time}Z").parse().ok()?;
    Some(start.as_nanosecond() as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn the_box_is_found_behind_others() {
        let origin = Origin {
            sensor: Some("gate \u{fc}".to_owned()),
            device: "edge1".to_owned(),
            start: 1_800_000_000.123_456,
            session: "c0ffee".to_owned(),
            frames_lost_before: 3,
        };
        let other = uuid_box([7; 16], b"other");
        let file = [other.clone(), origin.to_box(), other].concat();
        let read = |bytes: &[u8]| Origin::read(&mut Cursor::new(bytes), bytes.len() as u64).unwrap();
        assert_eq!(read(&file), Some(origin));
        assert_eq!(read(&file[..60]), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn folders_tell_the_sensor() {
        let sensor = |path| Origin::of_path(path).sensor;
        assert_eq!(sensor("None/2027-01-15/08-00-00.250Z.mp4"), None);
        assert_eq!(sensor("a%2Fb/2027-01-15/08-00-00.250Z.mp4").as_deref(), Some("a/b"));
    }

    #[test]
    fn names_tell_the_start() {
        let start = start_of_names("2027-01-15", "08-00-00.250Z-2.ts").unwrap();
        assert!((start - 1_800_000_000.25).abs() < 1e-6, "{start}");
        assert_eq!(start_of_names("x", "y"), None);
    }
}
