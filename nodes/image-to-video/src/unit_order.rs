//! Pictures arrive in presentation order, each with its unit. A B-frame is decoded after a picture that is shown later, so it
//! waits here for the unit of that picture.

use msight_proto::{AccessUnitData, ImageData, Sample};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Most pictures that a decoder holds back (ITU-T H.264, A.3.1: `max_dec_frame_buffering`), and therefore most that wait.
pub(crate) const MOST_HELD_BACK: usize = 16;

/// A unit and when it was captured.
pub(crate) type CapturedUnit = (Arc<AccessUnitData>, f64);
/// A picture with its unit.
#[derive(Debug)]
pub(crate) struct PictureOfUnit {
    pub(crate) message: Sample<()>,
    pub(crate) image: ImageData,
    pub(crate) unit: Arc<AccessUnitData>,
}

/// The pictures of one sensor that wait for units.
#[derive(Debug, Default)]
pub(crate) struct UnitOrder {
    session: Option<String>,
    /// The unit that is decoded next.
    next: u64,
    /// The session has B-frames, as far as decoding times show.
    reorders: bool,
    /// Units that arrived before one which is decoded earlier.
    ahead: BTreeMap<u64, CapturedUnit>,
    waiting: VecDeque<PictureOfUnit>,
}

/// What can go on: units in decoding order, and then pictures in presentation order.
#[derive(Debug, Default)]
pub(crate) struct Released {
    pub(crate) units: Vec<CapturedUnit>,
    pub(crate) pictures: Vec<PictureOfUnit>,
}

impl UnitOrder {
    /// Adds a picture. Returns what need not wait any more. Where the unit is of another session, [`flush`](Self::flush)
    /// first.
    pub(crate) fn add(&mut self, picture: PictureOfUnit) -> Released {
        let unit = Arc::clone(&picture.unit);
        if self.is_other_session(&unit) {
            *self = Self { session: Some(unit.session.clone()), next: unit.sequence, ..Self::default() };
        }
        self.reorders |= unit.dts != unit.pts;
        if unit.key {
            // Units before a key frame that have not come are missing.
            self.next = self.next.max(unit.sequence);
        }
        self.ahead.insert(unit.sequence, (unit, picture.message.head.capture_timestamp));
        self.waiting.push_back(picture);
        let mut released = Released::default();
        self.release(&mut released);
        while !self.ahead.is_empty() && (!self.reorders || self.waiting.len() > MOST_HELD_BACK) {
            // The missing unit does not come any more.
            self.next = self.ahead.keys().next().copied().unwrap_or(self.next);
            self.release(&mut released);
        }
        released
    }

    /// Whether the unit begins another session.
    pub(crate) fn is_other_session(&self, unit: &AccessUnitData) -> bool {
        self.session.as_deref() != Some(&unit.session)
    }

    /// Returns all that waits.
    pub(crate) fn flush(&mut self) -> Released {
        let units = std::mem::take(&mut self.ahead).into_values().collect::<Vec<_>>();
        self.next = units.last().map_or(self.next, |(last, _)| last.sequence.saturating_add(1));
        Released { units, pictures: self.waiting.drain(..).collect() }
    }

    /// Releases the units that are next, and the pictures whose units were released.
    fn release(&mut self, released: &mut Released) {
        while let Some(first) = self.ahead.first_entry()
            && *first.key() <= self.next
        {
            self.next = first.key().saturating_add(1).max(self.next);
            released.units.push(first.remove());
        }
        while let Some(picture) = self.waiting.front()
            && picture.unit.sequence < self.next
        {
            released.pictures.extend(self.waiting.pop_front());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_stream::{numbers, unit};
    use msight_proto::Head;

    fn add(order: &mut UnitOrder, unit: AccessUnitData) -> (Vec<u64>, Vec<u64>) {
        let message = Sample::new(Head::new(None, 0.0), ());
        numbers(&order.add(PictureOfUnit { message, image: ImageData::default(), unit: Arc::new(unit) }))
    }

    #[test]
    fn b_frames_wait_for_the_picture_that_they_refer_to() {
        let mut order = UnitOrder::default();
        assert_eq!(add(&mut order, unit(0, 0, -1, true)), (vec![0], vec![0]));
        assert_eq!(add(&mut order, unit(2, 1, 0, false)), (vec![], vec![]));
        assert_eq!(add(&mut order, unit(3, 2, 1, false)), (vec![], vec![]));
        assert_eq!(add(&mut order, unit(1, 3, 0, false)), (vec![1, 2, 3], vec![2, 3, 1]));
        assert_eq!(add(&mut order, unit(5, 4, 3, false)), (vec![], vec![]));
        assert_eq!(numbers(&order.flush()), (vec![5], vec![5]));
    }

    #[test]
    fn without_b_frames_no_picture_waits_for_a_missing_unit() {
        let mut order = UnitOrder::default();
        for sequence in [0, 1, 3, 4, 8] {
            let pts = i64::try_from(sequence).unwrap();
            assert_eq!(
                add(&mut order, unit(sequence, pts, pts, sequence == 0)),
                (vec![sequence], vec![sequence])
            );
        }
    }

    #[test]
    fn a_missing_unit_holds_back_a_bounded_number_of_pictures() {
        let mut order = UnitOrder::default();
        add(&mut order, unit(0, 0, -1, true));
        let waits =
            (2..40).take_while(|&k| add(&mut order, unit(k, k as i64, k as i64 - 1, false)).1.is_empty());
        assert_eq!(waits.count(), MOST_HELD_BACK);
        assert_eq!(order.waiting.len(), 0);
    }
}
