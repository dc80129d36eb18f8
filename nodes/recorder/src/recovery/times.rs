//! The times of the pictures in a transport stream or a Matroska file that was cut off.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use msight_media::ts::{PACKET, PresentationTimes, TIME_OFFSET};
use msight_media::{Kind, matroska};

/// Most times in the message of a recovered segment.
const MAX_TIMES: usize = 1 << 16;
/// Of sound, one unit in so many seconds is listed.
const SOUND_INTERVAL: f64 = 1.0;

/// Times by track, in seconds from the start of the presentation.
#[derive(Default)]
struct Times {
    video: Vec<f64>,
    sound: Vec<f64>,
}

impl Times {
    /// The capture times of the pictures in the order of presentation, or without pictures those of the sound.
    fn captured(self, start: f64) -> Vec<f64> {
        let (mut times, is_sound) = match self.video.is_empty() {
            true => (self.sound, true),
            false => (self.video, false),
        };
        times.sort_by(f64::total_cmp);
        let last = times.last().copied();
        if is_sound {
            let mut next = f64::NEG_INFINITY;
            times.retain(|&time| {
                let is_listed = time >= next;
                next = if is_listed { time + SOUND_INTERVAL } else { next };
                is_listed
            });
        }
        let stride = times.len().div_ceil(MAX_TIMES).max(1);
        let mut listed: Vec<_> = times.into_iter().step_by(stride).collect();
        listed.extend(last.filter(|last| listed.last() != Some(last)));
        listed.into_iter().map(|time| start + time).collect()
    }
}

/// The capture times in a transport stream whose presentation began at `start`.
///
/// # Errors
/// The file cannot be read.
pub(super) fn of_transport_stream(file: &mut (impl Read + Seek), start: f64) -> io::Result<Vec<f64>> {
    /// Ticks of presentation times in a second (ISO/IEC 13818-1, 2.4.3.7).
    const RATE: f64 = 90_000.0;
    file.seek(SeekFrom::Start(0))?;
    let mut file = BufReader::new(file);
    let (mut packet, mut times) = ([0; PACKET], Times::default());
    let mut presentation = PresentationTimes::default();
    loop {
        match file.read_exact(&mut packet) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
        let Some(unit) = unit_start(&packet) else { continue };
        let Some(ticks) = presentation.next(unit) else { continue };
        let seconds = (ticks - TIME_OFFSET) as f64 / RATE;
        // Stream ids of video (ISO/IEC 13818-1, table 2-22).
        if (0xe0..=0xef).contains(&unit[3]) { times.video.push(seconds) } else { times.sound.push(seconds) }
    }
    Ok(times.captured(start))
}

/// The packet of an elementary stream that begins in a packet (2.4.3.2).
fn unit_start(packet: &[u8; PACKET]) -> Option<&[u8]> {
    let begins = packet[0] == 0x47 && packet[1] & 0x40 != 0;
    let at = match packet[3] >> 4 & 3 {
        1 => 4,
        3 => 5 + usize::from(packet[4]),
        _ => return None,
    };
    packet.get(at..).filter(|_| begins)
}

/// The capture times in a Matroska file whose presentation began at `start`.
///
/// # Errors
/// The file cannot be read.
pub(super) fn of_matroska(file: &mut (impl Read + Seek), start: f64) -> io::Result<Vec<f64>> {
    let mut times = Times::default();
    for track in matroska::read(file)?.tracks {
        let seconds = track.times.ticks().iter().map(|nanoseconds| *nanoseconds as f64 / 1e9);
        match track.kind {
            Kind::Video => times.video.extend(seconds),
            Kind::Audio => times.sound.extend(seconds),
            Kind::Metadata => {}
        }
    }
    Ok(times.captured(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    #[test]
    fn sound_alone_is_listed_once_a_second() {
        let sound = (0..100).map(|number| f64::from(number) / 10.0).collect();
        let times = Times { sound, ..Times::default() }.captured(100.0);
        let seconds: Vec<_> = times.iter().map(|time| (time * 10.0).round()).collect();
        assert_eq!(
            seconds,
            [1000.0, 1010.0, 1020.0, 1030.0, 1040.0, 1050.0, 1060.0, 1070.0, 1080.0, 1090.0, 1099.0]
        );
    }

    #[test]
    fn times_of_a_transport_stream_go_on_after_a_day() {
        // A unit each 13 hours; 33 bits are 26.5 hours.
        let file: Vec<u8> = (0..4_i64)
            .flat_map(|unit| {
                let ticks = (TIME_OFFSET + unit * 13 * 3600 * 90_000) & ((1 << 33) - 1);
                let byte = |bits: i64| bits as u8;
                let mut packet = vec![0x47, 0x41, 0, 0x10, 0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5];
                packet.push(0x21 | byte(ticks >> 30 << 1 & 0x0e));
                packet.extend([
                    byte(ticks >> 22),
                    byte(ticks >> 14) | 1,
                    byte(ticks >> 7),
                    byte(ticks << 1) | 1,
                ]);
                packet.resize(188, 0);
                packet
            })
            .collect();
        let times = of_transport_stream(&mut Cursor::new(file), 100.0).unwrap();
        assert_eq!(times, [0.0, 13.0, 26.0, 39.0].map(|hours| 100.0 + hours * 3600.0));
    }

    proptest! {
        #[test]
        fn any_bytes_have_some_times(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            of_transport_stream(&mut Cursor::new(bytes), 0.0).unwrap();
        }
    }
}
