//! Decodes a stream only as far as its pictures are asked for.

use std::sync::Arc;

use msight_media::{AccessUnit, DropReason, PictureTimes, PresentationOrder, nal};
use msight_picture::{DecodedImages, Size};
use msight_proto::ImageData;
use tracing::warn;

use crate::decode_error::DecodeError;
use crate::decoder::{Decoder, has_slices};
use crate::group::Group;
use crate::intake::{Intake, can_begin};
use crate::on_demand::{First, OnDemand};
use crate::reordering::Reordering;
use crate::sink::PictureSink;
use crate::stream::Stream;

/// `nal_unit_type` of a slice of an IDR picture (ITU-T H.264, table 7-1): what follows refers to nothing before it.
const IDR: u8 = 5;

/// Receives pictures of which most are not decoded yet. Each access unit yields one of either kind, or is reported as dropped.
pub trait DeferredSink: PictureSink {
    /// Receives a picture that is not decoded yet, in presentation order.
    ///
    /// # Errors
    /// The sink accepts no more pictures.
    fn deferred(&mut self, picture: DeferredPicture) -> Result<(), Self::Error>;
}

/// A picture that is not decoded yet.
pub struct DeferredPicture {
    size: Size,
    times: PictureTimes,
    group: Arc<Group>,
    unit: usize,
    on_demand: Arc<OnDemand>,
}

impl DeferredPicture {
    /// Its size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Its times.
    pub fn times(&self) -> PictureTimes {
        self.times
    }

    /// The body of an image message with this picture in this size. It is decoded and scaled when a node asks for it, on the
    /// thread that asks; before that, while nodes ask for every picture of the stream.
    pub fn into_image(self, images: &DecodedImages, size: Size) -> ImageData {
        let Self { group, unit, on_demand, .. } = self;
        let number = on_demand.number();
        let (of_message, decoders) = (Arc::clone(&group), Arc::clone(&on_demand));
        let (message, place) = images.deferred(size, move |_| decoders.ask(&of_message, unit, number));
        group.expect(unit, place);
        on_demand.prepare(&group, unit, number);
        message
    }
}

/// A decoder of one camera's H.264 stream that leaves pictures undecoded until they are asked for.
///
/// It passes on the first picture of a stream decoded, and with it finds out whether the stream can be decoded. After that,
/// the units from a key frame to the next are kept for the messages whose pictures they make. If a picture turns out to be
/// damaged, its message has an error, and the units up to the next key frame are dropped as by a [`Decoder`].
///
/// A stream that reorders pictures, and one whose key frames are not IDR pictures, is decoded at once, as by a [`Decoder`]. A
/// stream that does not state its reordering is decoded at once until its presentation times show that its pictures stay in
/// order.
pub struct DeferredDecoder {
    intake: Intake,
    on_demand: Arc<OnDemand>,
    stream: Option<Stream>,
    /// The log is to name the stream; whether it follows another one.
    unannounced: Option<bool>,
    /// The size of the stream's pictures; `None` until one was decoded, and after a failure.
    size: Option<Size>,
    order: PresentationOrder,
    /// The units since the last key frame; `None` while the stream is decoded at once.
    group: Option<Arc<Group>>,
    /// The latest picture of the group, which the decoder returns with the next unit.
    held: Option<DeferredPicture>,
    reordering: Reordering,
    at_once: Option<Box<Decoder>>,
    is_key_frames_only: bool,
}

