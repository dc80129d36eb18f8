//! Access units of streams that others encode and send: what ffmpeg has encoded, and GStreamer's RTSP server sends, arrives
//! byte for byte.

use std::time::Duration;

use msight_node::testing::run_source_with;
use msight_proto::{AccessUnitData, Sample};
use msight_rtsp_source::{PACKETS, RtspSource};
use msight_test_support::camera::Camera;
use tokio::time::timeout;

use crate::recording::{Recording, Sent};

const TONE: &str = "sine=frequency=440:sample_rate=48000:duration=3";

/// The first access units of a camera.
pub(crate) async fn units(url: &str, flags: &[&str], count: usize) -> Vec<AccessUnitData> {
    let flags = [&["-u", url], flags].concat();
    timeout(Duration::from_secs(60), run_source_with::<RtspSource, _>(&PACKETS, &flags, count))
        .await
        .expect("units come within a minute")
        .expect("the source runs")
        .into_iter()
        .map(|sample: Sample<AccessUnitData>| sample.body)
        .collect()
}

/// GStreamer's server ends a session before it has sent the last pictures.
const LAST: usize = 5;

/// Checks the units of one track against the beginning of what was sent.
fn assert_complete(units: &[AccessUnitData], sent: &[Sent], codec: &str) {
    assert!((20..=sent.len()).contains(&units.len()), "{} units of {codec}", units.len());
    for (number, (unit, sent)) in units.iter().zip(sent).enumerate() {
        assert!(
            unit.data == sent.data,
            "unit {number} of {codec}: {} for {} bytes",
            unit.data.len(),
            sent.data.len()
        );
        let (pts, expected) = (unit.pts - units[0].pts, sent.pts);
        // GStreamer rounds times to nanoseconds.
        assert!((pts - expected).abs() <= 1, "unit {number} of {codec}: {pts} for {expected}");
        assert_eq!((unit.codec.as_str(), unit.key), (codec, sent.key), "unit {number}");
        assert_eq!((unit.sequence, unit.after_loss), (number as u64, false));
        assert_eq!(unit.session, units[0].session);
        assert!(
            unit.dts <= unit.pts,
            "unit {number} of {codec}: decoded at {}, shown at {}",
            unit.dts,
            unit.pts
        );
    }
    assert!(units.windows(2).all(|pair| pair[0].dts < pair[1].dts), "decoding times of {codec} increase");
}

/// Checks a camera of video over both transports.
async fn assert_video(recording: &Recording, codec: &str, elements: &str) {
    let (camera, sent) = (recording.camera(elements), recording.packets());
    for transport in ["tcp", "udp"] {
        let units = units(&camera.url(""), &["--rtsp-transport", transport], sent.len() - LAST).await;
        assert_complete(&units, &sent, codec);
        for unit in &units {
            assert_eq!((unit.track.as_str(), unit.rate), ("video", 90_000));
            let (sets, size) = (unit.parameter_sets.as_deref(), unit.size.as_deref());
            assert_eq!((sets.is_some(), size), (unit.key, unit.key.then_some(&[180, 320][..])));
            let least = if codec == "h265" { 3 } else { 2 };
            assert!(sets.is_none_or(|sets| sets.len() >= least), "{sets:?}");
        }
    }
}

