//! Forms of single lines, and limits.

mod cameras;

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use msight_media::ParameterSets;
use proptest::prelude::*;

use super::*;
use crate::track::Format;

const SPS: &[u8] = &[0x67, 0x42, 0x00, 0x1f, 0xe9, 0x01];
const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];

fn base64(set: &[u8]) -> String {
    BASE64_STANDARD.encode(set)
}

fn sets(all: &[&[u8]]) -> Option<Arc<ParameterSets>> {
    Some(Arc::new(ParameterSets::new(all.iter().map(|set| Bytes::copy_from_slice(set)).collect())))
}

fn h264(all: &[&[u8]]) -> Format {
    Format::H264 { sets: if all.is_empty() { None } else { sets(all) } }
}

/// AAC with 13, 3 and 3 bits.
fn aac(config: &[u8]) -> Format {
    Format::Aac { config: sets(&[config]), header: [13, 3, 3] }
}

/// The tracks of a description in short: format, payload type, clock rate, control.
fn tracks(body: &str) -> Vec<(Format, u8, u32, Option<String>)> {
    let tracks = Description::parse(body.as_bytes()).tracks.into_iter();
    tracks.map(|track| (track.format, track.payload_type, track.clock_rate, track.control)).collect()
}

fn track(format: Format, payload_type: u8, rate: u32, control: &str) -> (Format, u8, u32, Option<String>) {
    (format, payload_type, rate, (!control.is_empty()).then(|| control.to_owned()))
}

/// The format of the only track.
fn format(body: &str) -> Format {
    let mut all = tracks(body);
    assert_eq!(all.len(), 1, "{body}");
    all.remove(0).0
}

/// What is left out, with its reason.
fn left_out(body: &str) -> Vec<(String, &'static str)> {
    Description::parse(body.as_bytes()).left_out.into_iter().map(|track| (track.what, track.why)).collect()
}

#[test]
fn blanks_case_and_order_do_not_matter() {
    for attributes in [
        "a=rtpmap:96 H264/90000",
        "a=rtpmap:96  H264/90000/1",
        "A = RTPMAP : 96\th264 / 90000",
        "a=rtpmap 96 H264/90000",
        "a=rtpmap:96 H264",
        "a=rtpmap:96 H264/",
        "a=rtpmap:96 H264/0",
        "a=rtpmap:96 H264/x",
        "a=rtpmap:97 H264/90000",
        "a=rtpmap:H264/90000",
        "a=fmtp:96 packetization-mode=1\na=rtpmap:96 H264/90000",
    ] {
        let body = format!("m=video 0 RTP/AVP 96\n{attributes}\na=control: t \n");
        assert_eq!(tracks(&body), [track(h264(&[]), 96, 90_000, "t")], "{attributes}");
    }
    for line in [
        "M = video 0 RTP/AVP 96",
        "m=VIDEO  0\tRTP/AVPF  96 ",
        "m=video 0 96",
        "m=video",
        "m=video 0/2 RTP/AVP",
    ] {
        assert_eq!(
            tracks(&format!("{line}\na=rtpmap:96 H264/90000")),
            [track(h264(&[]), 96, 90_000, "")],
            "{line}"
        );
    }
}

