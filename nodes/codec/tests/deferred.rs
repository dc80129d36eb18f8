//! Pictures that are decoded only when they are asked for are those of a decoder that decodes all, in any order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use msight_codec::{
    DecodeError, Decoder, DeferredDecoder, DeferredPicture, DeferredSink, Encoder, PictureSink, Quality,
};
use msight_media::{AccessUnit, Codec, DropReason, ParameterSets, PictureTimes};
use msight_picture::{Colour, DecodedImages, DecodedPicture, Error, Picture, Planes, Size, WireForm};
use msight_proto::ImageData;

/// Units from one key frame to the next.
const GROUP: usize = 10;

/// Access units of a moving pattern.
fn stream(count: usize, group: usize, (width, height): (usize, usize)) -> Vec<AccessUnit> {
    let size = Size::new(width, height).unwrap();
    let quality = Quality { bitrate: Some(400_000), qp: None, fps: 10.0, keyframe_interval: 0 };
    let mut encoder = Encoder::new(size, Colour::VIDEO, &quality).unwrap();
    let mut picture = Picture::new(size, Colour::VIDEO);
    let unit = |number: usize| {
        let planes = picture.planes_mut();
        for (at, sample) in planes.y.iter_mut().enumerate() {
            *sample = 16 + ((at % planes.y_stride + 3 * number) * 5 % 200) as u8;
        }
        let encoded =
            encoder.encode(picture.planes(), number as u64 * 100, number.is_multiple_of(group)).unwrap();
        AccessUnit {
            codec: Codec::H264,
            data: encoded.data,
            parameter_sets: Some(encoded.parameter_sets),
            pts: number as i64 * 9000,
            captured: number as f64 / 10.0,
            key: encoded.key,
            after_loss: false,
            size: None,
        }
    };
    (0..count).map(unit).collect()
}

/// Collects messages.
struct Messages {
    images: DecodedImages,
    sent: Vec<(ImageData, f64)>,
    dropped: u64,
}

impl Default for Messages {
    fn default() -> Self {
        Self { images: DecodedImages::new(WireForm::Raw).unwrap(), sent: Vec::new(), dropped: 0 }
    }
}

impl PictureSink for Messages {
    type Error = Error;
    fn picture(&mut self, planes: &Planes<'_>, times: PictureTimes) -> Result<(), Error> {
        let mut picture = self.images.picture();
        planes.convert_into(planes.colour(), &mut picture);
        self.sent.push((self.images.message(picture), times.captured));
        Ok(())
    }
    fn dropped(&mut self, _: DropReason, units: u64) {
        self.dropped += units;
    }
}

impl DeferredSink for Messages {
    fn deferred(&mut self, picture: DeferredPicture) -> Result<(), Error> {
        let (captured, size) = (picture.times().captured, picture.size());
        self.sent.push((picture.into_image(&self.images, size), captured));
        Ok(())
    }
}

/// A deferred decoder, and what it has made.
struct Deferred {
    decoder: DeferredDecoder,
    messages: Messages,
    decoded: Arc<AtomicUsize>,
}

impl Deferred {
    fn new() -> Self {
        let decoded = Arc::<AtomicUsize>::default();
        let count = decoded.clone();
        let decoder = DeferredDecoder::new(false, move || {
            count.fetch_add(1, Relaxed);
        });
        Self { decoder, messages: Messages::default(), decoded }
    }

    fn of(units: &[AccessUnit]) -> Self {
        let mut this = Self::new();
        units.iter().for_each(|unit| this.unit(unit.clone()).unwrap());
        this
    }

    fn unit(&mut self, unit: AccessUnit) -> Result<(), DecodeError<Error>> {
        self.decoder.decode(unit, &mut self.messages)
    }

    fn decoded(&self) -> usize {
        self.decoded.load(Relaxed)
    }

    fn luma(&self, at: usize) -> Vec<u8> {
        luma(&self.messages.sent[at].0)
    }
}

fn luma(message: &ImageData) -> Vec<u8> {
    DecodedPicture::of(message).expect("it can be decoded").planes().y().to_vec()
}

/// The pictures by a decoder that decodes all.
fn all(units: &[AccessUnit]) -> Vec<Vec<u8>> {
    let (mut decoder, mut messages) = (Decoder::new().unwrap(), Messages::default());
    units.iter().for_each(|unit| decoder.decode(unit.clone(), &mut messages).unwrap());
    messages.sent.iter().map(|(message, _)| luma(message)).collect()
}

