//! Image messages to pictures and back.

use std::io::Cursor;

use msight_picture::image::{DynamicImage, ImageFormat, RgbImage};
use msight_picture::{Colour, Error, ImageDecoder, JpegEncoder, Picture, Size};
use msight_proto::ImageData;
use proptest::prelude::*;

const SOURCE_BGR: &[u8] = include_bytes!("../data/source_64x48.bgr");
const FROM_OPENCV: &[u8] = include_bytes!("../data/source_64x48_q50.jpg");

fn file(bytes: &[u8]) -> ImageData {
    ImageData {
        image: Some(bytes.to_vec().into()),
        is_encoded: true,
        detection_results: None,
        size: None,
        access_unit: None,
    }
}

fn raw(pixels: &[u8], size: &[u64]) -> ImageData {
    ImageData {
        image: Some(pixels.to_vec().into()),
        is_encoded: false,
        detection_results: None,
        size: Some(size.to_vec()),
        access_unit: None,
    }
}

fn error(message: &ImageData) -> Error {
    Picture::from_image(message).expect_err("no picture")
}

fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

#[test]
fn raw_bgr_is_read_and_written() {
    let message = raw(SOURCE_BGR, &[48, 64, 3]);
    let picture = Picture::from_image(&message).unwrap();
    assert_eq!((picture.size(), picture.colour()), (Size::new(64, 48).unwrap(), Colour::JPEG));
    let back = picture.planes().to_raw_image();
    assert_eq!((back.size, back.is_encoded), (Some(vec![48, 64, 3]), false));
    assert!(mean_difference(back.image.unwrap().bytes().unwrap(), SOURCE_BGR) < 4.0);
}

#[test]
fn red_and_blue_are_not_swapped() {
    let bgr = [255, 0, 0].repeat(35 * 21);
    let picture = Picture::from_image(&raw(&bgr, &[21, 35, 3])).unwrap();
    let blue = picture.to_rgb();
    assert!(blue.pixels().all(|pixel| pixel.0[2] > 250 && pixel.0[0] < 5 && pixel.0[1] < 5));
    let red = RgbImage::from_pixel(35, 21, [255, 0, 0].into());
    let seen = Picture::from_rgb(&red).unwrap().to_rgb();
    assert!(seen.pixels().all(|pixel| pixel.0[0] > 250 && pixel.0[1] < 5 && pixel.0[2] < 5));
}

#[test]
fn grey_frames_have_two_shapes() {
    let grey: Vec<u8> = (0..7 * 5).map(|i| i * 7).collect();
    for shape in [&[5, 7][..], &[5, 7, 1]] {
        let picture = Picture::from_image(&raw(&grey, shape)).unwrap();
        let rgb = picture.to_rgb();
        let seen: Vec<u8> = rgb.pixels().map(|pixel| pixel.0[1]).collect();
        assert_eq!(seen, grey);
    }
}

#[test]
fn the_size_of_an_encoded_message_is_ignored() {
    let mut message = file(FROM_OPENCV);
    message.size = Some(vec![1, 2, 3, 4]);
    assert_eq!(Picture::from_image(&message).unwrap().size(), Size::new(64, 48).unwrap());
}

#[test]
fn a_message_equals_that_of_upstream() {
    let picture = Picture::from_image(&raw(SOURCE_BGR, &[48, 64, 3])).unwrap();
    let message = JpegEncoder::new(50).unwrap().encode_image(&picture.planes()).unwrap();
    assert_eq!((&message.size, message.is_encoded), (&Some(vec![48, 64, 3]), true));
    let (ours, theirs) =
        (Picture::from_image(&message).unwrap(), Picture::from_image(&file(FROM_OPENCV)).unwrap());
    assert!(mean_difference(&ours.to_rgb(), &theirs.to_rgb()) < 1.0);
}

