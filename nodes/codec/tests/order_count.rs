//! Streams without B-frames whose pictures have order counts all the same, as many cameras send them.

use std::process::Command;

use msight_codec::{Decoder, PictureSink};
use msight_media::{AccessUnit, DropReason, PictureTimes, Sps, nal};
use msight_picture::{Error, Planes};

const COUNT: usize = 100;
/// Units from one key frame to the next.
const GROUP: usize = 25;

/// The units of a stream that x264 encodes without B-frames, although it may use them. Its sequence parameter set is changed
/// to state that the stream does not reorder.
fn units() -> Vec<AccessUnit> {
    let x264 = "bframes=1:b-bias=-100:keyint=25:min-keyint=25:scenecut=0:ref=3:aud=1";
    let ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi"])
        .args(["-i", "testsrc2=size=320x180:rate=25,noise=alls=60:allf=t", "-frames:v", &COUNT.to_string()])
        .args(["-c:v", "libx264", "-profile:v", "high", "-x264-params", x264, "-f", "h264", "-"])
        .output()
        .expect("ffmpeg is installed (on Debian: apt-get install ffmpeg)");
    let mut units: Vec<Vec<u8>> = Vec::new();
    for unit in nal::annex_b_units(&ffmpeg.stdout) {
        if nal::unit_type(unit[0]) == 9 {
            units.push(Vec::new());
            continue;
        }
        let last = units.last_mut().expect("a delimiter comes first");
        last.extend(nal::START_CODE);
        if nal::is_sps(unit) { last.extend(without_reordering(unit)) } else { last.extend(unit) }
    }
    let unit = |(number, unit): (usize, Vec<u8>)| {
        let (pts, captured) = (number as i64 * 3600, number as f64 / 25.0);
        AccessUnit { pts, captured, ..AccessUnit::from_annex_b(&unit, number.is_multiple_of(GROUP)) }
    };
    units.into_iter().enumerate().map(unit).collect()
}

/// The set with 0 as its `max_num_reorder_frames`, which stands before `max_dec_frame_buffering` at its end.
fn without_reordering(sps: &[u8]) -> Vec<u8> {
    let bits: String = sps.iter().map(|byte| format!("{byte:08b}")).collect();
    let before = bits.trim_end_matches('0').strip_suffix("010001001").expect("1, 3 and the stop bit");
    let bits = format!("{before}1001001");
    let bits = format!("{bits:0<width$}", width = bits.len().next_multiple_of(8));
    let changed: Vec<u8> =
        (0..bits.len()).step_by(8).map(|at| u8::from_str_radix(&bits[at..at + 8], 2).unwrap()).collect();
    let sps = Sps::parse(&changed).unwrap();
    assert_eq!((sps.reorder_depth, sps.is_in_order), (0, false));
    changed
}

#[derive(Default)]
struct Pictures {
    times: Vec<i64>,
    dropped: u64,
}

impl PictureSink for Pictures {
    type Error = Error;
    fn picture(&mut self, _: &Planes<'_>, times: PictureTimes) -> Result<(), Error> {
        self.times.push(times.pts);
        Ok(())
    }
    fn dropped(&mut self, _: DropReason, units: u64) {
        self.dropped += units;
    }
}

#[test]
fn all_pictures_are_decoded_in_order() {
    let (units, mut decoder, mut pictures) = (units(), Decoder::new().unwrap(), Pictures::default());
    for (number, unit) in units.iter().enumerate() {
        decoder.decode(unit.clone(), &mut pictures).unwrap();
        assert!(pictures.times.len() >= number, "at most one picture waits");
    }
    decoder.drain(&mut pictures).unwrap();
    assert_eq!(pictures.times, units.iter().map(|unit| unit.pts).collect::<Vec<_>>());
    assert_eq!((pictures.times.len(), pictures.dropped), (COUNT, 0));
}
