//! What of a sensor's units is recorded: every unit once, in order, from a key unit on.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use msight_media::{Kind, ParameterSets};

use crate::unit::Unit;

/// Earlier sessions that are remembered, to recognise a second source.
const REMEMBERED_SESSIONS: usize = 16;
/// Most tracks of a session.
const MAX_TRACKS: usize = 16;
/// More units than this cannot be missing between two of a track: days of video.
const MAX_MISSING: u64 = 1 << 24;
/// So many units in a row with old numbers and new capture times are no repetition.
const MAX_REPEATED: u32 = 50;

/// Why a unit is not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// Its container has no place for metadata.
    Metadata,
    /// It is of a second video track.
    FurtherVideo,
    /// It came before the first key unit of its track: the node has joined in mid-stream.
    BeforeKey,
    /// It was recorded already.
    Repeated,
    /// Its number was recorded already, as those of many units before it, but their capture times are new.
    Stuck,
    /// Its number is far from those of its track.
    Malformed,
    /// Units before it were lost, so that it cannot be decoded.
    AfterLoss,
    /// It belongs to a session that another one has followed: two sources have one sensor name.
    SecondSource,
}

/// The continuity of the tracks of one sensor.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    session: Option<String>,
    earlier: VecDeque<String>,
    tracks: HashMap<String, Track>,
}

#[derive(Debug, Default)]
struct Track {
    /// The next number that continues the track.
    next: u64,
    /// Why units wait for a key unit.
    waits: Option<Refusal>,
    /// Units lost since the last admitted one.
    lost: u64,
    /// The latest capture time of an admitted or lost unit.
    captured: f64,
    /// Units in a row with old numbers and new capture times.
    repeated: u32,
    sets: Option<Arc<ParameterSets>>,
    size: Option<(u32, u32)>,
    channels: Option<u32>,
}

impl Intake {
    /// Admits a unit, with what is known of its track.
    ///
    /// # Errors
    /// It is not recorded.
    pub(crate) fn admit(&mut self, mut unit: Unit) -> Result<Unit, Refusal> {
        self.follow_session(&unit.session)?;
        if unit.kind() == Kind::Metadata {
            return Err(Refusal::Metadata);
        }
        // From the second one on, a number follows.
        if unit.kind() == Kind::Video && unit.track != Kind::Video.name() {
            return Err(Refusal::FurtherVideo);
        }
        if !self.tracks.contains_key(&unit.track) {
            if self.tracks.len() == MAX_TRACKS {
                return Err(Refusal::SecondSource);
            }
            let first = Track { next: unit.sequence, waits: Some(Refusal::BeforeKey), ..Track::default() };
            self.tracks.insert(unit.track.clone(), first);
        }
        let Some(track) = self.tracks.get_mut(&unit.track) else { return Err(Refusal::Repeated) };
        let Some(missing) = unit.sequence.checked_sub(track.next) else { return Err(track.repeated(&unit)) };
        if missing > MAX_MISSING {
            return Err(Refusal::Malformed);
        }
        track.next = unit.sequence.saturating_add(1);
        (track.captured, track.repeated) = (unit.captured, 0);
        if missing > 0 {
            track.lost = track.lost.saturating_add(missing);
            track.waits.get_or_insert(Refusal::AfterLoss);
        }
        track.describe(&mut unit);
        match track.waits {
            Some(why) if !unit.key => {
                track.lost = track.lost.saturating_add(u64::from(why == Refusal::AfterLoss));
                Err(why)
            }
            _ => {
                track.waits = None;
                unit.lost_before = unit.lost_before.max(std::mem::take(&mut track.lost));
                Ok(unit)
            }
        }
    }

    fn follow_session(&mut self, session: &str) -> Result<(), Refusal> {
        if self.session.as_deref() == Some(session) {
            return Ok(());
        }
        if self.earlier.iter().any(|earlier| earlier == session) {
            return Err(Refusal::SecondSource);
        }
        if let Some(ended) = self.session.replace(session.to_owned()) {
            self.earlier.truncate(REMEMBERED_SESSIONS - 1);
            self.earlier.push_front(ended);
        }
        self.tracks.clear();
        Ok(())
    }
}