#[test]
fn parameter_sets_are_read_however_they_are_written() {
    let (sps, pps) = (base64(SPS), base64(PPS));
    let second: &[u8] = &[0x68, 0x70, 0xe0];
    let joined = base64(&[&[0, 0, 0, 1], SPS, &[0, 0, 0, 1], PPS].concat());
    let read = |fmtp: String| format(&format!("m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:{fmtp}"));
    let table: Vec<(String, Vec<&[u8]>)> = vec![
        (format!("96 sprop-parameter-sets={sps},{pps}"), vec![SPS, PPS]),
        (format!("96 sprop-parameter-sets={pps},{sps};"), vec![SPS, PPS]),
        (format!("96\tpacketization-mode=1;\tSPROP-Parameter-Sets = \"{sps}, {pps}\" ; x=y"), vec![SPS, PPS]),
        (
            format!("96 profile-level-id=42 sprop-parameter-sets={sps},{pps} packetization-mode=1"),
            vec![SPS, PPS],
        ),
        (format!("96 sprop-parameter-sets={sps},"), vec![SPS]),
        (format!("96 sprop-parameter-sets=,,{sps},{pps},{pps},{}", base64(second)), vec![SPS, PPS, second]),
        (format!("96 sprop-parameter-sets={joined}"), vec![SPS, PPS]),
        (
            format!(
                "96 sprop-parameter-sets={},{}",
                base64(&[&[0, 0, 1], SPS].concat()),
                base64(&[PPS, &[0, 0]].concat())
            ),
            vec![SPS, PPS],
        ),
        (format!("96 sprop-parameter-sets={sps},a!b,{pps}"), vec![SPS, PPS]),
        (format!("96 sprop-parameter-sets={},{pps}====", sps.trim_end_matches('=')), vec![SPS, PPS]),
        (format!("96 sprop-parameter-sets=AAAAAQ=={sps},AAAAAQ=={pps}"), vec![SPS, PPS]),
        (format!("96 sprop-parameter-sets=6QAB,{sps},{pps}"), vec![SPS, PPS]),
        (format!("sprop-parameter-sets={sps},{pps}"), vec![SPS, PPS]),
        (format!("96 x-sprop-parameter-sets=AAAA;sprop-parameter-sets={sps}"), vec![SPS]),
        ("96 sprop-parameter-sets=".to_owned(), vec![]),
        ("96".to_owned(), vec![]),
    ];
    for (fmtp, wanted) in table {
        assert_eq!(read(fmtp.clone()), h264(&wanted), "{fmtp}");
    }
    let orderly = "m=video 0 RTP/AVP 96\na=rtpmap:96 HEVC\na=fmtp:96 sprop-max-don-diff=2; sprop-pps=RAE=";
    assert_eq!(format(orderly), Format::H265 { sets: sets(&[&[0x44, 1]]), has_decoding_order: true });
}

#[test]
fn the_size_of_jpeg_is_read_in_all_forms() {
    for (attribute, wanted) in [
        ("framesize:26 2560-1440", Some((2560, 1440))),
        ("framesize:2560-1440", Some((2560, 1440))),
        ("x-dimensions: 2560 , 1440", Some((2560, 1440))),
        ("x-dimensions:0,0\na=cliprect:0,0,1440,2560", Some((2560, 1440))),
        ("cliprect:0,9,1440,2", None),
        ("x-dimensions:99999999999,1440", None),
    ] {
        let body = format!("m=video 0 RTP/AVP 26\na={attribute}");
        assert_eq!(format(&body), Format::Jpeg { size: wanted }, "{attribute}");
    }
}