impl DeferredDecoder {
    /// A decoder that waits for a key frame, for a stream or for its key frames alone. `on_decoded` is called for each picture
    /// that is decoded after it was passed on.
    pub fn new(key_frames_only: bool, on_decoded: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            intake: Intake::default(),
            on_demand: Arc::new(OnDemand::new(key_frames_only, on_decoded)),
            stream: None,
            unannounced: None,
            size: None,
            order: PresentationOrder::default(),
            group: None,
            held: None,
            reordering: Reordering::default(),
            at_once: None,
            is_key_frames_only: key_frames_only,
        }
    }

    /// Takes the next access unit, and passes its picture to the sink.
    ///
    /// # Errors
    /// The stream cannot be decoded, or the sink accepts no more pictures.
    pub fn decode<S: DeferredSink>(
        &mut self,
        unit: AccessUnit,
        sink: &mut S,
    ) -> Result<(), DecodeError<S::Error>> {
        if self.group.as_ref().is_some_and(|group| group.failure().is_some()) {
            // A node has asked for a picture that cannot be decoded. The next key frame shows whether another one can.
            self.intake.close(DropReason::DecodeError);
            self.size = None;
        }
        let is_assumed = self.held.is_some() && !self.stream.as_ref().is_some_and(Stream::states_reordering);
        if self.reordering.add(&unit) && is_assumed {
            warn!("the camera has begun to send B-frames: frames are left out up to its next key frame");
            self.intake.close(DropReason::DecodeError);
        }
        if !self.intake.admit(&unit, sink) {
            return self.end_group(sink).map_err(DecodeError::Sink);
        }
        if can_begin(&unit) {
            let changed = self.apply_parameter_sets(&unit)?;
            if self.can_defer(&unit) {
                if let Some(mut decoder) = self.at_once.take() {
                    decoder.drain(sink)?;
                }
                return self.begin_group(unit, sink);
            }
            if changed {
                self.end_group(sink).map_err(DecodeError::Sink)?;
            }
        }
        match &self.group {
            Some(_) if !has_slices(&unit) => {
                self.intake.lose(DropReason::DecodeError, unit.captured, sink);
                Ok(())
            }
            Some(group) => {
                let (group, times) = (Arc::clone(group), (unit.pts, unit.captured));
                let number = group.push(AccessUnit { after_loss: false, ..unit });
                self.size.map_or(Ok(()), |size| self.pass_on(&group, number, size, times, sink))
            }
            None => self.decode_at_once(unit, sink),
        }
    }

    /// Passes the pictures that are still in a decoder to the sink, at the end of a stream.
    ///
    /// # Errors
    /// The sink accepts no more pictures.
    pub fn drain<S: DeferredSink>(&mut self, sink: &mut S) -> Result<(), DecodeError<S::Error>> {
        self.end_group(sink).map_err(DecodeError::Sink)?;
        self.at_once.as_mut().map_or(Ok(()), |decoder| decoder.drain(sink))
    }

    /// Applies the parameter sets of a key frame. Returns whether the stream is another one.
    fn apply_parameter_sets<E>(&mut self, unit: &AccessUnit) -> Result<bool, DecodeError<E>> {
        let Some((sets, active)) = Stream::other_sets(&mut self.stream, unit) else { return Ok(false) };
        self.unannounced = Some(self.stream.is_some());
        self.stream = Some(Stream::read(sets, active)?);
        self.size = None;
        Ok(true)
    }

    /// Whether pictures from this key frame on can be left undecoded: they leave the decoder in the order of their units.
    fn can_defer(&self, unit: &AccessUnit) -> bool {
        let is_in_order = |stream: &Stream| self.is_key_frames_only || self.reordering.is_absent(&stream.sps);
        let is_idr = |nal: &[u8]| nal.first().is_some_and(|&header| nal::unit_type(header) == IDR);
        self.stream.as_ref().is_some_and(is_in_order) && nal::units(&unit.data).any(is_idr)
    }

    fn begin_group<S: DeferredSink>(
        &mut self,
        unit: AccessUnit,
        sink: &mut S,
    ) -> Result<(), DecodeError<S::Error>> {
        if let (Some(stream), Some(changed)) = (&self.stream, self.unannounced.take()) {
            stream.announce(changed);
        }
        self.on_demand.free_idle();
        let (pts, captured) = (unit.pts, unit.captured);
        // The decoder that gets to this group may not know the sets.
        let sets = self.stream.as_ref().map(|stream| Arc::clone(&stream.sets));
        let parameter_sets = unit.parameter_sets.or(sets);
        let unit = AccessUnit { parameter_sets, after_loss: false, ..unit };
        let group = Arc::new(Group::default());
        let number = group.push(unit.clone());
        if let Some(before) = self.group.as_ref().filter(|_| self.size.is_some()) {
            before.set_successor(&group);
        }
        self.end_group(sink).map_err(DecodeError::Sink)?;
        if let Some(size) = self.size {
            self.group = Some(Arc::clone(&group));
            return self.pass_on(&group, number, size, (pts, captured), sink);
        }
        let mut first = First::default();
        let decoded = self.on_demand.begin(&group, unit, &mut first);
        first.dropped.iter().for_each(|(reason, units)| sink.dropped(*reason, *units));
        decoded.map_err(of_sink)?;
        let Some(picture) = first.picture else {
            if first.dropped.is_empty() {
                self.intake.lose(DropReason::DecodeError, captured, sink);
            }
            self.intake.close(DropReason::DecodeError);
            return Ok(());
        };
        self.size = Some(picture.size());
        self.group = Some(group);
        let times = self.times(pts, captured);
        sink.picture(&picture.planes(), times).map_err(DecodeError::Sink)
    }

    /// Passes on the picture of a unit undecoded; if the decoder returns it with the next unit, then with that.
    fn pass_on<S: DeferredSink>(
        &mut self,
        group: &Arc<Group>,
        unit: usize,
        size: Size,
        (pts, captured): (i64, f64),
        sink: &mut S,
    ) -> Result<(), DecodeError<S::Error>> {
        let (times, on_demand) = (self.times(pts, captured), Arc::clone(&self.on_demand));
        let picture = DeferredPicture { size, times, group: Arc::clone(group), unit, on_demand };
        let is_immediate =
            self.is_key_frames_only || self.stream.as_ref().is_some_and(|stream| stream.sps.is_in_order);
        let ready = if is_immediate { Some(picture) } else { self.held.replace(picture) };
        ready.map_or(Ok(()), |picture| sink.deferred(picture)).map_err(DecodeError::Sink)?;
        if group.is_long() {
            self.on_demand.shorten(group);
        }
        Ok(())
    }

    fn decode_at_once<S: PictureSink>(
        &mut self,
        unit: AccessUnit,
        sink: &mut S,
    ) -> Result<(), DecodeError<S::Error>> {
        let decoder = match &mut self.at_once {
            Some(decoder) => decoder,
            none if self.is_key_frames_only => none.insert(Box::new(Decoder::for_key_frames()?)),
            none => none.insert(Box::new(Decoder::new()?)),
        };
        decoder.decode(unit, sink)
    }

    fn times(&mut self, pts: i64, captured: f64) -> PictureTimes {
        self.order.enter(pts, captured);
        self.order.leave().unwrap_or(PictureTimes { pts, captured })
    }

    /// No unit of the group follows. Its last picture can be asked for.
    fn end_group<S: DeferredSink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        let Some(group) = self.group.take() else { return Ok(()) };
        group.set_ended();
        self.held.take().map_or(Ok(()), |picture| sink.deferred(picture))
    }
}

/// The group of a stream that has ended gets no further units.
impl Drop for DeferredDecoder {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            group.set_ended();
        }
    }
}

/// The error of a decoder that passes its pictures to this crate.
fn of_sink<E: From<msight_picture::Error>>(error: DecodeError<msight_picture::Error>) -> DecodeError<E> {
    match error {
        DecodeError::Memory(error) => DecodeError::Memory(error),
        DecodeError::Sps(error) => DecodeError::Sps(error),
        DecodeError::Unsupported(error) => DecodeError::Unsupported(error),
        DecodeError::Refused { stream, error } => DecodeError::Refused { stream, error },
        DecodeError::Sink(error) => DecodeError::Sink(error.into()),
    }
}