const SMALL: (usize, usize) = (160, 90);

#[test]
fn nothing_is_decoded_that_is_not_asked_for() {
    let units = stream(3 * GROUP, GROUP, SMALL);
    let deferred = Deferred::of(&units);
    let times: Vec<f64> = deferred.messages.sent.iter().map(|(_, captured)| *captured).collect();
    assert_eq!(times, units.iter().map(|unit| unit.captured).collect::<Vec<_>>());
    assert!(deferred.messages.sent.iter().all(|(message, _)| message.size == Some(vec![90, 160, 3])));
    assert_eq!((deferred.decoded(), deferred.messages.dropped), (0, 0));
}

#[test]
fn every_tenth_picture_is_the_right_one() {
    let units = stream(5 * GROUP, GROUP, SMALL);
    let (expected, deferred) = (all(&units), Deferred::of(&units));
    for at in (7..units.len()).step_by(10) {
        assert_eq!(deferred.luma(at), expected[at], "picture {at}");
    }
    // Each with those before it in its group. The first picture of the stream was decoded at once.
    assert_eq!(deferred.decoded(), 5 * 8 - 1);
}

#[test]
fn pictures_that_are_all_asked_for_in_order_are_decoded_once_each() {
    let units = stream(3 * GROUP, GROUP, SMALL);
    let (expected, mut deferred) = (all(&units), Deferred::new());
    for (at, unit) in units.iter().enumerate() {
        deferred.unit(unit.clone()).unwrap();
        if at > 3 {
            assert_eq!(deferred.decoded(), at, "it is decoded before it is asked for");
        }
        assert_eq!(deferred.luma(at), expected[at], "picture {at}");
        assert_eq!(deferred.luma(at), expected[at], "again");
    }
    assert_eq!(deferred.decoded(), units.len() - 1);
}

#[test]
fn pictures_are_decoded_once_each_in_any_order_within_a_group() {
    let units = stream(2 * GROUP, GROUP, SMALL);
    let (expected, deferred) = (all(&units), Deferred::of(&units));
    for at in [15, 3, 19, 12, 9, 10, 1, 2, 18, 17, 16, 14, 13, 11, 0, 4, 5, 6, 7, 8] {
        assert_eq!(deferred.luma(at), expected[at], "picture {at}");
    }
    assert_eq!(deferred.decoded(), units.len() - 1);
}

#[test]
fn pictures_of_several_groups_are_asked_for_in_any_order() {
    let units = stream(6 * GROUP, GROUP, SMALL);
    let (expected, deferred) = (all(&units), Deferred::of(&units));
    let mut order: Vec<usize> = (0..units.len()).collect();
    fastrand::Rng::with_seed(3).shuffle(&mut order);
    for at in order {
        assert_eq!(deferred.luma(at), expected[at], "picture {at}");
    }
}

#[test]
fn two_nodes_in_threads_get_the_same_pictures() {
    let units = stream(4 * GROUP, GROUP, SMALL);
    let (expected, mut deferred) = (all(&units), Deferred::new());
    std::thread::scope(|scope| {
        let nodes: Vec<_> = [1, 3]
            .map(|step| {
                // Neither is more than a group behind, so that two decoders suffice.
                let (sender, messages) = std::sync::mpsc::sync_channel::<ImageData>(4);
                let expected = &expected;
                let node = move || {
                    for (at, message) in messages.iter().enumerate().filter(|(at, _)| at % step == 0) {
                        assert_eq!(luma(&message), expected[at], "picture {at}");
                    }
                };
                scope.spawn(node);
                sender
            })
            .into();
        for unit in &units {
            deferred.unit(unit.clone()).unwrap();
            let (message, _) = deferred.messages.sent.pop().unwrap();
            nodes.iter().for_each(|node| node.send(message.clone()).unwrap());
        }
    });
    assert_eq!(deferred.decoded(), units.len() - 1);
}

#[test]
fn messages_outlive_their_stream_and_free_it() {
    let units = stream(2 * GROUP, GROUP, SMALL);
    let expected = all(&units);
    let is_unique = |unit: &AccessUnit| unit.data.is_unique();
    let Deferred { decoder, mut messages, .. } = Deferred::of(&units);
    drop(decoder);
    let last = messages.sent.pop().unwrap().0;
    drop(messages);
    assert!(units[..GROUP].iter().all(is_unique), "no message of the first group is left");
    assert!(!units[GROUP..].iter().any(is_unique));
    assert_eq!(luma(&last), expected[2 * GROUP - 1]);
    assert!(units.iter().all(is_unique), "a decoded picture needs no unit");
}

