//! Pictures that a decoder of the same process gave: encoded as they are, in their own colours.

use crate::video::{assert_colours, frame, look, quarters};
use msight_image_to_video::ImageToVideo;
use msight_node::testing::in_process::run_processor;
use msight_picture::image::{Rgb, RgbImage};
use msight_picture::{Colour, DecodedImages, JpegEncoder, Matrix, Picture, Range, WireForm};
use msight_proto::{ImageData, Sample, VideoData};

const COLOURS: [[u8; 3]; 4] = [[200, 40, 40], [40, 180, 60], [40, 60, 200], [230, 230, 230]];

/// A picture as a camera's decoder gives it.
fn decoded(rgb: &RgbImage, colour: Colour) -> Picture {
    let mut picture = Picture::default();
    Picture::from_rgb(rgb).unwrap().planes().convert_into(colour, &mut picture);
    picture
}

fn handed_over(images: &DecodedImages, picture: &Picture) -> ImageData {
    let mut own = images.picture();
    picture.planes().convert_into(picture.colour(), &mut own);
    images.message(own)
}

async fn segments(flags: &[&str], frames: Vec<Sample<ImageData>>) -> Vec<Sample<VideoData>> {
    let common = ["--overlap-size=0", "--fps=10", "--sensor-queue=1000"];
    run_processor::<ImageToVideo>(&[&common, flags].concat(), frames).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_colour_of_a_camera_is_kept_and_named_and_a_change_begins_a_segment() {
    let images = DecodedImages::new(WireForm::Jpeg(50)).unwrap();
    let rgb = quarters(320, 240, COLOURS);
    let all = [
        (Range::Limited, Matrix::Bt601),
        (Range::Limited, Matrix::Bt709),
        (Range::Full, Matrix::Bt601),
        (Range::Full, Matrix::Bt709),
    ];
    let frames = all.iter().flat_map(|&(range, matrix)| {
        [decoded(&rgb, Colour { range, matrix }), decoded(&rgb, Colour { range, matrix })]
    });
    let frames = frames
        .enumerate()
        .map(|(k, picture)| frame(Some("camera"), k as f64 / 10.0, handed_over(&images, &picture)));
    let made = segments(&["--buffer-size=100", "--qp=12"], frames.collect()).await;
    assert_eq!(made.len(), all.len());
    for (segment, (range, matrix)) in made.iter().zip(all) {
        let seen = look(segment);
        assert_eq!(seen.frames.len(), 2);
        let (range, matrix) = (
            if range == Range::Full { "pc" } else { "tv" },
            if matrix == Matrix::Bt709 { "bt709" } else { "smpte170m" },
        );
        assert_eq!((seen.is("color_range"), seen.is("color_space")), (range, matrix));
        for picture in &seen.frames {
            assert_colours(picture, COLOURS, 4.0);
        }
    }
}

/// Decibels between two pictures.
fn psnr(a: &RgbImage, b: &RgbImage) -> f64 {
    let squares: u64 = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    10.0 * (255.0_f64.powi(2) * a.len() as f64 / squares as f64).log10()
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_better_than_by_way_of_jpeg() {
    let colour = Colour { range: Range::Limited, matrix: Matrix::Bt709 };
    let mut random = fastrand::Rng::with_seed(3);
    let pictures: Vec<Picture> = (0..10_u32)
        .map(|k| {
            let scene = RgbImage::from_fn(320, 180, |x, y| {
                let wave = 60.0 * (f64::from(x + 4 * k) / 9.0).sin() * (f64::from(y) / 13.0).cos();
                let grey = (120.0 + wave) as u8 + random.u8(0..5);
                Rgb([grey, grey.saturating_add(20), 200 - grey / 2])
            });
            decoded(&scene, colour)
        })
        .collect();
    let images = DecodedImages::new(WireForm::Jpeg(50)).unwrap();
    let mut jpeg = JpegEncoder::new(50).unwrap();
    let by_planes: Vec<_> = pictures.iter().map(|picture| handed_over(&images, picture)).collect();
    let by_jpeg: Vec<_> =
        pictures.iter().map(|picture| jpeg.encode_image(&picture.planes()).unwrap()).collect();
    let mut quality = Vec::new();
    for way in [by_planes, by_jpeg] {
        let frames =
            way.into_iter().enumerate().map(|(k, image)| frame(Some("camera"), k as f64 / 10.0, image));
        let made = segments(&["--buffer-size=10", "--bitrate=400k"], frames.collect()).await;
        let seen = look(&made[0]);
        assert_eq!(seen.frames.len(), pictures.len());
        let each = seen.frames.iter().zip(&pictures).map(|(seen, picture)| psnr(seen, &picture.to_rgb()));
        quality.push((each.sum::<f64>() / pictures.len() as f64, made[0].body.video.as_ref().unwrap().len()));
    }
    let [(planes, planes_bytes), (jpeg, jpeg_bytes)] = quality[..] else { panic!("two ways") };
    assert!(
        planes > jpeg,
        "{planes:.2} dB in {planes_bytes} bytes as planes, {jpeg:.2} dB in {jpeg_bytes} by way of JPEG"
    );
    assert!(
        (planes_bytes as f64) < 1.1 * jpeg_bytes as f64,
        "{planes_bytes} bytes, {jpeg_bytes} by way of JPEG"
    );
}
