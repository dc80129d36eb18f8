//! From messages to frames in presentation order, each after the units that it is decoded from.
//!
//! ```text
//! pictures ─▶ UnitOrder ─┐  units in decoding order ─▶ CameraStream
//!                        ├─▶ held, in presentation order ─▶ show
//! units ─────────────────┘  (decoded only if a segment is encoded)
//! ```

use super::{Frame, FramePicture, Sensor};
use crate::camera_stream::{Undecodable, Unit};
use crate::counts::Dropped;
use crate::incoming::Incoming;
use crate::segment::EndedSegment;
use crate::timeline::LeftOut;
use crate::unit_decoder::{Pictures, UnitDecoder};
use crate::unit_order::{MOST_HELD_BACK, PictureOfUnit, Released, UnitOrder};
use bytes::Bytes;
use msight_media::{DropReason, to_timescale};
use msight_proto::{AccessUnitData, ImageData, Sample};
use std::collections::VecDeque;
use std::sync::Arc;

/// Most frames that wait for one which is shown earlier, and the current one.
const MOST_HELD: usize = MOST_HELD_BACK + 1;
/// Frames after which the rate of a camera is known.
const RATE_FRAMES: usize = 5;

/// Frames that wait for their turn.
#[derive(Default)]
pub(super) struct Arrivals {
    order: UnitOrder,
    /// In presentation order.
    held: VecDeque<Frame>,
    /// The last units by their sequence numbers, for pictures that wait in `order`.
    added: VecDeque<(u64, Arc<Unit>)>,
    /// Decodes units while a segment is encoded. The frames of its pictures are held.
    decoder: Option<UnitDecoder>,
    /// Seconds between the first frames of the camera, once that was measured.
    first_interval: Option<f64>,
}

impl Sensor {
    /// A message has arrived.
    pub(super) fn arrive(&mut self, frame: Sample<Incoming>, ended: &mut Vec<EndedSegment>) {
        let mut body = None;
        let message = frame.map(|incoming| body = Some(incoming));
        match body {
            Some(Incoming::Picture(image)) => self.picture(message, image, ended),
            Some(Incoming::Unit(unit)) => self.unit(message, unit, ended),
            None => {}
        }
    }

    /// Shows all frames that wait, because no frame follows for now.
    pub(super) fn release_all(&mut self, ended: &mut Vec<EndedSegment>) {
        let released = self.arrivals.order.flush();
        self.hold_pictures(released);
        self.release_held(ended);
    }

    /// Seconds between the camera's frames, if known.
    pub(super) fn interval(&self) -> Option<f64> {
        let intervals = self.timeline.intervals();
        let is_measured = intervals.len() + 1 >= RATE_FRAMES;
        if is_measured { intervals.median() } else { self.arrivals.first_interval }
    }

    fn picture(&mut self, message: Sample<()>, mut image: ImageData, ended: &mut Vec<EndedSegment>) {
        let unit = image
            .access_unit
            .take()
            .filter(|unit| self.policy.copies() && unit.codec == "h264" && unit.track == "video");
        let flushes = unit.as_ref().is_none_or(|unit| self.arrivals.order.is_other_session(unit));
        let mut released = if flushes { self.arrivals.order.flush() } else { Released::default() };
        let Some(unit) = unit else {
            self.hold_pictures(released);
            let picture = FramePicture::Message(image);
            let frame = Frame { message, picture, unit: None, carries_unit: false, decided: None };
            self.arrivals.held.push_back(frame);
            return self.release(|_| true, ended);
        };
        let more = self.arrivals.order.add(PictureOfUnit { message, image, unit });
        released.units.extend(more.units);
        released.pictures.extend(more.pictures);
        self.hold_pictures(released);
        self.release(|_| true, ended);
    }

    /// Adds the units to the stream, and the pictures with their units to the frames that are held.
    fn hold_pictures(&mut self, released: Released) {
        for (unit, captured) in released.units {
            // The message of a picture has a copy of the unit in its own memory, which would be kept with the unit.
            let data = Bytes::copy_from_slice(&unit.data);
            if let Ok(added) = self.add_unit(&unit, data, captured) {
                self.arrivals.added.push_back((unit.sequence, added));
            }
        }
        for PictureOfUnit { message, image, unit } in released.pictures {
            let Arrivals { held, added, .. } = &mut self.arrivals;
            let at = added.iter().rposition(|(sequence, _)| *sequence == unit.sequence);
            let unit = at.and_then(|at| added.remove(at)).map(|(_, unit)| unit);
            let picture = FramePicture::Message(image);
            held.push_back(Frame { message, picture, unit, carries_unit: true, decided: None });
        }
        let surplus = self.arrivals.added.len().saturating_sub(2 * MOST_HELD);
        self.arrivals.added.drain(..surplus);
    }

