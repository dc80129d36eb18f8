//! Any bytes as the picture of an image message: no panic, and no picture of another size than it says.
#![no_main]

use std::cell::RefCell;

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use msight_picture::{ImageDecoder, Picture};
use msight_proto::ImageData;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    is_encoded: bool,
    shape: Option<[u16; 3]>,
    image: &'a [u8],
}

thread_local! {
    // One decoder for all, as a stream has it: what one picture leaves behind must not harm the next.
    static DECODER: RefCell<(ImageDecoder, Picture)> =
        RefCell::new((ImageDecoder::new().expect("there is memory"), Picture::default()));
}

fuzz_target!(|input: Input<'_>| {
    let message = ImageData {
        image: Some(Bytes::copy_from_slice(input.image).into()),
        is_encoded: input.is_encoded,
        detection_results: None,
        size: input.shape.map(|shape| shape.map(u64::from).to_vec()),
        access_unit: None,
    };
    DECODER.with_borrow_mut(|(decoder, picture)| {
        if decoder.decode(&message, picture).is_ok() {
            let planes = picture.planes();
            let pixels = planes.size().width() * planes.size().height();
            assert!(pixels > 0 && planes.y().len() >= pixels);
        }
    });
});
