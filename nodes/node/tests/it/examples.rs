//! The examples do what they say, as programs and beside other nodes of a process.

#[path = "../../examples/frame_gaps.rs"]
mod frame_gaps;
#[path = "../../examples/late_frames.rs"]
mod late_frames;
#[path = "../../examples/privacy_mask.rs"]
mod privacy_mask;
#[path = "../../examples/traffic_watch.rs"]
pub(crate) mod traffic_watch;

use msight_node::testing::{in_process, run_processor, run_processor_with};
use msight_picture::image::{Rgb, RgbImage};
use msight_picture::{Colour, DecodedImages, Picture, WireForm};
use msight_proto::{Head, ImageData, RoadUserListData, RoadUserPoint, Sample};

fn frame(capture_timestamp: f64, image: ImageData) -> Sample<ImageData> {
    Sample::new(Head::new("north".to_owned(), capture_timestamp), image)
}

#[tokio::test]
async fn frame_gaps_publishes_the_time_between_frames() {
    let image = ImageData::default();
    let frames = [10.0, 10.5, 12.0].map(|time| frame(time, image.clone()));
    let gaps = run_processor::<frame_gaps::FrameGaps>(&[], &frames).await.unwrap();
    let in_process = in_process::run_processor::<frame_gaps::FrameGaps>(&[], frames.clone()).await.unwrap();
    for gaps in [gaps, in_process] {
        assert_eq!(gaps.iter().map(|gap| gap.body.seconds).collect::<Vec<_>>(), [0.5, 1.5]);
        assert_eq!(gaps[0].head.sensor_name.as_deref(), Some("north"));
        assert_eq!(gaps[0].head.frame_id, frames[1].head.frame_id);
    }
}

#[tokio::test]
async fn late_frames_publishes_gaps_and_beside_them_alarms() {
    use late_frames::{ALARMS, LateFrames};
    let image = ImageData::default();
    let frames = [10.0, 10.5, 14.0].map(|time| frame(time, image.clone()));
    let outcome = run_processor_with::<LateFrames, _>(&ALARMS, &["--limit=2"], &frames).await;
    let (gaps, alarms) = outcome.unwrap();
    assert_eq!(gaps.iter().map(|gap| gap.body.seconds).collect::<Vec<_>>(), [0.5, 3.5]);
    let late: Vec<_> = alarms.iter().map(|alarm| (alarm.body.seconds, alarm.body.limit)).collect();
    assert_eq!(late, [(3.5, 2.0)]);
    assert_eq!(alarms[0].head.frame_id, frames[2].head.frame_id);
}

#[tokio::test]
async fn privacy_mask_coarsens_its_region_and_nothing_else() {
    // A fine chessboard: its blocks have no contrast left once coarsened.
    let board = RgbImage::from_fn(640, 480, |x, y| Rgb([if (x / 8 + y / 8) % 2 == 0 { 220 } else { 30 }; 3]));
    let board = Picture::from_rgb(&board).unwrap();
    let flags = ["--region=0.5,0.5,0.5,0.5", "--block=64", "--jpeg-quality=95"];
    let file = frame(1.0, board.to_image(95).unwrap());
    check(&run_processor::<privacy_mask::PrivacyMask>(&flags, &[file]).await.unwrap());

    // What a camera's decoder gives, in the colours of video.
    let images = DecodedImages::new(WireForm::Jpeg(95)).unwrap();
    let mut picture = images.picture();
    board.planes().convert_into(Colour::VIDEO, &mut picture);
    let decoded = frame(1.0, images.message(picture));
    check(&in_process::run_processor::<privacy_mask::PrivacyMask>(&flags, [decoded]).await.unwrap());
}

/// The lower right quarter has no contrast left, and the rest has.
fn check(masked: &[Sample<ImageData>]) {
    let rgb = Picture::from_image(&masked[0].body).unwrap().to_rgb();
    let contrast = |x0: u32, y0: u32| {
        let values = (x0..x0 + 64).flat_map(|x| (y0..y0 + 64).map(move |y| (x, y)));
        let values: Vec<u8> = values.map(|(x, y)| rgb.get_pixel(x, y)[1]).collect();
        values.iter().max().unwrap() - values.iter().min().unwrap()
    };
    assert_eq!(masked[0].body.size.as_deref(), Some(&[480, 640, 3][..]));
    assert!(contrast(0, 0) > 150, "outside of the region: {}", contrast(0, 0));
    assert!(contrast(448, 336) < 10, "inside of the region: {}", contrast(448, 336));
}

#[tokio::test]
async fn a_region_that_makes_no_sense_is_refused_at_the_start() {
    let flags = ["--region=0.5,0.5,2,0.5"];
    let error =
        run_processor::<privacy_mask::PrivacyMask>(&flags, &[] as &[Sample<ImageData>]).await.unwrap_err();
    assert!(error.to_string().contains("four parts of the picture, 0 to 1"), "{error}");
}

#[tokio::test]
async fn traffic_watch_publishes_counts_and_beside_them_alarms() {
    use traffic_watch::{ALARMS, TrafficWatch};
    let seen = [1, 3, 0, 4].map(|count| {
        let road_user_list = vec![RoadUserPoint::default(); count];
        Sample::new(Head::new("north".to_owned(), count as f64), RoadUserListData { road_user_list })
    });
    let outcome = run_processor_with::<TrafficWatch, _>(&ALARMS, &["--limit=2"], &seen).await;
    let (counts, alarms) = outcome.unwrap();
    assert_eq!(counts.iter().map(|count| count.body.road_users).collect::<Vec<_>>(), [1, 3, 0, 4]);
    let alarms: Vec<_> = alarms.iter().map(|alarm| (alarm.body.road_users, alarm.body.limit)).collect();
    assert_eq!(alarms, [(3, 2), (4, 2)]);
    // Without a topic there are no alarms, and nothing else changes.
    let counts = run_processor::<TrafficWatch>(&["--limit=2"], &seen).await.unwrap();
    assert_eq!(counts.len(), 4);
}