#[test]
fn a_group_that_never_ends_keeps_some_units() {
    // More than are kept, with one key frame.
    let units = stream(900, usize::MAX, (64, 48));
    let expected = all(&units);
    let mut deferred = Deferred::new();
    let mut most = 0;
    for (at, unit) in units.iter().enumerate() {
        deferred.unit(unit.clone()).unwrap();
        most = most.max(units.iter().filter(|unit| !unit.data.is_unique()).count());
        match at {
            // A node looks now and then.
            300 | 600 | 899 => assert_eq!(deferred.luma(at), expected[at], "picture {at}"),
            // Of these messages the pictures are decoded, or still to come.
            100 | 250 | 280 | 550 => {}
            _ => deferred.messages.sent[at].0.image = None,
        }
    }
    assert!((256..300).contains(&most), "{most} units were kept");
    for at in [550, 280, 100, 250] {
        assert_eq!(deferred.luma(at), expected[at], "picture {at}");
    }
    assert_eq!(deferred.decoded(), units.len() - 1);
}

/// A unit whose slice is cut off after its header.
fn damaged(unit: &AccessUnit) -> AccessUnit {
    let mut data = unit.data.to_vec();
    let length = data.len();
    data[8..length].fill(0xff);
    AccessUnit { data: data.into(), ..unit.clone() }
}

#[test]
fn a_damaged_unit_costs_its_group_from_there_on() {
    let mut units = stream(3 * GROUP, GROUP, SMALL);
    let expected = all(&units);
    units[14] = damaged(&units[14]);
    let mut deferred = Deferred::of(&units[..18]);
    assert_eq!(deferred.luma(16 - 3), expected[13]);
    for at in [16, 14] {
        let message = &deferred.messages.sent[at].0;
        assert!(DecodedPicture::of(message).is_none());
        let error = message.image.as_ref().unwrap().bytes().unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
    }
    assert_eq!(deferred.messages.dropped, 0);
    // Now that it is known, the rest of the group is dropped.
    units[18..].iter().for_each(|unit| deferred.unit(unit.clone()).unwrap());
    assert_eq!((deferred.messages.dropped, deferred.messages.sent.len()), (2, 28));
    for (at, expected) in expected.iter().enumerate().skip(20) {
        assert_eq!(&deferred.luma(at - 2), expected, "picture {at}");
    }
}

#[test]
fn a_loss_costs_the_units_up_to_the_next_key_frame() {
    let mut units = stream(3 * GROUP, GROUP, SMALL);
    let expected = all(&units);
    units[14].after_loss = true;
    let deferred = Deferred::of(&units);
    assert_eq!((deferred.messages.dropped, deferred.messages.sent.len()), (6, 24));
    assert_eq!((deferred.luma(13), deferred.luma(14)), (expected[13].clone(), expected[20].clone()));
}

#[test]
fn a_stream_that_cannot_be_decoded_is_an_error_at_once() {
    let units = stream(30, 1, SMALL);
    let mut deferred = Deferred::new();
    // The slices refer to a picture parameter set that is missing.
    let incomplete = |unit: &AccessUnit| {
        let sps = unit.parameter_sets.as_ref().unwrap().h264_sps().cloned().collect();
        AccessUnit { parameter_sets: Some(Arc::new(ParameterSets::new(sps))), ..unit.clone() }
    };
    let error = units.iter().find_map(|unit| deferred.unit(incomplete(unit)).err()).expect("an error");
    assert!(matches!(error, DecodeError::Refused { .. }), "{error}");
    assert_eq!((deferred.messages.dropped, deferred.messages.sent.len()), (3, 0));
}

#[test]
fn a_new_size_is_known_from_the_first_picture() {
    let units = [stream(GROUP, GROUP, SMALL), stream(GROUP, GROUP, (98, 66))].concat();
    let (expected, deferred) = (all(&units), Deferred::of(&units));
    let sizes = [5, 10, 15].map(|at: usize| deferred.messages.sent[at].0.size.clone().unwrap());
    assert_eq!(sizes, [[90, 160, 3], [66, 98, 3], [66, 98, 3]]);
    for at in [15, 5, 10, 19] {
        assert_eq!(deferred.luma(at), expected[at], "picture {at}");
    }
}
