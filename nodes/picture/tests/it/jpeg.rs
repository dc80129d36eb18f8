//! JPEG of every kind and size, valid and damaged.

use std::f64::consts::TAU;

use msight_picture::image::{RgbImage, load_from_memory};
use msight_picture::{Colour, Error, JpegDecoder, JpegEncoder, MAX_SIDE, Picture, Planes, Size};
use proptest::prelude::*;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

const FROM_OPENCV: &[u8] = include_bytes!("../data/source_64x48_q50.jpg");
const GREY_FROM_OPENCV: &[u8] = include_bytes!("../data/gray.jpg");

/// Soft waves in all three colours.
fn waves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let wave = |by: f64, phase: f64| (128.0 + 90.0 * (by + phase * TAU).sin()) as u8;
        let (x, y) = (f64::from(x) / 40.0, f64::from(y) / 30.0);
        [wave(x, 0.0), wave(y, 0.3), wave(x + y, 0.6)].into()
    })
}

/// Peak signal-to-noise ratio in dB.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 / (squares / a.len() as f64)).log10()
}

fn decode(jpeg: &[u8]) -> Result<Picture, Error> {
    let mut picture = Picture::default();
    JpegDecoder::new()?.decode(jpeg, &mut picture).map(|()| picture)
}

fn compress(rgb: &RgbImage, subsamp: Subsamp, change: impl Fn(&mut Compressor)) -> Vec<u8> {
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(95).unwrap();
    compressor.set_subsamp(subsamp).unwrap();
    change(&mut compressor);
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    let image =
        Image { pixels: rgb.as_raw().as_slice(), width, pitch: 3 * width, height, format: PixelFormat::RGB };
    compressor.compress_to_vec(image).unwrap()
}

#[test]
fn even_and_odd_sizes_are_encoded_and_decoded() {
    let mut encoder = JpegEncoder::new(90).unwrap();
    let mut decoder = JpegDecoder::new().unwrap();
    let mut picture = Picture::default();
    // One encoder, decoder and picture for all sizes: reused memory must not show.
    for (width, height) in
        [(1271, 719), (16, 16), (1, 1), (2, 1), (1, 7), (17, 33), (640, 360), (63, 64), (3, 300)]
    {
        let rgb = waves(width, height);
        let planes = Picture::from_rgb(&rgb).unwrap();
        let jpeg = encoder.encode(&planes.planes()).unwrap();
        let by_another = load_from_memory(jpeg).unwrap().into_rgb8();
        assert!(psnr(&rgb, &by_another) > 32.0, "{width}x{height}: {}", psnr(&rgb, &by_another));
        decoder.decode(jpeg, &mut picture).unwrap();
        assert_eq!((picture.size(), picture.colour()), (planes.size(), Colour::JPEG));
        let back = picture.to_rgb();
        assert!(psnr(&rgb, &back) > 32.0, "{width}x{height}: {}", psnr(&rgb, &back));
    }
}

#[test]
fn planes_without_padding_and_with_wide_rows_give_the_same_file() {
    let picture = Picture::from_rgb(&waves(37, 21)).unwrap();
    let planes = picture.planes();
    let widened = |plane: &[u8], stride: usize, width: usize, rows: usize, to: usize| -> Vec<u8> {
        plane
            .chunks(stride)
            .take(rows)
            .flat_map(|row| (0..to).map(|i| if i < width { row[i] } else { 99 }))
            .collect()
    };
    let (y, uv) = (planes.y(), planes.size().chroma());
    let [y_stride, uv_stride, _] = planes.strides();
    let tight = widened(y, y_stride, 37, 21, 37);
    let u = widened(planes.u(), uv_stride, uv.width(), uv.height(), 64);
    let v = widened(planes.v(), uv_stride, uv.width(), uv.height(), 19);
    let odd = Planes::new(planes.size(), Colour::JPEG, [&tight, &u, &v], [37, 64, 19]).unwrap();
    let mut encoder = JpegEncoder::new(60).unwrap();
    let whole = encoder.encode(&planes).unwrap().to_vec();
    assert_eq!(encoder.encode(&odd).unwrap(), whole);
}

