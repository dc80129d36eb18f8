//! The node on real frames: what comes out is decoded by ffmpeg and read by a second MP4 library.

use crate::video::{START, assert_colours, frame, jpeg, look, quarters, segments};
use msight_media::SegmentMetadata;
use msight_picture::Picture;
use msight_picture::image::{ImageFormat, RgbImage};
use msight_proto::{FrameId, ImageData, Sample, VideoData};

const CAMERA: Option<&str> = Some("gate 1/é");
const COLOURS: [[u8; 3]; 4] = [[200, 40, 40], [40, 180, 60], [40, 60, 200], [230, 230, 230]];

/// Small frames of a camera at 10 frames a second.
fn ten_a_second(frames: u32) -> Vec<Sample<ImageData>> {
    (0..frames).map(|k| frame(CAMERA, f64::from(k) / 10.0, small(k))).collect()
}

/// A small picture that is another one each time.
fn small(k: u32) -> ImageData {
    let shade = (k * 37 % 200) as u8;
    jpeg(&quarters(160, 96, [[shade; 3], [90, 90, shade], [200; 3], [shade, 60, 60]]))
}

fn metadata(segment: &Sample<VideoData>) -> SegmentMetadata {
    SegmentMetadata::read(segment.body.video.as_ref().unwrap()).expect("the file has a box for it")
}

fn ids(segment: &Sample<VideoData>) -> Vec<FrameId> {
    segment.body.frame_ids.as_ref().unwrap().iter().map(|id| id.unwrap()).collect()
}

