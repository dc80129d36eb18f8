//! Whether a stream reorders its pictures, if its parameter sets do not say so.

use msight_media::{AccessUnit, Sps};

use crate::intake::can_begin;

/// Units in order after which a stream is taken for one without B-frames: an encoder that uses them does so in the first
/// seconds.
const ENOUGH: u32 = 32;

/// Compares presentation times with the order of the units.
#[derive(Debug, Default)]
pub(crate) struct Reordering {
    last: Option<i64>,
    in_order: u32,
    was_seen: bool,
}

impl Reordering {
    /// Takes the next unit. Returns whether it is shown before an earlier one.
    pub(crate) fn add(&mut self, unit: &AccessUnit) -> bool {
        // No picture is shown before the key frame that precedes it.
        let last = self.last.replace(unit.pts).filter(|_| !can_begin(unit));
        let goes_back = last.is_some_and(|last| unit.pts < last);
        self.was_seen |= goes_back;
        self.in_order = self.in_order.saturating_add(1);
        goes_back
    }

    /// Whether each picture of this stream leaves a decoder before the next one, as far as can be told.
    pub(crate) fn is_absent(&self, sps: &Sps) -> bool {
        sps.reorder_depth == 0 || !sps.states_reordering && !self.was_seen && self.in_order >= ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(pts: i64, key: bool) -> AccessUnit {
        AccessUnit { pts, ..AccessUnit::from_annex_b(&[], key) }
    }

    #[test]
    fn a_stream_that_does_not_state_it_is_watched() {
        // Written by a camera: 1920x1080, main profile, level 4.0, without this information.
        let bare = Sps::parse(&[0x67, 0x4d, 0, 0x28, 0xf2, 0x80, 0xf0, 0x04, 0x4f, 0xca, 0x80]).unwrap();
        let mut reordering = Reordering::default();
        assert!(!reordering.is_absent(&bare));
        assert!((0..40).all(|pts| !reordering.add(&unit(pts, pts % 10 == 0))));
        assert!(reordering.is_absent(&bare));
        assert!(!reordering.add(&unit(43, false)) && reordering.add(&unit(41, false)));
        assert!(!reordering.is_absent(&bare));
    }
}
