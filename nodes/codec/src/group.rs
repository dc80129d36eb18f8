//! The units from one key frame to the next, kept for the pictures that are not decoded yet.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use msight_media::AccessUnit;
use msight_picture::{PendingPicture, Planes};

/// Units that are kept undecoded: more than the 250 from one key frame to the next that x264 makes without a setting.
const MAX_UNITS: usize = 256;
/// Their bytes: as many as wait for a decoder.
const MAX_BYTES: usize = 32 << 20;

/// A group of pictures. Its messages share it, so it is gone with the last message whose picture was not asked for.
#[derive(Default)]
pub(crate) struct Group {
    units: Mutex<Units>,
    is_ended: AtomicBool,
    /// The group that follows without a gap.
    successor: OnceLock<Weak<Self>>,
    /// Why its further pictures cannot be decoded.
    failure: OnceLock<String>,
}

#[derive(Default)]
struct Units {
    /// The number of the first one that is kept.
    first: usize,
    kept: VecDeque<Kept>,
    bytes: usize,
}

struct Kept {
    unit: AccessUnit,
    /// Where its picture goes, if a message has it.
    place: Option<PendingPicture>,
}

impl Group {
    /// Adds the next unit, and returns its number.
    pub(crate) fn push(&self, unit: AccessUnit) -> usize {
        let mut units = self.units();
        units.bytes += unit.data.len();
        units.kept.push_back(Kept { unit, place: None });
        units.first + units.kept.len() - 1
    }

    /// A unit, if it is kept.
    pub(crate) fn unit(&self, number: usize) -> Option<AccessUnit> {
        self.units().kept_mut(number).map(|kept| kept.unit.clone())
    }

    /// The number of the next unit.
    pub(crate) fn end(&self) -> usize {
        let units = self.units();
        units.first + units.kept.len()
    }

    /// The picture of a unit goes to this place.
    pub(crate) fn expect(&self, number: usize, place: PendingPicture) {
        if let Some(kept) = self.units().kept_mut(number) {
            kept.place = Some(place);
        }
    }

    /// Whether a message waits for the picture of a unit.
    pub(crate) fn is_open(&self, number: usize) -> bool {
        self.units().kept_mut(number).is_some_and(|kept| kept.is_open())
    }

    /// Whether no further picture will be decoded: the group has ended, and no message waits for one from this unit on.
    pub(crate) fn is_finished(&self, from: usize) -> bool {
        if !self.is_ended() {
            return false;
        }
        let units = self.units();
        units.kept.iter().skip(from.saturating_sub(units.first)).all(|kept| !kept.is_open())
    }

    /// Fills the place of a decoded picture: that of the last unit before `end` with this presentation time. Returns the
    /// number of that unit.
    pub(crate) fn fill(&self, end: usize, pts: i64, planes: &Planes<'_>) -> Option<usize> {
        let (number, place) = {
            let mut units = self.units();
            let count = end.saturating_sub(units.first);
            let at = units.kept.iter().take(count).rposition(|kept| kept.unit.pts == pts)?;
            (units.first + at, units.kept[at].place.take())
        };
        if let Some(place) = place {
            place.fill(planes);
        }
        Some(number)
    }

    /// The picture of a unit, if a message still waits for it, is not decoded for this reason.
    pub(crate) fn fail(&self, number: usize, reason: &str) {
        let place = self.units().kept_mut(number).and_then(|kept| kept.place.take());
        if let Some(place) = place {
            place.fail(reason);
        }
    }

    /// No further picture can be decoded.
    pub(crate) fn set_failed(&self, reason: String) {
        // The first failure is the cause.
        let _ = self.failure.set(reason);
    }

    /// Why no further picture can be decoded.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// The next group follows without a gap.
    pub(crate) fn set_successor(&self, group: &Arc<Self>) {
        // It has one.
        let _ = self.successor.set(Arc::downgrade(group));
    }

    /// The group that follows without a gap, while it is kept.
    pub(crate) fn successor(&self) -> Option<Arc<Self>> {
        self.successor.get()?.upgrade()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Relaxed)
    }

    /// The next key frame has come, or a loss.
    pub(crate) fn set_ended(&self) {
        self.is_ended.store(true, Ordering::Relaxed);
    }

    /// Whether it has more undecoded units than are kept, or has begun to drop them.
    pub(crate) fn is_long(&self) -> bool {
        let units = self.units();
        units.first > 0 || units.is_over_limit()
    }

    pub(crate) fn is_over_limit(&self) -> bool {
        self.units().is_over_limit()
    }

    /// Drops the units before this one, which are decoded.
    pub(crate) fn drop_before(&self, number: usize) {
        let mut units = self.units();
        while units.first < number
            && let Some(kept) = units.kept.pop_front()
        {
            units.first += 1;
            units.bytes -= kept.unit.data.len();
        }
    }

    fn units(&self) -> MutexGuard<'_, Units> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Units {
    fn kept_mut(&mut self, number: usize) -> Option<&mut Kept> {
        self.kept.get_mut(number.checked_sub(self.first)?)
    }

    fn is_over_limit(&self) -> bool {
        self.kept.len() > MAX_UNITS || self.bytes > MAX_BYTES
    }
}

impl Kept {
    fn is_open(&self) -> bool {
        self.place.as_ref().is_some_and(PendingPicture::is_open)
    }
}
