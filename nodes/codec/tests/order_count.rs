//! Streams without B-frames whose pictures have order counts all the same, as many cameras send them.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use msight_codec::{Decoder, DeferredDecoder, DeferredPicture, DeferredSink, PictureSink};
use msight_media::{AccessUnit, DropReason, PictureTimes, Sps, nal};
use msight_picture::{DecodedImages, DecodedPicture, Error, Planes, WireForm};
use msight_proto::ImageData;

const COUNT: usize = 100;
/// Units from one key frame to the next.
const GROUP: usize = 25;

/// What a stream states about reordering.
#[derive(Clone, Copy, Debug, PartialEq)]
enum States {
    /// Its pictures stay in order.
    Absent,
    Nothing,
}

/// The units of a stream that x264 encodes without B-frames, although it may use them.
fn units(states: States) -> Vec<AccessUnit> {
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
        if nal::is_sps(unit) { last.extend(changed(unit, states)) } else { last.extend(unit) }
    }
    let unit = |(number, unit): (usize, Vec<u8>)| {
        let (pts, captured) = (number as i64 * 3600, number as f64 / 25.0);
        AccessUnit { pts, captured, ..AccessUnit::from_annex_b(&unit, number.is_multiple_of(GROUP)) }
    };
    units.into_iter().enumerate().map(unit).collect()
}

/// The set with 0 as its `max_num_reorder_frames`, which stands before `max_dec_frame_buffering` at its end; or without these
/// and what comes before them in `bitstream_restriction`.
fn changed(sps: &[u8], states: States) -> Vec<u8> {
    let bits: String = sps.iter().map(|byte| format!("{byte:08b}")).collect();
    let before = bits.trim_end_matches('0').strip_suffix("010001001").expect("1, 3 and the stop bit");
    let bits = match states {
        States::Absent => format!("{before}1001001"),
        // The flag has 1 bit, and the fields before the cut 17.
        States::Nothing => format!("{}01", &before[..before.len() - 18]),
    };
    let bits = format!("{bits:0<width$}", width = bits.len().next_multiple_of(8));
    let changed: Vec<u8> =
        (0..bits.len()).step_by(8).map(|at| u8::from_str_radix(&bits[at..at + 8], 2).unwrap()).collect();
    let sps = Sps::parse(&changed).unwrap();
    assert_eq!((sps.states_reordering, sps.is_in_order), (states == States::Absent, false));
    assert_eq!(sps.reorder_depth == 0, states == States::Absent);
    changed
}

/// Collects messages with their presentation times.
struct Pictures {
    images: DecodedImages,
    sent: Vec<(ImageData, i64)>,
    dropped: u64,
}

impl Pictures {
    fn new() -> Self {
        Self { images: DecodedImages::new(WireForm::Raw).unwrap(), sent: Vec::new(), dropped: 0 }
    }

    fn luma(&self, at: usize) -> Vec<u8> {
        DecodedPicture::of(&self.sent[at].0).expect("it can be decoded").planes().y().to_vec()
    }
}

impl PictureSink for Pictures {
    type Error = Error;
    fn picture(&mut self, planes: &Planes<'_>, times: PictureTimes) -> Result<(), Error> {
        let mut picture = self.images.picture();
        planes.convert_into(planes.colour(), &mut picture);
        self.sent.push((self.images.message(picture), times.pts));
        Ok(())
    }
    fn dropped(&mut self, _: DropReason, units: u64) {
        self.dropped += units;
    }
}

impl DeferredSink for Pictures {
    fn deferred(&mut self, picture: DeferredPicture) -> Result<(), Error> {
        let (pts, size) = (picture.times().pts, picture.size());
        self.sent.push((picture.into_image(&self.images, size), pts));
        Ok(())
    }
}

/// The pictures of all units, decoded at once.
fn decoded(units: &[AccessUnit]) -> Pictures {
    let (mut decoder, mut pictures) = (Decoder::new().unwrap(), Pictures::new());
    for (number, unit) in units.iter().enumerate() {
        decoder.decode(unit.clone(), &mut pictures).unwrap();
        assert!(pictures.sent.len() >= number, "at most one picture waits");
    }
    decoder.drain(&mut pictures).unwrap();
    let times: Vec<i64> = pictures.sent.iter().map(|(_, pts)| *pts).collect();
    assert_eq!(times, units.iter().map(|unit| unit.pts).collect::<Vec<_>>());
    assert_eq!((times.len(), pictures.dropped), (COUNT, 0));
    pictures
}

#[test]
fn all_pictures_are_decoded_in_order() {
    for states in [States::Absent, States::Nothing] {
        decoded(&units(states));
    }
}

/// Asks for pictures when all messages are there, and returns how many pictures were decoded for that.
fn ask(units: &[AccessUnit], order: &[usize]) -> usize {
    let (expected, count) = (decoded(units), Arc::<AtomicUsize>::default());
    let counted = count.clone();
    let mut decoder = DeferredDecoder::new(false, move || {
        counted.fetch_add(1, Relaxed);
    });
    let mut pictures = Pictures::new();
    units.iter().for_each(|unit| decoder.decode(unit.clone(), &mut pictures).unwrap());
    decoder.drain(&mut pictures).unwrap();
    let times: Vec<i64> = pictures.sent.iter().map(|(_, pts)| *pts).collect();
    assert_eq!(times, units.iter().map(|unit| unit.pts).collect::<Vec<_>>());
    assert_eq!(pictures.dropped, 0);
    assert_eq!(count.load(Relaxed), 0, "no picture is decoded unasked after the first");
    for &at in order {
        assert_eq!(pictures.luma(at), expected.luma(at), "picture {at}");
    }
    count.load(Relaxed)
}

#[test]
fn pictures_are_decoded_when_they_are_asked_for() {
    let units = units(States::Absent);
    let all: Vec<usize> = (0..COUNT).collect();
    // The first one was decoded at once, and is decoded again for those that refer to it.
    assert_eq!(ask(&units, &all), COUNT);
    let every_tenth: Vec<usize> = all.iter().copied().skip(7).step_by(10).collect();
    assert!(ask(&units, &every_tenth) <= COUNT + GROUP);
    let mut shuffled = all;
    fastrand::Rng::with_seed(5).shuffle(&mut shuffled);
    ask(&units, &shuffled);
    let last_of_groups: Vec<usize> = (0..COUNT).skip(GROUP - 1).step_by(GROUP).collect();
    assert!(ask(&units, &last_of_groups) <= COUNT + 4);
}

#[test]
fn a_stream_that_states_nothing_is_decoded_at_once_until_it_is_in_order() {
    let units = units(States::Nothing);
    ask(&units, &[99, 3, 55, 60, 76, 74, 75]);
}

#[test]
fn a_node_that_looks_at_each_picture_as_it_comes_decodes_it_once() {
    let units = units(States::Absent);
    let (expected, count) = (decoded(&units), Arc::<AtomicUsize>::default());
    let counted = count.clone();
    let mut decoder = DeferredDecoder::new(false, move || {
        counted.fetch_add(1, Relaxed);
    });
    let mut pictures = Pictures::new();
    let mut looked = 0;
    for unit in &units {
        decoder.decode(unit.clone(), &mut pictures).unwrap();
        while looked < pictures.sent.len() {
            assert_eq!(pictures.luma(looked), expected.luma(looked), "picture {looked}");
            looked += 1;
        }
    }
    assert!(looked >= COUNT - 1);
    let decoded = count.load(Relaxed);
    assert!((COUNT - 1..=COUNT).contains(&decoded), "{decoded}");
}
