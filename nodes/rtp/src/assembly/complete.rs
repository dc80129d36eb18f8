//! What complete NAL units do: they join the picture, end it, or are kept for later ones.

use bytes::Bytes;
use msight_media::nal::{self, LENGTH, START_CODE};

use super::{Assembly, MAX_RESERVED_BYTES, Open, is_forbidden};
use crate::fault::Fault;
use crate::output::Output;
use crate::picture::Picture;
use crate::syntax::{Class, Coding, Slice, Syntax};
use crate::unit::Unit;

impl<S: Syntax> Assembly<S> {
    /// The open NAL unit is complete.
    pub(super) fn close(&mut self, out: &mut Output) {
        let Some(Open { start, .. }) = self.open.take() else { return };
        let begin = start + LENGTH;
        if nal::has_start_code(&self.picture.data[begin..]) {
            return self.close_stream(start, out);
        }
        let length = nal::without_trailing_zeros(&self.picture.data[begin..]).len();
        if length == 0 {
            self.picture.data.truncate(start);
            return out.fault(Fault::Empty);
        }
        self.picture.data.truncate(begin + length);
        let nal = &self.picture.data[begin..];
        if is_forbidden(nal[0]) {
            let is_needed = S::class(S::kind(nal[0])).is_needed();
            self.picture.data.truncate(start);
            out.fault(Fault::BadNal);
            if is_needed {
                self.lose(self.picture.timestamp, out);
            }
            return;
        }
        let class = S::class(S::kind(nal[0]));
        if class.is_needed() && nal.len() <= S::HEADER {
            self.picture.data.truncate(start);
            return out.fault(Fault::Empty);
        }
        match class {
            Class::Slice => {
                let slice = S::slice(nal);
                self.close_slice(start, slice, out);
            }
            Class::Part => self.close_slice(start, Slice { first: false, coding: Coding::Intra }, out),
            Class::Set => {
                self.has_sps |= S::is_sps(nal);
                if let Err(fault) = self.sets.insert(nal) {
                    out.fault(fault);
                }
                self.picture.data.truncate(start);
                self.close_before(start);
            }
            Class::Before => {
                self.recovery = S::recovery_point(nal).or(self.recovery);
                self.picture.seal(start);
                self.close_before(start);
            }
            Class::After => self.picture.seal(start),
            class @ (Class::Filler | Class::Undefined) => {
                self.picture.data.truncate(start);
                if class == Class::Undefined {
                    out.fault(Fault::BadNal);
                }
            }
        }
    }

    /// The open NAL unit is an Annex B byte stream: some cameras send whole ones as one unit.
    fn close_stream(&mut self, start: usize, out: &mut Output) {
        let mut stream = self.picture.data.split_off(start);
        // Instead of its length: the first unit may have no start code.
        stream[..LENGTH].copy_from_slice(&START_CODE);
        for unit in nal::annex_b_units(&stream) {
            self.open_at_end(S::kind(unit[0]));
            self.append(unit, out);
            self.close(out);
        }
    }

    /// What came precedes the slices of its picture.
    fn close_before(&mut self, start: usize) {
        self.may_lack_begin = false;
        if self.picture.has_begun() {
            self.picture.next.get_or_insert(start);
        }
    }

    fn close_slice(&mut self, mut start: usize, slice: Slice, out: &mut Output) {
        let may_lack_begin = std::mem::take(&mut self.may_lack_begin);
        if self.repeats_slice(start) {
            // The camera has sent it twice, and what precedes it.
            let repeated =
                if self.picture.has_slices { self.picture.next.take().unwrap_or(start) } else { 0 };
            return self.picture.data.truncate(repeated);
        }
        if self.picture.has_begun() && slice.first && !self.is_second_field(start) {
            // The next picture, with the timestamp of this one.
            let (timestamp, next) = (self.picture.timestamp, self.picture.next.unwrap_or(start));
            let data = self.picture.data.split_off(next);
            self.finish(out);
            self.picture.data.extend_from_slice(&data);
            self.picture.timestamp = timestamp;
            start -= next;
        } else if self.picture.is_spoiled {
            self.goes_on();
            (self.has_sps, self.recovery) = (false, None);
            return self.picture.spoil();
        } else if !slice.first && !self.picture.has_slices {
            let continues = self.ended_at(self.picture.timestamp).is_some();
            if continues {
                self.markers.refute();
            }
            if continues || may_lack_begin {
                return self.spoil(Fault::Incomplete, out);
            }
        } else {
            self.goes_on();
        }
        self.ended = None;
        self.picture.add_slice(start, slice);
        self.picture.sets = self.sets.current();
        self.picture.has_sps |= std::mem::take(&mut self.has_sps);
        self.picture.recovery = self.recovery.take().or(self.picture.recovery);
    }

    /// Whether the unit at `start` is the last slice again.
    fn repeats_slice(&self, start: usize) -> bool {
        let slice = &self.picture.data[start + LENGTH..];
        if self.picture.has_slices {
            return self.picture.last_slice() == slice;
        }
        self.ended_at(self.picture.timestamp).is_some_and(|ended| ended.ends_with(slice))
    }

    /// The picture goes on: a marker before was wrong.
    pub(super) fn goes_on(&mut self) {
        if std::mem::take(&mut self.picture.is_marked) {
            self.markers.refute();
        }
    }

    /// Whether the slice at `start` begins the second field of the picture's frame. Both fields have one timestamp, and
    /// stay together.
    fn is_second_field(&mut self, start: usize) -> bool {
        if !self.picture.has_slices || self.picture.has_both_fields {
            return false;
        }
        let (Some(sets), slice) = (&self.picture.sets, &self.picture.data[start + LENGTH..]) else {
            return false;
        };
        self.picture.has_both_fields = S::is_second_field(self.picture.first_slice(), slice, sets);
        self.picture.has_both_fields
    }

    /// The picture has ended. Returns its data.
    pub(super) fn finish(&mut self, out: &mut Output) -> Bytes {
        let picture = std::mem::replace(&mut self.picture, Picture::with_capacity(self.capacity));
        if picture.is_marked {
            self.markers.confirm();
        }
        if picture.is_spoiled {
            return Bytes::new();
        }
        let key = picture.is_key(self.without_key);
        self.without_key = if key { 0 } else { self.without_key.saturating_add(1) };
        self.capacity = picture.data.len().min(MAX_RESERVED_BYTES);
        let (timestamp, parameter_sets) = (picture.timestamp, picture.sets.clone());
        let after_loss = std::mem::take(&mut self.has_lost) && self.has_emitted;
        self.has_emitted = true;
        let data = picture.into_data();
        out.units.push_back(Unit {
            timestamp,
            data: data.clone(),
            key,
            after_loss,
            parameter_sets,
            size: None,
        });
        data
    }
}
