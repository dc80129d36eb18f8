//! Units of the tracks beside the leading one go into the segment of their capture time: the open one, the one before, or one
//! that the video has not reached.

use super::{Follower, MAX_LAG, MAX_WAITING_UNITS, Segmenter};
use crate::counts::LeftOut;
use crate::ending::Ending;
use crate::segment::Ended;
use crate::unit::Unit;

impl Segmenter {
    /// A unit of another track than the leading one.
    pub(super) fn follow(&mut self, unit: Unit, ended: &mut Vec<Ended>) {
        if self.is_leader_silent(&unit) {
            self.close_current(Ending::Gap, ended);
            self.leader = None;
            return self.wait(unit, ended);
        }
        if let Some(closing) = &mut self.closing {
            if unit.captured < closing.end {
                return self.follow_previous(unit, ended);
            }
            closing.segment.end_track(&unit);
            closing.behind.retain(|track| *track != unit.track);
            if closing.behind.is_empty() {
                self.close_previous(ended);
            }
        }
        let Some(leader) = &self.leader else { return };
        if unit.captured <= leader.captured {
            return self.follow_current(unit, ended);
        }
        let first = self.ahead.front().map_or(unit.captured, |first| first.captured);
        // A clock that was set back leaves units in front that the video reaches much later.
        let is_far = (unit.captured - first).abs() > MAX_LAG;
        self.ahead.push_back(unit);
        if is_far || self.ahead.len() >= MAX_WAITING_UNITS {
            self.release_ahead(f64::INFINITY, ended);
        }
    }

    /// Whether the leading track has sent nothing for the idle limit, by the times of another track, of which this is the
    /// next unit. A clock that was set is no pause: both of that track's times have to pass.
    fn is_leader_silent(&mut self, unit: &Unit) -> bool {
        let limit = self.idle.seconds(self.cutter.intervals());
        let Some(leader) = &mut self.leader else { return false };
        let since = leader.silent_since.get_or_insert_with(|| Follower {
            track: unit.track.clone(),
            dts: unit.dts,
            captured: unit.captured,
        });
        since.track == unit.track
            && unit.seconds_since(since.dts) > limit
            && unit.captured - since.captured > limit
    }

    /// Sound that was captured before `captured` goes into the open segment.
    pub(super) fn release_ahead(&mut self, captured: f64, ended: &mut Vec<Ended>) {
        while self.ahead.front().is_some_and(|unit| unit.captured < captured) {
            let Some(unit) = self.ahead.pop_front() else { return };
            self.follow_current(unit, ended);
        }
    }

    fn follow_previous(&mut self, unit: Unit, ended: &mut Vec<Ended>) {
        let Some(closing) = &mut self.closing else { return };
        let Some(track) = closing.segment.track_of(&unit) else { return self.leave_out_late(&unit) };
        if let Err(failure) = closing.segment.push(track, unit, self.log.counts()) {
            self.report(&failure);
            self.close_previous(ended);
        }
    }

    fn follow_current(&mut self, unit: Unit, ended: &mut Vec<Ended>) {
        let Some(segment) = &mut self.current else {
            return self.lose_until_key(&unit);
        };
        let track = segment.track_of(&unit).or_else(|| {
            let encoding = self.session.encoding(&unit.track)?.clone();
            segment.add_track(encoding).then(|| segment.track_of(&unit)).flatten()
        });
        match track {
            Some(track) if segment.is_before(track, &unit) => self.log.left_out(LeftOut::BeforeKey, 1),
            Some(track) => self.write(track, unit, ended),
            None => {
                self.cutter.end_soon(Ending::Tracks);
                self.leave_out_late(&unit);
            }
        }
    }

    fn leave_out_late(&mut self, unit: &Unit) {
        let reason = "it began or changed within a segment; it is recorded from the next one on";
        self.log.left_out_track(LeftOut::LateTrack, &unit.track, reason);
    }
}
