//! A decoder that runs out of memory reports that, and does not blame the camera's stream.

use std::fs;
use std::process::Command;

use msight_codec::{DecodeError, Decoder, Encoder, PictureSink, Quality};
use msight_media::{AccessUnit, Codec, DropReason, PictureTimes};
use msight_picture::{Colour, Picture, Planes, Size};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Set in the process whose memory is limited.
const LIMITED: &str = "MSIGHT_TEST_LIMITED";
/// More than small allocations take, and less than a picture of 3840x2160, which has 12 MB.
const ROOM: u64 = 6 << 20;

struct Ignore;

impl PictureSink for Ignore {
    type Error = Error;
    fn picture(&mut self, _: &Planes<'_>, _: PictureTimes) -> Result<(), Error> {
        Ok(())
    }
    fn dropped(&mut self, _: DropReason, _: u64) {}
}

#[derive(Debug)]
struct Error;

impl From<msight_picture::Error> for Error {
    fn from(_: msight_picture::Error) -> Self {
        Self
    }
}

#[test]
fn a_decoder_without_memory_reports_that() {
    if std::env::var_os(LIMITED).is_none() {
        // The limit applies to the whole process, so this test runs in a separate one.
        let mut limited = Command::new(std::env::current_exe().unwrap());
        limited
            .args(["--exact", "a_decoder_without_memory_reports_that", "--test-threads=1"])
            .env(LIMITED, "1");
        let output = limited.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let size = Size::new(3840, 2160).unwrap();
    let quality = Quality { bitrate: None, qp: None, fps: 10.0, keyframe_interval: 0 };
    let encoded = Encoder::new(size, Colour::VIDEO, &quality)
        .and_then(|mut encoder| encoder.encode(Picture::new(size, Colour::VIDEO).planes(), 0, true))
        .unwrap();
    let unit = AccessUnit {
        codec: Codec::H264,
        data: encoded.data,
        parameter_sets: Some(encoded.parameter_sets),
        pts: 0,
        captured: 0.0,
        key: true,
        after_loss: false,
        size: None,
    };
    let mut decoder = Decoder::new().unwrap();
    let maximum = getrlimit(Resource::As).maximum;
    setrlimit(Resource::As, Rlimit { current: Some(address_space() + ROOM), maximum }).unwrap();
    let decoded = decoder.decode(unit, &mut Ignore);
    setrlimit(Resource::As, Rlimit { current: maximum, maximum }).unwrap();
    let Err(DecodeError::Memory(error)) = decoded else { panic!("{decoded:?}") };
    let error = error.to_string();
    assert!(error.contains("out of memory") && error.contains("3840x2160"), "{error}");
}

/// Bytes of address space in use (`VmSize` of proc(5)).
fn address_space() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
