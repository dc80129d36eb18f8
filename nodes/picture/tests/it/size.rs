//! Sizes, strides and scaling.

use msight_picture::image::RgbImage;
use msight_picture::{Colour, Error, MAX_SIDE, Picture, Planes, Scaler, Size, scaled_size};
use proptest::prelude::*;

#[test]
fn a_resize_gives_the_sizes_that_opencv_gives() {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../data/resize_dims.json")).unwrap();
    assert!(cases.len() > 30);
    for case in cases {
        let side = |name: &str| case[name].as_u64().unwrap() as usize;
        let got = scaled_size(side("w"), side("h"), case["ratio"].as_f64().unwrap());
        if case["error"].is_null() {
            assert_eq!(got.unwrap(), Size::new(side("out_w"), side("out_h")).unwrap(), "{case}");
        } else {
            assert!(matches!(got, Err(Error::Ratio { .. })), "{case}");
        }
    }
    for ratio in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, f64::MIN_POSITIVE] {
        assert!(matches!(scaled_size(1920, 1080, ratio), Err(Error::Ratio { .. })), "{ratio}");
    }
}

#[test]
fn sizes_have_limits() {
    assert!(Size::new(7680, 4320).is_ok());
    for (width, height) in [(0, 1), (1, 0), (MAX_SIDE + 1, 1), (MAX_SIDE, MAX_SIDE), (usize::MAX, usize::MAX)]
    {
        assert!(matches!(Size::new(width, height), Err(Error::Size { .. })), "{width}x{height}");
    }
}

#[test]
fn an_odd_picture_has_an_even_part() {
    let picture = Picture::new(Size::new(1271, 719).unwrap(), Colour::JPEG);
    let even = picture.planes().even().unwrap();
    assert_eq!((even.size().width(), even.size().height()), (1270, 718));
    assert_eq!([even.y().len(), even.u().len(), even.v().len()], [1272 * 718, 636 * 359, 636 * 359]);
    assert!(Picture::default().planes().even().is_none());
}

#[test]
fn a_new_picture_is_black() {
    for colour in [Colour::JPEG, Colour::VIDEO] {
        let rgb = Picture::new(Size::new(5, 3).unwrap(), colour).to_rgb();
        assert!(rgb.iter().all(|&part| part == 0), "{colour:?}");
    }
}

proptest! {
    #[test]
    fn planes_are_accepted_if_and_only_if_they_fit(
        width in 1..40_usize, height in 1..40_usize,
        strides in proptest::array::uniform3(0..50_usize),
        lens in proptest::array::uniform3(0..2500_usize),
    ) {
        let size = Size::new(width, height).unwrap();
        let bytes = [0_u8; 2500];
        let planes = Planes::new(size, Colour::VIDEO, lens.map(|len| &bytes[..len]), strides);
        let (uv_width, uv_height) = (width.div_ceil(2), height.div_ceil(2));
        let fits = strides[0] >= width && lens[0] >= strides[0] * height
            && (1..3).all(|i| strides[i] >= uv_width && lens[i] >= strides[i] * uv_height);
        prop_assert_eq!(planes.is_ok(), fits);
        if let Ok(planes) = planes {
            // Every accepted plane can be read.
            let mut picture = Picture::default();
            planes.convert_into(Colour::JPEG, &mut picture);
            prop_assert_eq!(planes.to_rgb().len(), 3 * width * height);
            Scaler::new().scale(&planes, Size::new(9, 7).unwrap(), &mut picture);
            prop_assert!(msight_picture::JpegEncoder::new(50).unwrap().encode(&planes).is_ok());
        }
    }

    #[test]
    fn every_size_scales_to_every_size(from in (1..90_usize, 1..90_usize), to in (1..90_usize, 1..90_usize)) {
        let colour = [180, 40, 90];
        let rgb = RgbImage::from_pixel(from.0 as u32, from.1 as u32, colour.into());
        let picture = Picture::from_rgb(&rgb).unwrap();
        let to = Size::new(to.0, to.1).unwrap();
        let mut scaled = Picture::default();
        Scaler::new().scale(&picture.planes(), to, &mut scaled);
        prop_assert_eq!(scaled.size(), to);
        let seen = scaled.to_rgb();
        for pixel in seen.pixels() {
            prop_assert!(pixel.0.into_iter().zip(colour).all(|(got, want): (u8, u8)| got.abs_diff(want) <= 3), "{pixel:?}");
        }
    }
}

#[test]
fn scaling_keeps_positions_and_averages_fine_patterns() {
    // Red on the left, blue on the right, over alternating light and dark lines. Point sampling would not average
    // these.
    let rgb = RgbImage::from_fn(640, 361, |x, y| match (x < 320, y % 2 == 0) {
        (true, true) => [255, 0, 0].into(),
        (true, false) => [155, 0, 0].into(),
        (false, true) => [0, 0, 255].into(),
        (false, false) => [0, 0, 155].into(),
    });
    let picture = Picture::from_rgb(&rgb).unwrap();
    let mut scaled = Picture::default();
    let to = picture.size().scaled(0.25).unwrap();
    Scaler::new().scale(&picture.planes(), to, &mut scaled);
    let seen = scaled.to_rgb();
    let (left, right) = (seen.get_pixel(40, 45).0, seen.get_pixel(120, 45).0);
    assert!(left[0].abs_diff(205) < 12 && left[2] < 20, "{left:?}");
    assert!(right[2].abs_diff(205) < 12 && right[0] < 20, "{right:?}");
}
