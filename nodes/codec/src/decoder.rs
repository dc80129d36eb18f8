//! Decodes access units to pictures with OpenH264: gates on key frames, replaces the decoder when the stream changes,
//! and restores presentation order.

use bytes::{BufMut as _, Bytes, BytesMut};
use msight_media::{AccessUnit, DropReason, ParameterSets, PresentationOrder, nal};
use msight_picture::{Colour, Planes, Size};
use openh264::OpenH264API;
use openh264::decoder::{DecodeOptions, DecodedYUV, Decoder as OpenH264, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use openh264_sys2::dsOutOfMemory;
use tracing::debug;

use crate::decode_error::{DecodeError, MAX_REJECTED_KEY_FRAMES, OutOfMemory};
use crate::intake::Intake;
use crate::sink::PictureSink;
use crate::stream::Stream;

/// A decoder of one camera's H.264 stream.
pub struct Decoder {
    openh264: OpenH264,
    intake: Intake,
    order: PresentationOrder,
    stream: Option<Stream>,
    rejected_key_frames: u32,
    /// The access unit in OpenH264's form.
    buffer: BytesMut,
    /// Each picture leaves the decoder with its unit: no other one is waited for.
    is_immediate: bool,
    /// Whether log lines name the streams that it decodes.
    announces: bool,
}

impl Decoder {
    /// A decoder that waits for a key frame.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn new() -> Result<Self, OutOfMemory> {
        Ok(Self {
            openh264: start("")?,
            intake: Intake::default(),
            order: PresentationOrder::default(),
            stream: None,
            rejected_key_frames: 0,
            buffer: BytesMut::new(),
            is_immediate: false,
            announces: true,
        })
    }

    /// A decoder for the key frames of a stream alone: each picture leaves it at once, also where pictures of the whole
    /// stream would wait for others.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn for_key_frames() -> Result<Self, OutOfMemory> {
        Ok(Self { is_immediate: true, ..Self::new()? })
    }

    /// A decoder of groups of pictures, or of key frames alone, for which the caller names the stream in the log.
    pub(crate) fn for_groups(key_frames_only: bool) -> Result<Self, OutOfMemory> {
        Ok(Self { is_immediate: key_frames_only, announces: false, ..Self::new()? })
    }

    /// The next unit begins a group that does not continue the units so far.
    ///
    /// # Errors
    /// There is no memory for another decoder.
    pub(crate) fn leave_group(&mut self) -> Result<(), OutOfMemory> {
        if self.order.clear() > 0 {
            // A picture is still inside, and would come out as one of the next group.
            self.openh264 = start(&self.stream_name())?;
        }
        Ok(())
    }

    /// Decodes the next access unit and passes its pictures to the sink: none, one, or (when the stream changes) more.
    /// Data that other owners share is copied; otherwise it is decoded in place.
    ///
    /// # Errors
    /// The stream cannot be decoded, or the sink accepts no more pictures.
    pub fn decode<S: PictureSink>(
        &mut self,
        unit: AccessUnit,
        sink: &mut S,
    ) -> Result<(), DecodeError<S::Error>> {
        if !self.intake.admit(&unit, sink) {
            return Ok(());
        }
        if unit.key {
            self.apply_parameter_sets(&unit, sink)?;
        }
        if !has_slices(&unit) {
            // OpenH264 returns no picture for a unit without slices, so its time does not enter the order.
            self.intake.lose(DropReason::DecodeError, unit.captured, sink);
            return Ok(());
        }
        let Some(stream) = &self.stream else {
            sink.dropped(DropReason::NoKeyFrameYet, 1);
            return Ok(());
        };
        let AccessUnit { pts, captured, key, data, .. } = unit;
        self.order.enter(pts, captured);
        // OpenH264 returns a picture with its unit only if the order is fixed. Otherwise it returns it with the next unit, and
        // a flush leaks its memory.
        let waits = !stream.sps.is_in_order && !self.is_immediate;
        let flush = if waits { Flush::NoFlush } else { Flush::Flush };
        let options = DecodeOptions::new().flush_after_decode(flush);
        let sets = key.then_some(&*stream.sets);
        let decoded = to_annex_b(data, sets, &mut self.buffer)
            .map_err(|error| openh264::Error::msg(&error.to_string()))
            .and_then(|annex_b| self.openh264.decode_with_options(annex_b, options));
        match decoded {
            Ok(None) => Ok(()),
            Ok(Some(picture)) => {
                self.rejected_key_frames = 0;
                emit(&picture, stream.colour, &mut self.order, sink)
            }
            Err(source) if is_out_of_memory(&source) => {
                self.intake.lose(DropReason::DecodeError, captured, sink);
                Err(OutOfMemory { stream: self.stream_name(), code: source.native_code() }.into())
            }
            Err(error) => {
                self.intake.lose(DropReason::DecodeError, captured, sink);
                self.reject(pts, key, error)?;
                self.restart(sink)
            }
        }
    }

    /// Passes the pictures that the decoder still holds to the sink, at the end of a stream.
    ///
    /// # Errors
    /// The sink accepts no more pictures.
    pub fn drain<S: PictureSink>(&mut self, sink: &mut S) -> Result<(), DecodeError<S::Error>> {
        if let Some(stream) = &self.stream {
            match self.openh264.flush_remaining() {
                Ok(pictures) => {
                    for picture in &pictures {
                        emit(picture, stream.colour, &mut self.order, sink)?;
                    }
                }
                Err(error) => debug!("cannot drain the decoder: {error}"),
            }
        }
        let lost = self.order.clear();
        if lost > 0 {
            sink.dropped(DropReason::DecodeError, lost as u64);
        }
        Ok(())
    }

    /// Applies the parameter sets of a key frame, and restarts the decoder if the sequence parameter set of its picture is
    /// another one.
    fn apply_parameter_sets<S: PictureSink>(
        &mut self,
        unit: &AccessUnit,
        sink: &mut S,
    ) -> Result<(), DecodeError<S::Error>> {
        let Some((sets, active)) = Stream::other_sets(&mut self.stream, unit) else { return Ok(()) };
        let changed = self.stream.is_some();
        if changed {
            self.restart(sink)?;
        }
        let stream = Stream::read(sets, active)?;
        if self.announces {
            stream.announce(changed);
        }
        self.stream = Some(stream);
        Ok(())
    }

    /// Drains and replaces OpenH264's decoder. A drained decoder does not free all of its pictures, and runs out of
    /// memory in the next group of pictures.
    fn restart<S: PictureSink>(&mut self, sink: &mut S) -> Result<(), DecodeError<S::Error>> {
        self.drain(sink)?;
        self.openh264 = start(&self.stream_name())?;
        Ok(())
    }

    /// Waits for the next key frame after a unit that OpenH264 rejected, and fails after too many rejected key frames.
    fn reject<E>(&mut self, pts: i64, key: bool, error: openh264::Error) -> Result<(), DecodeError<E>> {
        self.order.withdraw(pts);
        self.intake.close(DropReason::DecodeError);
        debug!(key, "the decoder rejected a frame: {error}");
        if key {
            self.rejected_key_frames += 1;
        }
        if self.rejected_key_frames < MAX_REJECTED_KEY_FRAMES {
            return Ok(());
        }
        Err(DecodeError::Refused { stream: self.stream_name(), error })
    }

    /// Size, profile and level of the stream in brackets.
    fn stream_name(&self) -> String {
        self.stream.as_ref().map(|stream| format!(" ({})", stream.sps)).unwrap_or_default()
    }
}