    fn unit(&mut self, message: Sample<()>, data: AccessUnitData, ended: &mut Vec<EndedSegment>) {
        let captured = message.head.capture_timestamp;
        match data.codec.as_str() {
            "h264" => {}
            "jpeg" => {
                let image = ImageData { image: Some(data.data.into()), ..ImageData::default() };
                return self.picture(message, image, ended);
            }
            other => {
                let reason = format!(
                    "{other} cannot be decoded or copied here; set the camera to H.264, or record it with \
                     msight_launch_recorder"
                );
                return self.lose(Dropped::Decode, captured, reason);
            }
        }
        let unit = match self.add_unit(&data, data.data.clone(), captured) {
            Ok(unit) => unit,
            Err(Undecodable::Repeated) => return self.leave_out(captured, LeftOut::Late),
            Err(Undecodable::Dropped(DropReason::NoKeyFrameYet)) => {
                return self.leave_out(captured, LeftOut::NoKeyFrame);
            }
            Err(Undecodable::Dropped(_)) => {
                let reason = "a unit of the camera's stream was lost before them, and the next key frame has not come; raise \
                              --queue-bytes if the queue was full";
                return self.lose(Dropped::MissingUnit, captured, reason.to_owned());
            }
        };
        let last = self.arrivals.held.back().and_then(|last| last.unit.as_ref());
        if last.is_some_and(|last| !last.has_clock_of(&unit)) {
            self.release_held(ended);
        }
        let is_earlier = |frame: &Frame| {
            frame.unit.as_ref().is_none_or(|other| other.presentation() <= unit.presentation())
        };
        let at = self.arrivals.held.iter().rposition(is_earlier).map_or(0, |at| at + 1);
        let (picture, kept) = (FramePicture::Undecoded, Some(Arc::clone(&unit)));
        let frame = Frame { message, picture, unit: kept, carries_unit: true, decided: None };
        self.arrivals.held.insert(at, frame);
        match self.arrivals.decoder.as_mut().map(|decoder| decoder.decode(&unit)) {
            Some(Ok(pictures)) => self.decoded(pictures, ended),
            Some(Err(error)) => self.cannot_decode(&error),
            // No later unit is shown before the time at which this one is decoded.
            None => {
                let wait = to_timescale(data.pts.saturating_sub(data.dts), data.rate).max(0);
                let decoded = unit.pts.saturating_sub(wait);
                self.release(|frame| frame.unit.as_ref().is_none_or(|unit| unit.pts <= decoded), ended);
            }
        }
    }

    fn add_unit(
        &mut self,
        unit: &AccessUnitData,
        data: Bytes,
        captured: f64,
    ) -> Result<Arc<Unit>, Undecodable> {
        let bytes = data.len();
        let added = self.stream.add(unit, data, captured);
        match &added {
            Ok(unit) => self.stream_rate.add(bytes, unit.key, captured),
            Err(Undecodable::Repeated) => {}
            Err(_) => self.stream_rate.interrupt(),
        }
        added
    }

    /// Shows the frames that are held for as long as `is_due` holds, or too many are held.
    fn release(&mut self, is_due: impl Fn(&Frame) -> bool, ended: &mut Vec<EndedSegment>) {
        if self.measures_rate() && self.arrivals.held.len() < RATE_FRAMES {
            return;
        }
        while let Some(first) = self.arrivals.held.front()
            && (is_due(first) || self.arrivals.held.len() > MOST_HELD)
            && !(self.arrivals.decoder.is_some() && matches!(first.picture, FramePicture::Undecoded))
        {
            self.show_first(ended);
        }
    }

