//! What a sensor's camera has encoded, as far as a segment may be copied from it.

use bytes::Bytes;
use msight_codec::{Unsupported, check};
use msight_media::{
    AccessUnit, Admission, Codec, DropReason, KeyFrameGate, ParameterSets, Sps, nal, to_timescale,
};
use msight_picture::Size;
use msight_proto::AccessUnitData;
use std::collections::VecDeque;
use std::sync::Arc;

/// One unit of the camera's H.264 stream.
#[derive(Debug)]
pub(crate) struct Unit {
    /// NAL units after their lengths.
    pub(crate) data: Bytes,
    /// Decoding can start here.
    pub(crate) key: bool,
    /// Presentation time in ticks of [`TIMESCALE`](msight_media::TIMESCALE), on the clock of the unit's session.
    pub(crate) pts: i64,
    /// Capture time in seconds since 1970.
    pub(crate) captured: f64,
    /// What a decoder needs before it.
    pub(crate) parameter_sets: Arc<ParameterSets>,
    /// Its place among the sensor's units, in decoding order.
    pub(crate) number: u64,
    /// Counts the clocks of `pts`: units of a later one are shown later.
    clock: u64,
    /// Units with the same parameter sets, which one file can hold.
    run: u64,
}

impl Unit {
    /// Sorts units in presentation order; those of a camera that repeats a time in decoding order.
    pub(crate) fn presentation(&self) -> (u64, i64, u64) {
        (self.clock, self.pts, self.number)
    }

    /// Whether both have presentation times of the same clock.
    pub(crate) fn has_clock_of(&self, other: &Self) -> bool {
        self.clock == other.clock
    }

    /// The unit for a decoder.
    pub(crate) fn to_access_unit(&self) -> AccessUnit {
        AccessUnit {
            codec: Codec::H264,
            data: self.data.clone(),
            parameter_sets: Some(Arc::clone(&self.parameter_sets)),
            pts: self.pts,
            captured: self.captured,
            key: self.key,
            after_loss: false,
            size: None,
        }
    }
}

/// Why a unit is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// The stream was joined between two key frames, or a unit before it is missing, and no key frame has come since.
    Dropped(DropReason),
    /// It has come before: its publisher had no answer in time, and sent it again.
    Repeated,
}

/// The units before a frame that are decoded and not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lead {
    /// The [number](Unit::number) of the key frame with which the file begins.
    pub(crate) from: u64,
    /// Pictures that are hidden.
    pub(crate) hidden: usize,
    /// Bytes of the units before the frame.
    pub(crate) bytes: usize,
}

/// The units of one sensor in decoding order, from the last key frame on, or from the first one that an open segment needs.
#[derive(Debug)]
pub(crate) struct CameraStream {
    kept: VecDeque<Arc<Unit>>,
    bytes: usize,
    /// Most bytes that are kept for segments which have not begun.
    max_bytes: usize,
    session: Option<String>,
    /// The sequence number that continues the session.
    next_sequence: u64,
    gate: KeyFrameGate,
    parameter_sets: Option<Arc<ParameterSets>>,
    format: Result<Size, String>,
    next_number: u64,
    clock: u64,
    run: u64,
}

