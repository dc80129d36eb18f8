//! Colours against the definitions of BT.601, BT.709 and JFIF, in floating point.

use msight_picture::{Colour, Matrix, Picture, Planes, Range, Size};
use proptest::prelude::*;

const LIMITED_601: Colour = Colour::VIDEO;
const LIMITED_709: Colour = Colour { range: Range::Limited, matrix: Matrix::Bt709 };
const FULL_709: Colour = Colour { range: Range::Full, matrix: Matrix::Bt709 };
const ALL: [Colour; 4] = [LIMITED_601, LIMITED_709, Colour::JPEG, FULL_709];

fn weights(matrix: Matrix) -> [f64; 3] {
    match matrix {
        Matrix::Bt601 => [0.299, 0.587, 0.114],
        Matrix::Bt709 => [0.2126, 0.7152, 0.0722],
    }
}

/// To RGB of 0 to 1, without clipping.
fn to_rgb(colour: Colour, [y, u, v]: [f64; 3]) -> [f64; 3] {
    let [kr, kg, kb] = weights(colour.matrix);
    let (y, u, v) = match colour.range {
        Range::Full => (y / 255.0, (u - 128.0) / 255.0, (v - 128.0) / 255.0),
        Range::Limited => ((y - 16.0) / 219.0, (u - 128.0) / 224.0, (v - 128.0) / 224.0),
    };
    let (red, blue) = (y + 2.0 * (1.0 - kr) * v, y + 2.0 * (1.0 - kb) * u);
    [red, (y - kr * red - kb * blue) / kg, blue]
}

/// From RGB of 0 to 1, without rounding.
fn from_rgb(colour: Colour, [red, green, blue]: [f64; 3]) -> [f64; 3] {
    let [kr, kg, kb] = weights(colour.matrix);
    let y = kr * red + kg * green + kb * blue;
    let (u, v) = ((blue - y) / 2.0 / (1.0 - kb), (red - y) / 2.0 / (1.0 - kr));
    match colour.range {
        Range::Full => [255.0 * y, 255.0 * u + 128.0, 255.0 * v + 128.0],
        Range::Limited => [219.0 * y + 16.0, 224.0 * u + 128.0, 224.0 * v + 128.0],
    }
}

fn plain(size: Size, colour: Colour, [y, u, v]: [u8; 3]) -> Picture {
    let mut picture = Picture::new(size, colour);
    let planes = picture.planes_mut();
    planes.y.fill(y);
    planes.u.fill(u);
    planes.v.fill(v);
    picture
}

fn converted(picture: &Picture, colour: Colour) -> Picture {
    let mut converted = Picture::default();
    picture.planes().convert_into(colour, &mut converted);
    converted
}

fn first(picture: &Picture) -> [u8; 3] {
    let planes = picture.planes();
    [planes.y()[0], planes.u()[0], planes.v()[0]]
}

/// The samples that this range allows.
fn legal(range: Range) -> (std::ops::RangeInclusive<u8>, std::ops::RangeInclusive<u8>) {
    match range {
        Range::Limited => (16..=235, 16..=240),
        Range::Full => (0..=255, 0..=255),
    }
}

#[test]
fn a_range_change_rounds_every_sample_to_the_nearest_value() {
    let size = Size::new(2, 2).unwrap();
    for (from, to) in [(LIMITED_601, Colour::JPEG), (Colour::JPEG, LIMITED_601), (LIMITED_709, FULL_709)] {
        for sample in 0..=255_u8 {
            let [y, u, v] = first(&converted(&plain(size, from, [sample; 3]), to));
            let (from_black, from_swing) =
                if from.range == Range::Full { (0.0, 255.0) } else { (16.0, 219.0) };
            let (to_black, to_swing) = if to.range == Range::Full { (0.0, 255.0) } else { (16.0, 219.0) };
            let luma = (f64::from(sample) - from_black) / from_swing * to_swing + to_black;
            assert_eq!(
                y,
                (luma.round() as u8).max(to_black as u8).min((to_black + to_swing) as u8),
                "Y {sample}"
            );
            let gain = if to.range == Range::Full { 255.0 / 224.0 } else { 224.0 / 255.0 };
            let chroma = (f64::from(sample) - 128.0).mul_add(gain, 128.0);
            assert!(
                (f64::from(u) - chroma.clamp(0.0, 255.0)).abs() <= 0.5 + 1e-9,
                "U {sample}: {u}, {chroma}"
            );
            assert_eq!(u, v);
        }
    }
}