#[test]
fn audio_is_read_with_its_defaults() {
    let table = [
        ("m=audio 0 RTP/AVP 0", Format::Pcmu, 8_000),
        ("m=audio 0 RTP/AVP 8\na=rtpmap:8 G711A/8000", Format::Pcma, 8_000),
        ("m=audio 0 RTP/AVP 10", Format::L16 { channels: 2 }, 44_100),
        ("m=audio 0 RTP/AVP 11", Format::L16 { channels: 1 }, 44_100),
        ("m=audio 0 RTP/AVP 97\na=rtpmap:97 PCMU/16000/1", Format::Pcmu, 16_000),
        ("m=audio 0 RTP/AVP 97\na=rtpmap:97 L16/48000/2", Format::L16 { channels: 2 }, 48_000),
        ("m=audio 0 RTP/AVP 97\na=rtpmap:97 OPUS", Format::Opus, 48_000),
        (
            "m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/8000\na=fmtp:97 mode=AAC-lbr;config=\"1588\"",
            Format::Aac { config: sets(&[&[0x15, 0x88]]), header: [6, 2, 2] },
            8_000,
        ),
        (
            "m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/16000\na=fmtp:97 SizeLength=12; IndexLength=99",
            Format::Aac { config: sets(&[&[0x14, 0x08]]), header: [12, 3, 3] },
            16_000,
        ),
        // No frame is as short as these lengths; a length of 0 bits means one frame in a packet.
        (
            "m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/16000\na=fmtp:97 sizelength=1;indexlength=0",
            Format::Aac { config: sets(&[&[0x14, 0x08]]), header: [13, 0, 3] },
            16_000,
        ),
        (
            "m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/16000\na=fmtp:97 sizelength=0",
            Format::Aac { config: sets(&[&[0x14, 0x08]]), header: [0, 3, 3] },
            16_000,
        ),
        (
            "m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic\na=fmtp:97 config=1408",
            aac(&[0x14, 0x08]),
            16_000,
        ),
        (
            "m=audio 0 RTP/AVP 97\na=rtpmap:97 MP4A-LATM/24000\na=fmtp:97 cpresent=0; config=400026103fc0",
            Format::Latm { config: sets(&[&[0x13, 0x08]]) },
            24_000,
        ),
        ("m=audio 0 RTP/AVP 97\na=rtpmap:97 MP4A-LATM/24000", Format::Latm { config: None }, 24_000),
        (
            "m=audio 0 RTP/AVP 97\na=rtpmap:97 MP4A-LATM/16000/1\na=fmtp:97 cpresent=0;config=",
            Format::Latm { config: sets(&[&[0x14, 0x08]]) },
            16_000,
        ),
        // The first payload type that can be read.
        ("m=audio 0 RTP/AVP 18 101 8 0\na=rtpmap:101 telephone-event/8000", Format::Pcma, 8_000),
    ];
    for (body, wanted, rate) in table {
        let all = tracks(body);
        assert_eq!(all.len(), 1, "{body}");
        assert_eq!((&all[0].0, all[0].2), (&wanted, rate), "{body}");
    }
}

#[test]
fn tracks_that_are_left_out_have_a_name_and_a_reason() {
    let body = "m=video 0 RTP/AVP 96\na=rtpmap:96 MP4V-ES/90000\nm=audio 0 RTP/AVP 97\na=rtpmap:97 G726-32/8000\n\
                m=video 0 RTP/AVP 98\na=rtpmap:98 AV1/90000\nm=audio 0 RTP/AVP 14\nm=video 0 RTP/AVP 0\n\
                m=video 0 RTP/AVP 99\nm=video 0 RTP/AVP\nm=data\u{1b}[1m 0 RTP/AVP 99\na=rtpmap:99 x\u{7}y/1";
    let unsupported = "its encoding is not supported";
    let names = [
        "video MP4V-ES",
        "audio G726-32",
        "video AV1",
        "audio MPA",
        "video payload type 0",
        "video payload type 99",
        "video without payload type",
        "data[1m xy",
    ];
    assert_eq!(left_out(body), names.map(|name| (name.to_owned(), unsupported)));
    assert!(tracks(body).is_empty());
    let secure = "m=video 0 RTP/SAVP 96\na=rtpmap:96 H264/90000";
    assert_eq!(format(secure), h264(&[]));
    for body in [format!("{secure}\na=crypto:1 AES_CM_128"), format!("a=key-mgmt:mikey AQAF\n{secure}")] {
        assert!(left_out(&body)[0].1.contains("SRTP"), "{body}");
    }
}

#[test]
fn a_backchannel_is_left_out() {
    let audio = "m=audio 0 RTP/AVP 0\na=sendonly\na=control:talk\n";
    let onvif = format!("m=video 0 RTP/AVP 26\na=recvonly\nm=audio 0 RTP/AVP 8\na=recvonly\n{audio}");
    assert_eq!(tracks(&onvif).len(), 2);
    let left = left_out(&onvif);
    assert!(left[0].0 == "audio PCMU" && left[0].1.contains("backchannel"), "{left:?}");
    // A server that states its own direction sends all of it.
    assert_eq!(tracks(&format!("m=video 0 RTP/AVP 26\na=sendonly\n{audio}")).len(), 2);
    assert!(left_out("m=audio 0 RTP/AVP 0\na=inactive")[0].1.contains("inactive"));
    assert_eq!(tracks("m=video 0 RTP/AVP 26\na=inactive").len(), 1);
}