    /// Shows all frames that are held.
    fn release_held(&mut self, ended: &mut Vec<EndedSegment>) {
        while !self.arrivals.held.is_empty() {
            match self.arrivals.decoder.take() {
                None => {
                    self.measures_rate();
                    self.show_first(ended);
                }
                Some(decoder) => {
                    match decoder.drain() {
                        Ok(pictures) => self.decoded(pictures, ended),
                        Err(error) => self.cannot_decode(&error),
                    }
                    self.lose_held("the decoder gave no picture for them");
                }
            }
        }
        self.arrivals.decoder = None;
    }

    /// Whether the camera's rate has to be known before its first frame is shown. Measures it of the frames that are held.
    fn measures_rate(&mut self) -> bool {
        let first = self.arrivals.held.front().is_some_and(|frame| frame.unit.is_some());
        let is_needed = first
            && self.policy.needs_rate()
            && self.arrivals.first_interval.is_none()
            && self.timeline.intervals().len() + 1 < RATE_FRAMES;
        if is_needed && self.arrivals.held.len() >= RATE_FRAMES {
            let times: Vec<f64> =
                self.arrivals.held.iter().map(|frame| frame.message.head.capture_timestamp).collect();
            let mut steps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            steps.sort_by(f64::total_cmp);
            self.arrivals.first_interval = Some(steps[steps.len() / 2]);
        }
        is_needed
    }

    /// Shows the first frame that is held. If it needs its picture, decoding starts.
    fn show_first(&mut self, ended: &mut Vec<EndedSegment>) {
        let Some(frame) = self.arrivals.held.pop_front() else { return };
        let Some(waits) = self.show(frame, ended) else { return };
        self.arrivals.held.push_front(waits);
        match self.start_decoding() {
            Ok(pictures) => self.decoded(pictures, ended),
            Err(error) => self.cannot_decode(&error),
        }
    }

    /// Starts to decode at the key frame before the first frame that is held. Returns the pictures from that frame on.
    fn start_decoding(&mut self) -> anyhow::Result<Pictures> {
        let Arrivals { held, decoder, .. } = &mut self.arrivals;
        let first = held.front().and_then(|frame| frame.unit.as_ref());
        let units = first.and_then(|first| self.stream.decodable_from(first));
        let (Some(first), Some(units)) = (first, units) else {
            anyhow::bail!("the key frame before them is missing");
        };
        let last = held.iter().filter_map(|frame| frame.unit.as_ref()).map(|unit| unit.number).max();
        let (mut started, mut pictures) = (UnitDecoder::new()?, Pictures::new());
        for unit in units.iter().filter(|unit| last.is_some_and(|last| unit.number <= last)) {
            pictures.extend(started.decode(unit)?.into_iter().filter(|(pts, _)| *pts >= first.pts));
        }
        *decoder = Some(started);
        Ok(pictures)
    }

    /// Shows the frames of decoded pictures. Stops to decode when no open segment is encoded.
    fn decoded(&mut self, pictures: Pictures, ended: &mut Vec<EndedSegment>) {
        for (pts, picture) in pictures {
            let of = |frame: &Frame| frame.unit.as_ref().map(|unit| unit.pts);
            while self.arrivals.held.front().is_some_and(|frame| of(frame).is_some_and(|other| other < pts)) {
                self.lose_first("the decoder gave no picture for them");
            }
            if self.arrivals.held.front().and_then(of) != Some(pts) {
                continue;
            }
            let Some(frame) = self.arrivals.held.pop_front() else { continue };
            self.show(Frame { picture: FramePicture::Decoded(picture), ..frame }, ended);
        }
        let waits = self.arrivals.held.front().is_some_and(|frame| frame.decided.is_some());
        if self.segmenter.is_open() && !self.segmenter.encodes() && !waits {
            self.arrivals.decoder = None;
        }
    }

    /// The decoder has failed: the frames that wait for it are lost, and it starts again for the next one.
    fn cannot_decode(&mut self, error: &anyhow::Error) {
        self.arrivals.decoder = None;
        self.lose_held(&format!("{error:#}"));
    }

    fn lose_held(&mut self, reason: &str) {
        while !self.arrivals.held.is_empty() {
            self.lose_first(reason);
        }
    }

    fn lose_first(&mut self, reason: &str) {
        if let Some(frame) = self.arrivals.held.pop_front() {
            self.is_copy_broken |= self.segmenter.copies();
            self.lose(Dropped::Decode, frame.message.head.capture_timestamp, reason.to_owned());
        }
    }
}