#[test]
fn other_formats_are_read_without_their_transparency() {
    let rgb = RgbImage::from_fn(33, 17, |x, y| [x as u8 * 7, y as u8 * 14, 128].into());
    let with_alpha = DynamicImage::ImageRgb8(rgb.clone()).into_rgba8();
    let wide = DynamicImage::ImageRgb8(rgb.clone()).into_rgb16();
    let grey = DynamicImage::ImageRgb8(rgb.clone()).into_luma8();
    for (image, format) in [
        (DynamicImage::ImageRgb8(rgb.clone()), ImageFormat::Png),
        (DynamicImage::ImageRgba8(with_alpha), ImageFormat::Png),
        (DynamicImage::ImageRgb16(wide), ImageFormat::Png),
        (DynamicImage::ImageLuma8(grey), ImageFormat::Png),
        (DynamicImage::ImageRgb8(rgb.clone()), ImageFormat::Bmp),
        (DynamicImage::ImageRgb8(rgb.clone()), ImageFormat::Tiff),
        (DynamicImage::ImageRgb8(rgb), ImageFormat::WebP),
    ] {
        let mut bytes = Vec::new();
        image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        let picture = Picture::from_image(&file(&bytes)).unwrap();
        let difference = mean_difference(&picture.to_rgb(), &image.into_rgb8());
        assert!(difference < 4.0, "{format:?}: {difference}");
    }
}

#[test]
fn each_invalid_image_has_its_error() {
    let nothing = ImageData::default();
    assert!(matches!(error(&nothing), Error::Missing));
    let unknown = error(&file(b"hello, world"));
    assert!(matches!(&unknown, Error::UnknownFormat { len: 12, start } if start == b"hello, w"), "{unknown}");
    assert!(unknown.to_string().contains("[68, 65, 6c, 6c, 6f, 2c, 20, 77]"), "{unknown}");
    assert!(matches!(error(&file(b"")), Error::UnknownFormat { len: 0, .. }));
    assert!(matches!(error(&file(b"\xff\xd8\xff\xe0")), Error::Decode { format: "JPEG", .. }));
    assert!(matches!(error(&file(b"\x89PNG\r\n\x1a\n\0\0")), Error::Decode { format: "PNG", .. }));
    for shape in [&[][..], &[3], &[4, 4, 4], &[4, 4, 0], &[1, 4, 4, 3]] {
        assert!(matches!(error(&raw(&[0; 48], shape)), Error::RawShape(Some(_))), "{shape:?}");
    }
    assert!(matches!(error(&raw(&[0; 47], &[4, 4, 3])), Error::RawLength { len: 47, expected: 48, .. }));
    assert!(matches!(error(&raw(&[0; 49], &[4, 4, 3])), Error::RawLength { .. }));
    assert!(matches!(error(&raw(&[], &[0, 0, 3])), Error::Size { .. }));
    assert!(matches!(error(&raw(&[], &[u64::MAX, u64::MAX, 3])), Error::Size { .. }));
    let unshaped = ImageData { size: None, ..raw(&[0; 48], &[]) };
    assert!(matches!(error(&unshaped), Error::RawShape(None)));
}

#[test]
fn a_bmp_with_a_false_size_is_rejected() {
    let mut bmp = Vec::new();
    DynamicImage::new_rgb8(8, 8).write_to(&mut Cursor::new(&mut bmp), ImageFormat::Bmp).unwrap();
    // Width and height of a BMP, without a checksum over them.
    bmp[18..22].copy_from_slice(&16_000_u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&16_000_u32.to_le_bytes());
    assert!(matches!(error(&file(&bmp)), Error::Size { width: 16_000, height: 16_000 }));
}

#[test]
fn after_an_error_the_next_message_is_read() {
    let mut decoder = ImageDecoder::new().unwrap();
    let mut picture = Picture::default();
    for _ in 0..2 {
        decoder.decode(&file(&FROM_OPENCV[..300]), &mut picture).expect_err("cut short");
        decoder.decode(&file(FROM_OPENCV), &mut picture).unwrap();
        assert_eq!(picture.size(), Size::new(64, 48).unwrap());
    }
}

proptest! {
    #[test]
    fn arbitrary_messages_are_accepted_or_rejected(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        size in proptest::option::of(proptest::collection::vec(0..20_u64, 0..5)),
        is_encoded: bool,
        magic in prop::sample::select(vec![&b""[..], b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"RIFF", b"GIF89a"]),
    ) {
        let image = [magic, &bytes].concat();
        let message = ImageData { image: Some(image.into()), is_encoded, size, ..ImageData::default() };
        if let Err(error) = Picture::from_image(&message) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