#[test]
fn limited_range_to_full_and_back_is_lossless() {
    let size = Size::new(2, 2).unwrap();
    for sample in 16..=240_u8 {
        let was = [sample.min(235), sample, 256_u16.wrapping_sub(sample.into()) as u8];
        let full = converted(&plain(size, LIMITED_601, was), Colour::JPEG);
        assert_eq!(first(&converted(&full, LIMITED_601)), was);
    }
}

#[test]
fn grey_stays_grey_in_every_colour() {
    let size = Size::new(4, 2).unwrap();
    for (from, to) in ALL.into_iter().flat_map(|from| ALL.map(|to| (from, to))) {
        for grey in legal(from.range).0 {
            let [_, u, v] = first(&converted(&plain(size, from, [grey, 128, 128]), to));
            assert_eq!([u, v], [128, 128], "{grey} from {from:?} to {to:?}");
        }
    }
}

#[test]
fn every_colour_is_within_one_of_the_exact_value() {
    // All values of luma, and chroma in steps that include both ends. The picture's blocks hold every pair of chroma
    // values.
    for (from, to) in ALL.into_iter().flat_map(|from| ALL.map(|to| (from, to))) {
        let (luma, chroma) = legal(from.range);
        let chroma: Vec<u8> = chroma.clone().step_by(7).chain([*chroma.end(), 127, 128, 129]).collect();
        let side = chroma.len();
        for luma in luma {
            let mut picture = plain(Size::new(2 * side, 2 * side).unwrap(), from, [luma, 0, 0]);
            let planes = picture.planes_mut();
            for row in 0..side {
                planes.u[row * side..][..side].copy_from_slice(&chroma);
                planes.v[row * side..][..side].fill(chroma[row]);
            }
            let result = converted(&picture, to);
            let planes = result.planes();
            for (row, v) in chroma.iter().enumerate() {
                for (column, u) in chroma.iter().enumerate() {
                    let was = [luma, *u, *v];
                    let exact = from_rgb(to, to_rgb(from, was.map(f64::from)));
                    let at = row * side + column;
                    let got = [planes.y()[4 * row * side + 2 * column], planes.u()[at], planes.v()[at]];
                    for (got, exact) in got.into_iter().zip(exact) {
                        let wrong = (f64::from(got) - exact.clamp(0.0, 255.0)).abs();
                        assert!(wrong <= 1.0, "{was:?} from {from:?} to {to:?}: {got} for {exact}");
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn a_colour_changes_by_at_most_two_there_and_back(rgb in proptest::array::uniform3(0.0..1.0), to in 0..4_usize) {
        let was = from_rgb(LIMITED_709, rgb).map(|sample| sample.round() as u8);
        let there = converted(&plain(Size::new(2, 2).unwrap(), LIMITED_709, was), ALL[to]);
        let back = first(&converted(&there, LIMITED_709));
        for (was, back) in was.into_iter().zip(back) {
            prop_assert!(was.abs_diff(back) <= 2, "{was} came back as {back} from {:?}", ALL[to]);
        }
    }

    #[test]
    fn each_pixel_is_converted_on_its_own(
        width in 1..70_usize, height in 1..20_usize, wide in 0..9_usize, to in 0..4_usize, seed: u64,
    ) {
        // Compares each pixel, converted alone in a picture of one block, with the whole picture, which has strides.
        let size = Size::new(width, height).unwrap();
        let (uv_width, uv_height) = (size.chroma().width(), size.chroma().height());
        let strides = [width + wide, uv_width + wide, uv_width + 2 * wide];
        let random = |salt: u64, len: usize| -> Vec<u8> {
            (0..len as u64).map(|i| ((seed ^ salt).wrapping_add(i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
        };
        let (y, u, v) = (random(1, strides[0] * height), random(2, strides[1] * uv_height), random(3, strides[2] * uv_height));
        let planes = Planes::new(size, LIMITED_709, [&y, &u, &v], strides).unwrap();
        let mut whole = Picture::default();
        planes.convert_into(ALL[to], &mut whole);
        let whole = whole.planes();
        for row in 0..height {
            for column in 0..width {
                let (uv_row, uv_column) = (row / 2, column / 2);
                let alone = [
                    y[row * strides[0] + column],
                    u[uv_row * strides[1] + uv_column],
                    v[uv_row * strides[2] + uv_column],
                ];
                let want = first(&converted(&plain(Size::new(1, 1).unwrap(), LIMITED_709, alone), ALL[to]));
                let [y_stride, u_stride, v_stride] = whole.strides();
                let got = [
                    whole.y()[row * y_stride + column],
                    whole.u()[uv_row * u_stride + uv_column],
                    whole.v()[uv_row * v_stride + uv_column],
                ];
                prop_assert_eq!(got, want, "at {},{}", column, row);
            }
        }
    }
}

#[test]
fn a_range_changed_in_place_is_the_same() {
    for (width, height) in [(64, 6), (61, 5), (1, 1)] {
        for (from, to) in [(LIMITED_601, Colour::JPEG), (FULL_709, LIMITED_709), (Colour::JPEG, Colour::JPEG)]
        {
            let mut picture = Picture::new(Size::new(width, height).unwrap(), from);
            let planes = picture.planes_mut();
            for plane in [planes.y, planes.u, planes.v] {
                plane.iter_mut().zip(0..).for_each(|(sample, k): (&mut u8, u32)| *sample = (k * 37) as u8);
            }
            let other = converted(&picture, to);
            picture.change_range(to.range);
            assert_eq!(picture.colour(), to);
            let rows = |picture: &Picture| {
                let planes = picture.planes();
                let y = planes.y().chunks(planes.strides()[0]).take(height).map(|row| row[..width].to_vec());
                (y.collect::<Vec<_>>(), planes.u().to_vec(), planes.v().to_vec())
            };
            assert_eq!(rows(&picture), rows(&other), "{from:?} {to:?}");
        }
    }
}

#[test]
fn a_known_colour_is_kept_by_jpeg_and_rgb() {
    // Even, odd, and with a luma plane without padding.
    for (width, height) in [(64, 48), (61, 47), (1, 1)] {
        for colour in ALL {
            for rgb in
                [[200, 30, 40], [20, 180, 60], [30, 60, 220], [128, 128, 128], [250, 250, 250], [5, 5, 5]]
            {
                let size = Size::new(width, height).unwrap();
                let samples =
                    from_rgb(colour, rgb.map(|part| f64::from(part) / 255.0)).map(|s| s.round() as u8);
                let picture = plain(size, colour, samples);
                let message = picture.to_image(90).unwrap();
                let file = message.image.expect("an image");
                let seen =
                    msight_picture::image::load_from_memory(file.bytes().unwrap()).unwrap().into_rgb8();
                assert_eq!((seen.width() as usize, seen.height() as usize), (width, height));
                for pixel in seen.pixels() {
                    for (got, want) in pixel.0.into_iter().zip(rgb) {
                        assert!(
                            u8::abs_diff(got, want) <= 5,
                            "{rgb:?} in {colour:?} came out as {:?}",
                            pixel.0
                        );
                    }
                }
                let direct = picture.to_rgb();
                let pixel = direct.get_pixel(width as u32 - 1, height as u32 - 1);
                assert!(
                    pixel.0.into_iter().zip(rgb).all(|(got, want)| u8::abs_diff(got, want) <= 3),
                    "{pixel:?} {rgb:?}"
                );
            }
        }
    }
}