#[test]
fn quality_is_1_to_100_and_changes_the_size() {
    assert!(matches!(JpegEncoder::new(0), Err(Error::Quality(0))));
    assert!(matches!(JpegEncoder::new(101), Err(Error::Quality(101))));
    let picture = Picture::from_rgb(&waves(160, 120)).unwrap();
    let sizes = [1, 50, 100]
        .map(|quality| JpegEncoder::new(quality).unwrap().encode(&picture.planes()).unwrap().len());
    assert!(sizes.is_sorted() && sizes[0] < sizes[2], "{sizes:?}");
}

#[test]
fn the_file_equals_that_of_opencv_except_for_huffman_tables() {
    let picture = decode(FROM_OPENCV).unwrap();
    assert_eq!((picture.size().width(), picture.size().height()), (64, 48));
    let ours = JpegEncoder::new(50).unwrap().encode(&picture.planes()).unwrap().to_vec();
    let segments = |jpeg: &[u8]| -> Vec<(u8, Vec<u8>)> {
        let mut segments = Vec::new();
        let mut at = 2;
        while jpeg[at + 1] != 0xda {
            let len = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            segments.push((jpeg[at + 1], jpeg[at + 4..at + 2 + len].to_vec()));
            at += 2 + len;
        }
        segments.retain(|(marker, _)| *marker != 0xc4);
        segments
    };
    assert_eq!(segments(&ours), segments(FROM_OPENCV), "JFIF header, quantisation tables and frame header");

    // Another decoder sees the same pixels, and they are near those of the source.
    let rgb = picture.to_rgb();
    assert!(psnr(&rgb, &load_from_memory(FROM_OPENCV).unwrap().into_rgb8()) > 35.0);
    let mut source = Vec::new();
    picture.planes().to_bgr(&mut source);
    let psnr = psnr(&source, include_bytes!("../data/source_64x48.bgr"));
    assert!(psnr > 26.0, "{psnr}");
}

#[test]
fn every_kind_of_subsampling_and_coding_is_read() {
    for (width, height) in [(120, 80), (121, 81)] {
        let rgb = waves(width, height);
        let kinds = [
            Subsamp::None,
            Subsamp::Sub2x1,
            Subsamp::Sub2x2,
            Subsamp::Sub1x2,
            Subsamp::Sub4x1,
            Subsamp::Sub1x4,
        ];
        for subsamp in kinds {
            for progressive in [false, true] {
                let jpeg =
                    compress(&rgb, subsamp, |compressor| compressor.set_progressive(progressive).unwrap());
                let back = decode(&jpeg).unwrap().to_rgb();
                assert!(psnr(&rgb, &back) > 30.0, "{subsamp:?}: {}", psnr(&rgb, &back));
            }
        }
        let in_rgb = compress(&rgb, Subsamp::None, |compressor| {
            compressor.set_colorspace(turbojpeg::Colorspace::RGB).unwrap();
        });
        assert!(psnr(&rgb, &decode(&in_rgb).unwrap().to_rgb()) > 30.0);
    }
}

#[test]
fn grey_is_read_and_stays_grey() {
    for (width, height) in [(120, 80), (121, 81)] {
        let rgb = waves(width, height);
        let jpeg = compress(&rgb, Subsamp::Gray, |_| ());
        let picture = decode(&jpeg).unwrap();
        let by_another = load_from_memory(&jpeg).unwrap().into_rgb8();
        assert!(psnr(&picture.to_rgb(), &by_another) > 40.0);
        assert!(picture.planes().u().iter().chain(picture.planes().v()).all(|&sample| sample == 128));
    }
    assert_eq!(decode(GREY_FROM_OPENCV).unwrap().size(), Size::new(64, 48).unwrap());
}