async fn assert_h264(options: &str) {
    let recording = Recording::video(3, "libx264", options);
    let elements = "qtdemux ! h264parse ! rtph264pay name=pay0 pt=96";
    assert_video(&recording, "h264", elements).await;
    let elements = "qtdemux ! h264parse config-interval=-1 ! rtph264pay aggregate-mode=zero-latency mtu=600 name=pay0 pt=96";
    assert_video(&recording, "h264", elements).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_with_b_frames() {
    assert_h264("-preset veryfast -bf 3 -x264-params b-pyramid=normal:b-adapt=0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_with_slices() {
    assert_h264("-preset ultrafast -bf 0 -x264-params slices=4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_baseline() {
    assert_h264("-preset ultrafast -profile:v baseline -tune zerolatency").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_with_b_frames() {
    let recording = Recording::video(3, "libx265", "-preset ultrafast -x265-params bframes=3:log-level=none");
    assert_video(&recording, "h265", "qtdemux ! h265parse ! rtph265pay name=pay0 pt=96").await;
    let elements = "qtdemux ! h265parse config-interval=-1 ! rtph265pay mtu=600 name=pay0 pt=96";
    assert_video(&recording, "h265", elements).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aac_in_both_forms() {
    let recording = Recording::new("aac.mp4", TONE, "-c:a aac -ac 2");
    let sent = recording.packets();
    for payloader in ["rtpmp4gpay", "rtpmp4apay"] {
        let camera = recording.camera(&format!("qtdemux ! aacparse ! {payloader} name=pay0 pt=97"));
        for transport in ["tcp", "udp"] {
            let units = units(&camera.url(""), &["--rtsp-transport", transport], sent.len() - LAST).await;
            assert_complete(&units, &sent, "aac");
            for unit in &units {
                assert_eq!((unit.track.as_str(), unit.rate), ("audio", 48_000));
                // AudioSpecificConfig: AAC-LC, 48 kHz, two channels (ISO/IEC 14496-3, section 1.6.2.1).
                let sets = unit.parameter_sets.as_deref().expect("every unit has the configuration");
                assert!(sets.len() == 1 && sets[0].starts_with(&[0x11, 0x90]), "{sets:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opus() {
    let recording = Recording::new("opus.mp4", TONE, "-c:a libopus -ac 1 -b:a 32k");
    let sent = recording.packets();
    let camera = recording.camera("qtdemux ! opusparse ! rtpopuspay name=pay0 pt=97");
    let units = units(&camera.url(""), &[], sent.len() - LAST).await;
    assert_complete(&units, &sent, "opus");
    assert!(units.iter().all(|unit| unit.rate == 48_000 && unit.channels == Some(2)), "{:?}", units[0]);
}

/// Checks samples that GStreamer sends in packets of its own choice.
async fn assert_samples(codec: &str, encoder: &str, rate: u32, channels: u32, elements: &str) {
    let recording = Recording::new("sound.wav", TONE, &format!("-c:a {encoder} -ar {rate} -ac {channels}"));
    let camera = recording.camera(&format!("wavparse ! {elements} name=pay0"));
    let mut sent = recording.packets().into_iter().flat_map(|packet| packet.data).collect::<Vec<_>>();
    let mut bytes_of_sample = channels as usize;
    if codec == "l16" {
        // WAV has the other byte order.
        sent.chunks_exact_mut(2).for_each(<[u8]>::reverse);
        bytes_of_sample *= 2;
    }
    for transport in ["tcp", "udp"] {
        let units = units(&camera.url(""), &["--rtsp-transport", transport], 15).await;
        let mut so_far = 0;
        for (number, unit) in units.iter().enumerate() {
            let expected = &sent[so_far..][..unit.data.len()];
            assert!(unit.data == expected, "unit {number} of {codec} differs after {so_far} bytes");
            let pts = unit.pts - units[0].pts;
            assert!(
                (pts - (so_far / bytes_of_sample) as i64).abs() <= 1,
                "unit {number} of {codec} at {pts}"
            );
            assert_eq!((unit.codec.as_str(), unit.track.as_str(), unit.key), (codec, "audio", true));
            assert_eq!((unit.rate, unit.channels, unit.dts), (rate, Some(channels), unit.pts));
            assert_eq!((unit.sequence, unit.after_loss), (number as u64, false));
            so_far += unit.data.len();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g711_and_linear_samples() {
    assert_samples("pcmu", "pcm_mulaw", 8000, 1, "rtppcmupay").await;
    assert_samples("pcma", "pcm_alaw", 8000, 1, "rtppcmapay").await;
    assert_samples("l16", "pcm_s16le", 44_100, 2, "audioconvert ! rtpL16pay").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn video_with_two_tracks_of_sound() {
    let video = Recording::video(3, "libx264", "-preset ultrafast -bf 2");
    let first = Recording::new("aac.mp4", TONE, "-c:a aac -ac 2");
    let second = Recording::new("opus.mp4", TONE, "-c:a libopus -ac 1 -b:a 32k");
    let pipeline = format!(
        "filesrc location={} ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 \
         filesrc location={} ! qtdemux ! aacparse ! rtpmp4gpay name=pay1 pt=97 \
         filesrc location={} ! qtdemux ! opusparse ! rtpopuspay name=pay2 pt=98",
        video.path.display(),
        first.path.display(),
        second.path.display()
    );
    let camera = Camera::start(&pipeline, &[]);
    let tracks = [
        ("video", "h264", video.packets()),
        ("audio", "aac", first.packets()),
        ("audio2", "opus", second.packets()),
    ];
    // One track may end before another, and the session with it.
    let count = tracks.iter().map(|(_, _, sent)| sent.len()).sum::<usize>() * 3 / 4;
    for transport in ["tcp", "udp"] {
        let all = units(&camera.url(""), &["--rtsp-transport", transport], count).await;
        assert!(all.iter().all(|unit| unit.session == all[0].session));
        for (track, codec, sent) in &tracks {
            let units: Vec<_> = all.iter().filter(|unit| unit.track == *track).cloned().collect();
            assert_complete(&units, sent, codec);
        }
    }
}