impl CameraStream {
    /// Without units.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            bytes: 0,
            max_bytes,
            session: None,
            next_sequence: 0,
            gate: KeyFrameGate::new(),
            parameter_sets: None,
            format: Err("the camera has not sent its parameter sets".to_owned()),
            next_number: 0,
            clock: 0,
            run: 0,
        }
    }

    /// Adds the next unit of H.264 in decoding order, captured at `captured`.
    ///
    /// # Errors
    /// It cannot be decoded.
    pub(crate) fn add(
        &mut self,
        unit: &AccessUnitData,
        data: Bytes,
        captured: f64,
    ) -> Result<Arc<Unit>, Undecodable> {
        let is_new_session = self.session.as_deref() != Some(&unit.session);
        if !is_new_session && unit.sequence < self.next_sequence {
            return Err(Undecodable::Repeated);
        }
        let is_gap = is_new_session || unit.sequence != self.next_sequence || unit.after_loss;
        let is_key = unit.key && nal::begins_with_first_slice(&data);
        self.next_sequence = unit.sequence.saturating_add(1);
        if is_new_session {
            self.session = Some(unit.session.clone());
        }
        if is_gap {
            self.gate.close(if is_new_session { DropReason::NoKeyFrameYet } else { DropReason::PacketLoss });
        }
        let admission = self.gate.admit(is_key);
        if let Some(sets) = &unit.parameter_sets {
            self.apply(ParameterSets::new(sets.clone()), &data);
        }
        let pts = to_timescale(unit.pts, unit.rate);
        let is_back = is_key && self.kept.back().is_some_and(|last| pts < last.pts);
        if is_new_session || is_back {
            self.clock += 1;
        }
        if let Admission::Drop { reason, .. } = admission {
            return Err(Undecodable::Dropped(reason));
        }
        let Some(parameter_sets) = self.parameter_sets.clone() else {
            return Err(Undecodable::Dropped(DropReason::NoKeyFrameYet));
        };
        let (number, clock, run) = (self.next_number, self.clock, self.run);
        self.next_number += 1;
        let unit = Arc::new(Unit { data, key: is_key, pts, captured, parameter_sets, number, clock, run });
        self.bytes += unit.data.len();
        self.kept.push_back(Arc::clone(&unit));
        Ok(unit)
    }

    /// The size of the pictures.
    ///
    /// # Errors
    /// The stream is not one that common players play: the text names what it is.
    pub(crate) fn size(&self) -> Result<Size, &str> {
        self.format.as_ref().map(|&size| size).map_err(String::as_str)
    }

    /// Whether a file that shows the picture of `last` can show that of `next` after it, and no other one between them.
    pub(crate) fn continues(&self, last: &Unit, next: &Unit) -> bool {
        let (from, to) = (last.presentation(), next.presentation());
        let is_between = |unit: &Arc<Unit>| from < unit.presentation() && unit.presentation() < to;
        // Only a stream with wrong times shows a picture after a key frame but decodes it before.
        let is_key_after =
            |unit: &Arc<Unit>| unit.key && (next.number + 1..=last.number).contains(&unit.number);
        let fits = |unit| !is_between(unit) && !is_key_after(unit);
        next.run == last.run && from < to && self.kept.iter().all(fits)
    }

    /// What precedes a file that shows this unit first. `None` if a unit that it needs is missing.
    pub(crate) fn lead(&self, first: &Unit) -> Option<Lead> {
        let until = self.position(first.number)?;
        let starts =
            |unit: &Unit| unit.key && unit.run == first.run && unit.presentation() <= first.presentation();
        let from = (0..=until).rev().find(|&at| starts(&self.kept[at]))?;
        let shown_from = self.kept[from].presentation();
        let is_hidden = |unit: &&Arc<Unit>| (shown_from..first.presentation()).contains(&unit.presentation());
        Some(Lead {
            from: self.kept[from].number,
            hidden: self.kept.range(from..).filter(is_hidden).count(),
            bytes: self.kept.range(from..until).map(|unit| unit.data.len()).sum(),
        })
    }

    /// The units of a file that begins with unit `from` and shows pictures up to those of unit `to`, in decoding order.
    /// Pictures before the key frame that follow it in decoding order refer to earlier ones, so they are left out.
    pub(crate) fn units(&self, from: u64, to: u64) -> Vec<Arc<Unit>> {
        let Some(from) = self.position(from) else { return vec![] };
        let start = self.kept[from].presentation();
        let in_file = |unit: &&Arc<Unit>| unit.number <= to && unit.presentation() >= start;
        self.kept.range(from..).filter(in_file).cloned().collect()
    }

    /// The units to decode so that a decoder which starts now yields the picture of `first`, and all after it.
    pub(crate) fn decodable_from(&self, first: &Unit) -> Option<Vec<Arc<Unit>>> {
        let from = self.lead(first)?.from;
        Some(self.units(from, u64::MAX))
    }

    /// Drops units that neither an open segment needs, which begins with unit `needed`, nor one that begins after the
    /// picture `shown`.
    pub(crate) fn trim(&mut self, needed: Option<u64>, shown: &Unit) {
        let is_start = |unit: &&Arc<Unit>| unit.key && unit.presentation() <= shown.presentation();
        let start = self.kept.iter().rev().find(is_start).map(|unit| unit.number);
        let keep_from = needed.into_iter().chain(start).min();
        while let Some(first) = self.kept.front()
            && (keep_from.is_some_and(|from| first.number < from)
                || (needed.is_none() && self.bytes > self.max_bytes))
        {
            self.bytes -= first.data.len();
            self.kept.pop_front();
        }
    }

    /// Whether it keeps more than open segments can have in common: units that no segment shows.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes / 2 > self.max_bytes
    }

    /// The place of a unit among those kept, whose numbers are consecutive.
    fn position(&self, number: u64) -> Option<usize> {
        let at = usize::try_from(number.checked_sub(self.kept.front()?.number)?).ok()?;
        (at < self.kept.len()).then_some(at)
    }

    fn apply(&mut self, sets: ParameterSets, data: &[u8]) {
        if self.parameter_sets.as_deref() == Some(&sets) {
            return;
        }
        self.format = format(&sets, data);
        self.parameter_sets = Some(Arc::new(sets));
        self.run += 1;
    }
}

/// The size of the pictures, if players of `avc1` play the stream: 8 bit, 4:2:0, progressive.
fn format(sets: &ParameterSets, data: &[u8]) -> Result<Size, String> {
    let sps = sets.h264_sps_of(data).map_or(&[][..], |sps| sps);
    let sps = Sps::parse(sps).map_err(|error| error.to_string())?;
    check(&sps).map_err(|Unsupported { feature, .. }| format!("H.264 {feature}"))?;
    Size::new(sps.width as usize, sps.height as usize).map_err(|error| error.to_string())
}
