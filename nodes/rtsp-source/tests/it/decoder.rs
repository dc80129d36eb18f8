//! Shows why a drained decoder is replaced.

use crate::stub::footage::Footage;
use msight_rtsp_source::steps::Steps;
use openh264::OpenH264API;
use openh264::decoder::{DecodeOptions, Decoder, DecoderConfig, Flush};

/// Groups of pictures with B-frames, as Annex B.
fn footage(options: &str) -> Vec<Vec<u8>> {
    let footage = Footage::h264("320x180", 13, 13, &format!("-profile:v main -bf 3 {options}"));
    footage
        .units
        .iter()
        .map(|unit| unit.iter().flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect())
        .collect()
}

/// If this test fails, the library is fixed, and `Decoder::restart` of msight-codec can keep OpenH264's decoder.
#[test]
fn openh264_fails_in_the_group_of_pictures_after_a_drain() {
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    let mut decoder = Decoder::with_api_config(OpenH264API::from_source(), config).unwrap();
    let units = footage("");
    let options = || DecodeOptions::new().flush_after_decode(Flush::NoFlush);
    let decode = |decoder: &mut Decoder| {
        let failed = units.iter().filter_map(|unit| decoder.decode_with_options(unit, options()).err());
        let failed: Vec<String> = failed.map(|error| error.to_string()).collect();
        decoder.flush_remaining().unwrap();
        failed
    };
    assert!(decode(&mut decoder).is_empty());
    let failed = decode(&mut decoder);
    // dsOutOfMemory: the flushed pictures are not freed.
    assert!(failed.first().is_some_and(|error| error.contains("Native:16384")), "{failed:?}");
}

#[test]
fn no_picture_is_lost_when_the_parameter_sets_change() {
    let streams = [footage(""), footage("-colorspace bt709")];
    let mut steps = Steps::new(true).unwrap();
    let mut pictures = 0;
    for group in streams.iter().cycle().take(6) {
        for (index, unit) in group.iter().enumerate() {
            pictures += steps.access_unit(unit, index == 0).unwrap().len();
        }
    }
    // The decoder still holds some pictures of the last group.
    assert!((5 * 13 + 1..=6 * 13).contains(&pictures), "{pictures}");
}