/// Whether a unit has a part of a picture.
pub(crate) fn has_slices(unit: &AccessUnit) -> bool {
    nal::units(&unit.data).any(nal::is_slice)
}

/// Whether OpenH264 reports that an allocation failed. Its result for an access unit is a set of flags (`DECODING_STATE` of
/// `codec_app_def.h`).
fn is_out_of_memory(error: &openh264::Error) -> bool {
    error.native_code() & i64::from(dsOutOfMemory) != 0
}

/// An OpenH264 decoder that returns a picture as soon as the presentation order allows it. OpenH264 accepts this
/// configuration, so a failure is a lack of memory.
fn start(stream: &str) -> Result<OpenH264, OutOfMemory> {
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    OpenH264::with_api_config(OpenH264API::from_source(), config)
        .map_err(|error| OutOfMemory { stream: stream.to_owned(), code: error.native_code() })
}

/// The access unit as an Annex B stream, after the parameter sets if there are any. It has only what pictures are made of:
/// OpenH264 takes SEI after the slices for the next access unit, and rejects extensions for layers. Data that has no other
/// owner and no parameter sets is converted in place; other data is copied.
fn to_annex_b<'a>(
    data: Bytes,
    sets: Option<&ParameterSets>,
    buffer: &'a mut BytesMut,
) -> Result<&'a [u8], nal::TooLong> {
    match data.try_into_mut() {
        Ok(own) if sets.is_none() => *buffer = own,
        data => {
            let data: &[u8] = match &data {
                Ok(own) => own,
                Err(shared) => shared,
            };
            buffer.clear();
            for set in sets.into_iter().flat_map(ParameterSets::all) {
                buffer.put_u32(u32::try_from(set.len()).unwrap_or(u32::MAX));
                buffer.put_slice(set);
            }
            buffer.put_slice(data);
        }
    }
    nal::retain(buffer, |unit| nal::is_slice(unit) || nal::is_sps(unit) || nal::is_pps(unit))?;
    nal::lengths_to_start_codes(buffer)?;
    Ok(buffer)
}

/// Passes one picture to the sink, in the decoder's own memory.
fn emit<S: PictureSink>(
    picture: &DecodedYUV<'_>,
    colour: Colour,
    order: &mut PresentationOrder,
    sink: &mut S,
) -> Result<(), DecodeError<S::Error>> {
    let Some(times) = order.leave() else {
        debug!("the decoder returned more pictures than access units");
        return Ok(());
    };
    let ((width, height), (y, u, v)) = (picture.dimensions(), picture.strides());
    let planes = [picture.y(), picture.u(), picture.v()];
    let planes = Size::new(width, height).and_then(|size| Planes::new(size, colour, planes, [y, u, v]));
    planes.map_err(S::Error::from).and_then(|planes| sink.picture(&planes, times)).map_err(DecodeError::Sink)
}
