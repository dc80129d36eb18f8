//! Decoded pictures in image messages: their bytes, and the reuse of their memory.

use msight_picture::{
    Colour, DecodedImages, DecodedPicture, Error, ImageDecoder, JpegEncoder, Matrix, Picture, Range, Size,
    WireForm,
};
use msight_proto::{DecodedImage as _, Head, Sample, decode, encode};

const CAMERA: Colour = Colour { range: Range::Limited, matrix: Matrix::Bt709 };

/// Fills a picture with a pattern that differs in each row.
fn draw(picture: &mut Picture, size: Size) {
    picture.reset(size, CAMERA);
    let planes = picture.planes_mut();
    for (at, sample) in planes.y.iter_mut().enumerate() {
        *sample = 16 + (at * 7 % 220) as u8;
    }
    for (at, sample) in planes.u.iter_mut().chain(planes.v).enumerate() {
        *sample = 90 + (at / 3 % 80) as u8;
    }
}

fn size() -> Size {
    Size::new(320, 180).unwrap()
}

#[test]
fn a_decoded_picture_has_the_bytes_of_the_encoder() {
    let mut drawn = Picture::default();
    draw(&mut drawn, size());
    let jpeg = JpegEncoder::new(70).unwrap().encode_image(&drawn.planes()).unwrap();
    let raw = drawn.planes().to_raw_image();
    for (form, expected) in [(WireForm::Jpeg(70), jpeg), (WireForm::Raw, raw)] {
        let images = DecodedImages::new(form).unwrap();
        let mut picture = images.picture();
        draw(&mut picture, size());
        let message = images.message(picture);
        assert_eq!(message, expected);
        let head = Head::new("north".to_owned(), 1.0);
        let payload = encode(&Sample::new(head.clone(), message)).unwrap();
        assert_eq!(payload, encode(&Sample::new(head, expected)).unwrap(), "to the byte");
        let received = decode::<msight_proto::ImageData>(&payload).unwrap().body;
        assert!(DecodedPicture::of(&received).is_none(), "what came over a wire is bytes");
    }
    assert!(matches!(DecodedImages::new(WireForm::Jpeg(0)), Err(Error::Quality(0))));
}

#[test]
fn a_decoded_picture_gives_its_planes_without_a_copy_and_converts_to_jpeg_colour() {
    let images = DecodedImages::new(WireForm::Jpeg(50)).unwrap();
    let mut picture = images.picture();
    draw(&mut picture, size());
    let at = picture.planes().y().as_ptr();
    let message = images.message(picture);
    let decoded = DecodedPicture::of(&message).unwrap();
    assert_eq!((decoded.planes().colour(), decoded.planes().y().as_ptr()), (CAMERA, at));
    assert_eq!(decoded.memory(), 320 * 180 * 3 / 2);

    let (mut seen, mut converted) = (Picture::default(), Picture::default());
    ImageDecoder::new().unwrap().decode(&message, &mut seen).unwrap();
    decoded.planes().convert_into(Colour::JPEG, &mut converted);
    assert_eq!(seen.colour(), Colour::JPEG);
    assert_eq!(seen.planes().y(), converted.planes().y());
    assert_eq!(seen.planes().v(), converted.planes().v());
}

#[test]
fn memory_is_reused_after_the_last_message_is_dropped() {
    let images = DecodedImages::new(WireForm::Jpeg(50)).unwrap();
    let mut picture = images.picture();
    draw(&mut picture, size());
    let at = picture.planes().y().as_ptr();
    let message = images.message(picture);
    let clone = message.clone();
    drop(message);
    assert_ne!(images.picture().planes().y().as_ptr(), at, "a reader holds it");
    drop(clone);
    assert_eq!(images.picture().planes().y().as_ptr(), at);

    // After a burst, only the pictures that a stream needs are kept.
    let held: Vec<_> = (0..20)
        .map(|_| {
            let mut picture = images.picture();
            draw(&mut picture, size());
            images.message(picture)
        })
        .collect();
    drop(held);
    let large = (0..20).map(|_| images.picture()).filter(|picture| picture.size() == size()).count();
    assert!((1..=2).contains(&large), "{large}");
}