/// The frames of a segment, as tenths of a second after the start.
fn tenths(segment: &Sample<VideoData>) -> Vec<i64> {
    let times = segment.body.capture_timestamps.as_ref().unwrap();
    times.iter().map(|time| ((time - START) * 10.0).round() as i64).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_what_msight_says_and_play() {
    let frames = ten_a_second(25);
    let made = segments(&["--buffer-size=10", "--overlap-size=0", "--fps=10"], &frames).await;
    assert_eq!(made.iter().map(|s| tenths(s).len()).collect::<Vec<_>>(), [10, 10, 5]);
    let all: Vec<_> = made.iter().flat_map(ids).collect();
    assert_eq!(all, frames.iter().map(|f| f.head.frame_id.unwrap()).collect::<Vec<_>>());
    for segment in &made {
        assert_eq!(segment.head.sensor_name.as_deref(), CAMERA);
        assert_eq!(segment.head.device_name.as_deref(), Some(msight_node::testing::DEVICE));
        assert_eq!(segment.body.detection_results, None);
        assert!(!all.contains(&segment.head.frame_id.unwrap()));
        assert!(segment.head.capture_timestamp > START + 1e6, "the time of encoding, as in MSight");
        let seen = look(segment);
        assert_eq!(seen.duration_ticks(), 9000 * seen.packets.len() as i64);
        assert_eq!(seen.size(), (160, 96));
        assert_eq!((seen.is("codec_name"), seen.is("codec_tag_string")), ("h264", "avc1"));
        assert_eq!(seen.stream["has_b_frames"], 0);
        assert_eq!((seen.is("color_range"), seen.is("color_space")), ("tv", "smpte170m"));
        assert!(seen.packets[0].1, "a key frame begins it");
        assert_eq!(seen.packets.iter().filter(|p| p.1).count(), 1);
        assert!(seen.stream["tags"]["creation_time"].as_str().unwrap().starts_with("2023-11-14T22:13:"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_segments_share_frames_and_each_begins_with_a_key_frame() {
    let made = segments(&["--buffer-size=4", "--overlap-size=1", "--fps=10"], &ten_a_second(12)).await;
    let expected: [&[i64]; 4] = [&[0, 1, 2, 3], &[3, 4, 5, 6], &[6, 7, 8, 9], &[9, 10, 11]];
    assert_eq!(made.iter().map(tenths).collect::<Vec<_>>(), expected);
    let seen: Vec<_> = made.iter().map(look).collect();
    assert_eq!(seen[0].packets.iter().map(|p| p.1).collect::<Vec<_>>(), [true, false, false, true]);
    assert_eq!(seen[0].frames[3], seen[1].frames[0]);

    let made = segments(&["--buffer-size=4", "--overlap-size=4", "--fps=10"], &ten_a_second(6)).await;
    assert_eq!(made.iter().map(|s| tenths(s).len()).collect::<Vec<_>>(), [4, 5, 5]);
    made.iter().for_each(|segment| assert_eq!(look(segment).frames.len(), tenths(segment).len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_come_out_as_they_went_in() {
    let primaries = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]];
    let dark = [[0, 0, 0], [16, 16, 16], [128, 128, 128], [235, 200, 20]];
    for colours in [COLOURS, primaries, dark] {
        let picture = quarters(640, 480, colours);
        let frames: Vec<_> = (0..6).map(|k| frame(CAMERA, f64::from(k) / 10.0, jpeg(&picture))).collect();
        let made = segments(&["--buffer-size=6", "--overlap-size=0", "--fps=10"], &frames).await;
        for shown in look(&made[0]).frames {
            assert_colours(&shown, colours, 4.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn png_raw_and_grey_frames_are_frames() {
    let rgb = quarters(320, 240, COLOURS);
    let mut png = std::io::Cursor::new(vec![]);
    rgb.write_to(&mut png, ImageFormat::Png).unwrap();
    let png = ImageData {
        image: Some(png.into_inner().into()),
        is_encoded: true,
        detection_results: None,
        size: None,
        access_unit: None,
    };
    let raw = Picture::from_rgb(&rgb).unwrap().planes().to_raw_image();
    let grey = ImageData {
        image: Some(rgb.pixels().map(|p| p.0[0]).collect::<Vec<u8>>().into()),
        is_encoded: false,
        detection_results: None,
        size: Some(vec![240, 320]),
        access_unit: None,
    };
    let frames = [png, raw, grey, jpeg(&rgb)].into_iter().enumerate();
    let frames: Vec<_> = frames.map(|(k, image)| frame(None, k as f64 / 10.0, image)).collect();
    let made = segments(&["--buffer-size=4", "--overlap-size=0", "--fps=10"], &frames).await;
    assert_eq!((made.len(), made[0].head.sensor_name.as_deref()), (1, None));
    let seen = look(&made[0]);
    for k in [0, 1, 3] {
        assert_colours(&seen.frames[k], COLOURS, 5.0);
    }
    assert_colours(&seen.frames[2], COLOURS.map(|c| [c[0]; 3]), 5.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_kept_but_for_an_odd_last_row_or_column() {
    for (sent, shown) in [
        ((1270, 718), (1270, 718)),
        ((1271, 719), (1270, 718)),
        ((16, 16), (16, 16)),
        ((100, 333), (100, 332)),
    ] {
        let picture = quarters(sent.0, sent.1, COLOURS);
        let frames: Vec<_> = (0..3).map(|k| frame(CAMERA, f64::from(k) / 10.0, jpeg(&picture))).collect();
        let made = segments(&["--buffer-size=3", "--overlap-size=0"], &frames).await;
        let seen = look(&made[0]);
        assert_eq!(seen.size(), shown);
        if sent.0 > 16 {
            assert_colours(&seen.frames[2], COLOURS, 5.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_shown_at_their_capture_time() {
    let times = [0.0, 0.11, 0.19, 0.35, 1.4, 1.41];
    let frames: Vec<_> = times.iter().map(|&t| frame(CAMERA, t, small(3))).collect();
    let made = segments(&["--buffer-size=5", "--overlap-size=0", "--fps=10"], &frames).await;
    let seen = look(&made[0]);
    for (packet, time) in seen.packets.iter().zip(times) {
        assert!((packet.0 - time).abs() < 1e-4, "{:?}", seen.packets);
    }
    assert_eq!(seen.duration_ticks(), (1.41f64 * 90_000.0).round() as i64, "to the frame after the last");
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_frames_a_second_become_ten() {
    let frames: Vec<_> = (0..90).map(|k| frame(CAMERA, f64::from(k) / 30.0, small(k))).collect();
    let made = segments(&["--buffer-size=15", "--overlap-size=0", "--fps=10"], &frames).await;
    assert_eq!(made.len(), 2);
    for segment in &made {
        let seen = look(segment);
        assert_eq!(seen.frames.len(), 15);
        assert!((seen.duration_ticks() - 135_000).abs() <= 3000, "{}", seen.duration_ticks());
    }
    let made =
        segments(&["--buffer-size=45", "--overlap-size=0", "--fps=10", "--timing=constant"], &frames).await;
    assert_eq!(made.len(), 2);
    assert_eq!(look(&made[1]).duration_ticks(), 45 * 9000);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_size_a_gap_and_a_clock_set_back_begin_new_segments() {
    let wide = || jpeg(&quarters(320, 96, COLOURS));
    let frames = [
        frame(CAMERA, 0.0, small(0)),
        frame(CAMERA, 0.1, small(1)),
        frame(CAMERA, 0.2, wide()),
        frame(CAMERA, 0.3, wide()),
        frame(CAMERA, 0.3, small(9)), // repeated
        frame(CAMERA, 0.1, small(9)), // late
        frame(CAMERA, f64::NAN, small(9)),
        frame(CAMERA, 9.3, wide()),
        frame(CAMERA, 9.4, wide()),
        frame(CAMERA, -60.0, wide()),
    ];
    let made = segments(&["--buffer-size=100", "--overlap-size=0", "--fps=10"], &frames).await;
    assert_eq!(
        made.iter().map(tenths).collect::<Vec<_>>(),
        [vec![0, 1], vec![2, 3], vec![93, 94], vec![-600]]
    );
    let endings: Vec<_> = made.iter().map(|segment| metadata(segment).ending).collect();
    assert_eq!(endings, ["frame_size", "gap", "clock_step", "stop"]);
    let seen: Vec<_> = made.iter().map(look).collect();
    assert_eq!(
        seen.iter().map(crate::video::Seen::size).collect::<Vec<_>>(),
        [(160, 96), (320, 96), (320, 96), (320, 96)]
    );
    assert_eq!(
        seen.iter().map(crate::video::Seen::duration_ticks).collect::<Vec<_>>(),
        [18_000, 18_000, 18_000, 9000]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_is_left_out_and_the_rest_goes_on() {
    let image = |bytes: &[u8], is_encoded, size: Option<Vec<u64>>| ImageData {
        image: Some(bytes.to_vec().into()),
        is_encoded,
        detection_results: None,
        size,
        access_unit: None,
    };
    let whole = small(0).image.unwrap().bytes().unwrap().clone();
    let bad = [
        image(b"", true, None),
        image(b"not an image", true, None),
        image(&whole[..whole.len() / 3], true, None),
        image(&[0xff, 0xd8, 0xff, 0xe0, 0, 0], true, None),
        image(&[0; 12], false, Some(vec![u64::MAX, u64::MAX, 3])),
        image(&[0; 12], false, Some(vec![4, 4, 3])),
        image(&[0; 3], false, Some(vec![1, 1, 3])), // too small to encode
        ImageData::default(),
    ];
    let mut frames = vec![frame(CAMERA, 0.0, small(0))];
    frames.extend(bad.into_iter().enumerate().map(|(k, image)| frame(CAMERA, 0.1 + k as f64 / 100.0, image)));
    frames.extend((2..5).map(|k| frame(CAMERA, f64::from(k) / 10.0, small(k))));
    let made = segments(&["--buffer-size=100", "--overlap-size=0", "--fps=100"], &frames).await;
    assert!(made.iter().all(|segment| !look(segment).frames.is_empty()));
    let lost = made.iter().map(|segment| {
        let SegmentMetadata { frames_lost_before, frames_lost_within, .. } = metadata(segment);
        frames_lost_before + frames_lost_within
    });
    let shown: Vec<_> = made.iter().flat_map(tenths).collect();
    assert_eq!(lost.sum::<u64>(), (frames.len() - shown.len()) as u64);
    assert!([0, 2, 3, 4].iter().all(|tenth| shown.contains(tenth)), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sensors_do_not_mix_and_too_many_are_left_out() {
    let names = ["a", "b", "../../x", "a\0b", ""];
    let frames: Vec<_> =
        (0..20u32).map(|k| frame(Some(names[k as usize % 5]), f64::from(k / 5) / 10.0, small(k))).collect();
    let made = segments(&["--buffer-size=2", "--overlap-size=0", "--fps=10"], &frames).await;
    assert_eq!(made.len(), 10);
    for segment in &made {
        let sensor = segment.head.sensor_name.as_deref().unwrap();
        let of_sensor: Vec<_> =
            frames.iter().filter(|f| f.head.sensor_name.as_deref() == Some(sensor)).collect();
        assert!(ids(segment).iter().all(|id| of_sensor.iter().any(|f| f.head.frame_id == Some(*id))));
    }
    let made =
        segments(&["--buffer-size=2", "--overlap-size=0", "--fps=10", "--max-sensors=2"], &frames).await;
    let mut seen: Vec<_> = made.iter().map(|s| s.head.sensor_name.as_deref().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["a", "a", "b", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_segment_ends_early() {
    let noise = RgbImage::from_fn(320, 240, |x, y| {
        msight_picture::image::Rgb([0, 1, 2].map(|c| ((x * 7919 + y * 104_729 + c * 31) ^ (x * y)) as u8))
    });
    let frames: Vec<_> = (0..10).map(|k| frame(CAMERA, f64::from(k) / 10.0, jpeg(&noise))).collect();
    let flags = [
        "--buffer-size=1000",
        "--overlap-size=10",
        "--fps=10",
        "--max-segment-bytes=20k",
        "--qp=20",
        "--bitrate=8M",
    ];
    let made = segments(&flags, &frames).await;
    assert!(made.len() > 1);
    assert_eq!(made.iter().map(|s| look(s).frames.len()).sum::<usize>(), 10, "none twice, none lost");
}

#[tokio::test]
async fn flags_that_cannot_work_are_refused_by_name() {
    for (flags, flag) in [
        (["--buffer-size=4", "--overlap-size=5", "--fps=10"], "--overlap-size"),
        (["--buffer-size=4", "--overlap-size=0", "--fps=0"], "--fps"),
        (["--buffer-size=4", "--overlap-size=0", "--max-gap=nan"], "--max-gap"),
        (["--buffer-size=4", "--overlap-size=0", "--idle-timeout=0"], "--idle-timeout"),
        (["--buffer-size=4", "--overlap-size=0", "--codec=mpeg4"], "--codec"),
    ] {
        let error = msight_node::testing::run_processor::<msight_image_to_video::ImageToVideo>(
            &flags,
            &[] as &[Sample<ImageData>],
        )
        .await;
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains(flag), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_asks_for_hevc_still_runs() {
    let flags = ["--buffer-size=2", "--overlap-size=-1", "--fps=10", "--codec=libx265"];
    let made = segments(&flags, &ten_a_second(2)).await;
    assert_eq!(look(&made[0]).is("codec_name"), "h264");
}