#[test]
fn cmyk_files_are_decoded() {
    let (width, height) = (32, 24);
    // Adobe's files hold the inks inverted: 255 is no ink.
    let no_cyan_no_black = [255, 64, 64, 255].repeat(width * height);
    let image =
        Image { pixels: &no_cyan_no_black[..], width, pitch: 4 * width, height, format: PixelFormat::CMYK };
    for colorspace in [turbojpeg::Colorspace::CMYK, turbojpeg::Colorspace::YCCK] {
        let mut compressor = Compressor::new().unwrap();
        compressor.set_colorspace(colorspace).unwrap();
        let jpeg = compressor.compress_to_vec(image).unwrap();
        let rgb = decode(&jpeg).unwrap().to_rgb();
        let [red, green, blue] = rgb.get_pixel(16, 12).0;
        assert!(red > 240 && green < 80 && blue < 80, "{colorspace:?}: {red} {green} {blue}");
    }
}

#[test]
fn a_truncated_file_is_an_error() {
    let jpeg = compress(&waves(96, 64), Subsamp::Sub2x2, |_| ());
    for len in 0..jpeg.len() - 2 {
        assert!(matches!(decode(&jpeg[..len]), Err(Error::Decode { .. })), "{len} of {} bytes", jpeg.len());
    }
}

#[test]
fn a_false_size_is_rejected_before_memory_is_allocated() {
    let mut jpeg = compress(&waves(32, 32), Subsamp::Sub2x2, |_| ());
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    assert!(matches!(decode(&jpeg), Err(Error::Size { width: 65500, height: 65500 })));
    // Within the limit of a side, above that of the area.
    let side = (MAX_SIDE as u16).to_be_bytes();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[side[0], side[1], side[0], side[1]]);
    assert!(matches!(decode(&jpeg), Err(Error::Size { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damaged_files_never_panic(
        at in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut: prop::sample::Index,
        kind in 0..4_usize,
    ) {
        let rgb = waves(50, 34);
        let mut jpeg = match kind {
            0 => FROM_OPENCV.to_vec(),
            1 => compress(&rgb, Subsamp::Sub2x1, |_| ()),
            2 => compress(&rgb, Subsamp::Sub2x2, |compressor| compressor.set_progressive(true).unwrap()),
            _ => GREY_FROM_OPENCV.to_vec(),
        };
        for (index, byte) in at {
            let index = index.index(jpeg.len());
            jpeg[index] = byte;
        }
        jpeg.truncate(jpeg.len() - cut.index(jpeg.len()) / 4);
        if let Ok(picture) = decode(&jpeg) {
            prop_assert!(picture.to_rgb().len() >= 3);
        }
    }

    #[test]
    fn headers_in_disorder_never_panic(parts in proptest::collection::vec(0..9_usize, 0..12)) {
        // Drops, repeats and exchanges whole segments of a valid file.
        let mut segments = vec![&FROM_OPENCV[..2]];
        let mut at = 2;
        while FROM_OPENCV[at + 1] != 0xda {
            let end = at + 2 + usize::from(u16::from_be_bytes([FROM_OPENCV[at + 2], FROM_OPENCV[at + 3]]));
            segments.push(&FROM_OPENCV[at..end]);
            at = end;
        }
        segments.push(&FROM_OPENCV[at..]);
        let jpeg: Vec<u8> = parts.into_iter().flat_map(|part| segments[part % segments.len()]).copied().collect();
        let _ = decode(&[&[0xff, 0xd8], &jpeg[..]].concat());
    }

    #[test]
    fn random_bytes_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let is_error = matches!(decode(&bytes), Err(Error::Decode { .. }));
        prop_assert!(is_error);
        let _ = decode(&[&[0xff, 0xd8, 0xff][..], &bytes].concat());
    }
}
