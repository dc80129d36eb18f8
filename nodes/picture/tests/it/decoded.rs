//! Decoded pictures in image messages: their bytes, and the reuse of their memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use msight_picture::{
    Colour, DecodedImages, DecodedPicture, Error, ImageDecoder, JpegEncoder, Matrix, PendingPicture, Picture,
    Range, Scaler, Size, WireForm,
};
use msight_proto::{Head, ImageData, Sample, decode, encode};

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
    assert_eq!(message.image.as_ref().unwrap().memory(), 320 * 180 * 3 / 2);

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

/// A message of half the size whose picture `fill` decodes, and the number of calls.
fn deferred(fill: impl Fn(&PendingPicture) + Send + 'static) -> (ImageData, Arc<AtomicUsize>) {
    let calls = Arc::<AtomicUsize>::default();
    let counted = calls.clone();
    let request = move |place: &PendingPicture| {
        counted.fetch_add(1, Relaxed);
        fill(place);
    };
    let images = DecodedImages::new(WireForm::Jpeg(50)).unwrap();
    let (message, place) = images.deferred(size().scaled(0.5).unwrap(), request);
    assert!(place.is_open());
    (message, calls)
}

#[test]
fn a_deferred_picture_is_decoded_once_for_all_that_ask() {
    let (message, calls) = deferred(|place| {
        let mut picture = Picture::default();
        draw(&mut picture, size());
        place.fill(&picture.planes());
        assert!(!place.is_open());
    });
    assert_eq!(message.size, Some(vec![90, 160, 3]));
    assert_eq!(message.image.as_ref().unwrap().memory(), 160 * 90 * 3 / 2, "as much as it may come to take");
    assert_eq!(calls.load(Relaxed), 0);
    std::thread::scope(|scope| {
        let clones = [(); 4].map(|()| message.clone());
        let asking = clones.map(|clone| {
            scope.spawn(move || DecodedPicture::of(&clone).expect("a picture").planes().y()[..160].to_vec())
        });
        let rows = asking.map(|thread| thread.join().unwrap());
        assert!(rows.iter().all(|row| *row == rows[0]));
    });
    let (mut drawn, mut scaled) = (Picture::default(), Picture::default());
    draw(&mut drawn, size());
    Scaler::new().scale(&drawn.planes(), size().scaled(0.5).unwrap(), &mut scaled);
    let decoded = DecodedPicture::of(&message).unwrap();
    assert_eq!((decoded.planes().colour(), decoded.planes().y()), (CAMERA, scaled.planes().y()));
    assert!(message.image.as_ref().unwrap().bytes().unwrap().starts_with(b"\xff\xd8"));
    assert_eq!(calls.load(Relaxed), 1);
}

#[test]
fn a_deferred_picture_that_cannot_be_decoded_is_an_error_for_all_that_ask() {
    for (message, reason) in [
        (deferred(|place| place.fail("it is damaged")).0, "it is damaged"),
        (deferred(|_| {}).0, "no picture"),
    ] {
        assert!(DecodedPicture::of(&message).is_none());
        let error = Picture::from_image(&message).unwrap_err();
        assert!(matches!(&error, Error::Deferred(why) if why.contains(reason)), "{error}");
        let error = message.image.as_ref().unwrap().bytes().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_place_is_closed_when_its_message_is_dropped() {
    let images = DecodedImages::new(WireForm::Raw).unwrap();
    let held = Arc::new(());
    let request = held.clone();
    let (message, place) = images.deferred(size(), move |_| drop(request));
    assert!(place.is_open());
    drop(message);
    assert!(!place.is_open());
    assert_eq!(Arc::strong_count(&held), 1, "what the request holds is free");
}