impl Track {
    /// Why a unit whose number is not new is refused.
    fn repeated(&mut self, unit: &Unit) -> Refusal {
        if unit.captured > self.captured {
            self.repeated = self.repeated.saturating_add(1);
            if self.repeated == MAX_REPEATED {
                return Refusal::Stuck;
            }
        }
        Refusal::Repeated
    }

    /// Completes what a unit says of its track by what the units before it said.
    fn describe(&mut self, unit: &mut Unit) {
        // Equal sets stay the same `Arc`.
        if unit.sets.is_some() && unit.sets != self.sets {
            self.sets.clone_from(&unit.sets);
        }
        unit.sets = self.sets.clone();
        self.size = unit.size.or(self.size);
        unit.size = self.size;
        self.channels = unit.channels.or(self.channels);
        unit.channels = self.channels;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{audio, video};
    use proptest::prelude::*;

    #[test]
    fn units_are_recorded_once_and_from_a_key_unit_on() {
        let mut intake = Intake::default();
        let mut admit = |unit: Unit| intake.admit(unit).map(|unit| unit.lost_before);
        assert_eq!(admit(video(5, false)), Err(Refusal::BeforeKey));
        assert_eq!(admit(audio(9)), Ok(0));
        assert_eq!(admit(video(6, true)), Ok(0));
        assert_eq!(admit(video(6, true)), Err(Refusal::Repeated));
        assert_eq!(admit(video(8, false)), Err(Refusal::AfterLoss));
        assert_eq!(admit(video(9, true)), Ok(2), "one was lost on the way, and one refused");
        assert_eq!(admit(audio(12)), Ok(2));
    }

    #[test]
    fn a_session_that_comes_back_is_a_second_source() {
        let mut intake = Intake::default();
        let admit = |session: &str| {
            let session = session.to_owned();
            intake.admit(Unit { session, ..video(0, true) }).map(drop)
        };
        assert_eq!(
            ["a", "b", "a", "c", "b"].map(admit),
            [Ok(()), Ok(()), Err(Refusal::SecondSource), Ok(()), Err(Refusal::SecondSource)]
        );
    }

    #[test]
    fn a_number_far_away_does_not_silence_its_track() {
        let mut intake = Intake::default();
        assert!(intake.admit(video(5, true)).is_ok());
        let far = Unit { sequence: u64::MAX, ..video(6, true) };
        assert_eq!(intake.admit(far).map(drop), Err(Refusal::Malformed));
        assert!(intake.admit(video(6, false)).is_ok());
    }

    #[test]
    fn old_numbers_with_new_times_are_reported_once() {
        let mut intake = Intake::default();
        assert!(intake.admit(Unit { sequence: 1_000, ..video(0, true) }).is_ok());
        let refusals: Vec<_> =
            (1..500).filter_map(|number| intake.admit(video(number, true)).map(drop).err()).collect();
        assert_eq!(refusals.len(), 499);
        assert_eq!(refusals.iter().filter(|refusal| **refusal == Refusal::Stuck).count(), 1);
        let again = (0..500).filter_map(|_| intake.admit(video(0, true)).map(drop).err());
        assert!(again.into_iter().all(|refusal| refusal == Refusal::Repeated));
    }

    proptest! {
        #[test]
        fn what_is_admitted_can_be_decoded(lost in prop::collection::vec(any::<bool>(), 1..100), gop in 1..10_u64) {
            let (mut intake, mut last) = (Intake::default(), None);
            for (number, _) in (0..).zip(&lost).filter(|(_, lost)| !**lost) {
                let unit: u64 = number;
                let key = unit.is_multiple_of(gop);
                if intake.admit(video(unit, key)).is_ok() {
                    prop_assert!(key || last == Some(unit - 1), "unit {unit} after {last:?}");
                    last = Some(unit);
                }
            }
        }
    }
}