#[test]
fn the_address_of_the_session_is_read() {
    let control = |body: &str| Description::parse(body.as_bytes()).control;
    assert_eq!(control("v=0\na=control:*\nm=video 0 RTP/AVP 26\na=control:x").as_deref(), Some("*"));
    assert_eq!(control("a=Control: \"rtsp://192.0.2.1/x y\" ").as_deref(), Some("rtsp://192.0.2.1/x y"));
    for none in [
        "",
        "a=control",
        "a=control:",
        "m=video 0 RTP/AVP 26\na=control:x",
        &format!("a=control:{}", "x".repeat(9000)),
    ] {
        assert_eq!(control(none), None, "{none}");
    }
}

#[test]
fn the_number_of_tracks_is_limited() {
    let description = Description::parse("m=video 0 RTP/AVP 26\na=control:x\n".repeat(100_000).as_bytes());
    assert_eq!((description.tracks.len(), description.left_out.len()), (MAX_TRACKS, 1));
    assert_eq!(description.left_out[0].what, "99968 further tracks");
    let lines = "a=fmtp:96 sprop-parameter-sets=Z0IAH+kB\n".repeat(20_000);
    assert_eq!(format(&format!("m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n{lines}")), h264(&[SPS]));
}

#[test]
fn repeated_payload_types_count_once() {
    let types = "96 ".repeat(10_000);
    // The number in `rtpmap` and `fmtp` is another one, which is accepted if the track has a single payload type.
    let fmtp = format!("a=fmtp:97 sprop-parameter-sets={}", base64(SPS));
    let body = format!("m=video 0 RTP/AVP {types}\na=rtpmap:97 H264/90000\n{fmtp}");
    assert_eq!(format(&body), h264(&[SPS]));
    let body = format!("m=video 0 RTP/AVP\n{}{fmtp}", "a=rtpmap:96 H264/90000\n".repeat(200));
    assert_eq!(format(&body), h264(&[SPS]));
    // Others behind the repeated ones are read.
    assert_eq!(format(&format!("m=audio 0 RTP/AVP {} 8", "18 ".repeat(5000))), Format::Pcma);
}

#[test]
fn the_length_of_parameters_is_limited() {
    let sets = format!("a=fmtp:96 sprop-parameter-sets={}\n", base64(SPS));
    let long = format!("a=fmtp:96 x={}\n", "y".repeat(30_000));
    for (count, wanted) in [(2, h264(&[SPS])), (3, h264(&[]))] {
        let body = format!("m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n{}{sets}", long.repeat(count));
        assert_eq!(format(&body), wanted, "{count}");
    }
}

/// Pieces of descriptions, so that arbitrary input gets beyond the first line.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "m=",
        "a=",
        "video",
        "audio",
        " 0 RTP/AVP 96",
        "rtpmap:96 ",
        "H264",
        "H265/90000",
        "mpeg4-generic/8000",
        "MP4A-LATM",
        "fmtp:96 ",
        "sprop-parameter-sets=",
        "sprop-vps=",
        "config=",
        "400026103fc0",
        "Z0IAH+kB",
        ",",
        ";",
        "\"",
        "\r\n",
        " ",
        "framesize:",
        "cliprect:",
        "control:",
        "L16",
        "\u{fffd}é",
    ];
    prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_accepted(pieces in prop::collection::vec(piece(), 0..60)) {
        let description = Description::parse(&pieces.concat());
        prop_assert!(description.tracks.len() + description.left_out.len() <= MAX_TRACKS + 1);
        for track in &description.tracks {
            prop_assert!(track.clock_rate > 0 && track.payload_type < 128);
        }
        let controls = description.tracks.iter().filter_map(|track| track.control.as_ref());
        let texts = description.left_out.iter().map(|track| &track.what).chain(controls).chain(&description.control);
        for text in texts {
            prop_assert!(text.len() < 10_000 && !text.chars().any(char::is_control), "{:?}", text);
        }
    }
}
