//! Recording of events only: a ring of the latest units, and the time until which an event asks for more.

use std::collections::VecDeque;

use msight_media::Kind;

use crate::unit::Unit;

/// Events may come so many seconds after the units of their time.
const MAX_LATE: f64 = 5.0;
/// The clock of an event may be so many seconds ahead of that of the camera. One that is further ahead happens now.
const MAX_AHEAD: f64 = 60.0;
/// Most events in the future that wait.
const MAX_PENDING: usize = 64;
/// Most units that are kept, however small they are.
const MAX_KEPT: usize = 1 << 16;

/// `--pre-record`, `--post-record` and the memory for the first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventRules {
    /// Seconds before an event.
    pub(crate) before: f64,
    /// Seconds after an event.
    pub(crate) after: f64,
    /// Most bytes of units that are kept for the seconds before an event.
    pub(crate) max_bytes: usize,
}

/// What to do with units.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all of them are units")]
pub(crate) enum Step {
    /// The unit is recorded.
    Record(Unit),
    /// The recording ends before the units that follow.
    End,
}

/// Holds units back until an event asks for them.
#[derive(Debug)]
pub(crate) struct EventGate {
    rules: EventRules,
    ring: VecDeque<Unit>,
    bytes: usize,
    has_video: bool,
    /// The recording lasts until a key unit that was captured after this time.
    until: Option<f64>,
    /// Events that no unit has reached.
    pending: Vec<f64>,
    /// Units that no event asked for, since this was last asked.
    left_out: u64,
    /// Whether the memory has not sufficed for the seconds before an event, and whether that is reported.
    is_short: bool,
    is_reported: bool,
}

impl EventGate {
    pub(crate) fn new(rules: EventRules) -> Self {
        Self {
            rules,
            ring: VecDeque::new(),
            bytes: 0,
            has_video: false,
            until: None,
            pending: Vec::new(),
            left_out: 0,
            is_short: false,
            is_reported: false,
        }
    }

    /// An event happened at `time`.
    pub(crate) fn trigger(&mut self, time: f64) {
        if self.pending.len() == MAX_PENDING {
            self.pending.remove(0);
        }
        self.pending.push(time);
    }

    /// Adds a unit. Appends to `steps` what is recorded now.
    pub(crate) fn push(&mut self, unit: Unit, steps: &mut Vec<Step>) {
        let now = unit.captured;
        self.has_video |= unit.kind() == Kind::Video;
        let can_begin = self.is_start(&unit);
        self.take_events(now);
        match self.until {
            Some(until) if now > until && can_begin => {
                self.until = None;
                steps.push(Step::End);
                self.keep(unit);
            }
            Some(_) => {
                self.empty(steps);
                steps.push(Step::Record(unit));
            }
            None => self.keep(unit),
        }
    }

    /// No unit comes now. Appends to `steps` what the events so far ask for.
    pub(crate) fn settle(&mut self, steps: &mut Vec<Step>) {
        let Some(now) = self.ring.back().map(|latest| latest.captured) else { return };
        self.take_events(now);
        if self.until.is_some() {
            self.empty(steps);
        }
    }

    /// Whether the memory does not suffice for the seconds before an event. Tells it once.
    pub(crate) fn is_newly_short(&mut self) -> bool {
        self.is_short && !std::mem::replace(&mut self.is_reported, true)
    }

    /// Units that were left out since this was last asked.
    pub(crate) fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// Units of a session that ended stay for its events, but those of a new one do not continue them.
    pub(crate) fn reset(&mut self, steps: &mut Vec<Step>) {
        if self.until.take().is_some() {
            steps.push(Step::End);
        }
        self.left_out += self.ring.len() as u64;
        self.ring.clear();
        (self.bytes, self.has_video) = (0, false);
    }

    /// Whether a recording can begin with a unit.
    fn is_start(&self, unit: &Unit) -> bool {
        unit.key && (unit.kind() == Kind::Video || !self.has_video)
    }

    /// Begins or extends the recording for the events that the units have reached.
    fn take_events(&mut self, now: f64) {
        let rules = self.rules;
        let oldest = self.ring.front().map_or(now, |oldest| oldest.captured);
        let mut reached = Vec::new();
        self.pending.retain(|&time| {
            let time = if time > now + MAX_AHEAD { now } else { time };
            let is_reached = time - rules.before <= now;
            if is_reached {
                reached.push(time);
            }
            !is_reached
        });
        for time in reached {
            let (from, until) = (time - rules.before, time + rules.after);
            if until < oldest && self.until.is_none() {
                tracing::info!(event = time, "event ignored: it is older than the units that are kept");
                continue;
            }
            if self.until.is_none() {
                self.forget_before(from);
            }
            self.until = Some(self.until.map_or(until, |known| known.max(until)));
        }
    }

    fn keep(&mut self, unit: Unit) {
        let (now, is_start) = (unit.captured, self.is_start(&unit));
        if self.ring.is_empty() && !is_start {
            self.left_out += 1;
            return;
        }
        self.bytes += unit.data.len();
        self.ring.push_back(unit);
        if is_start {
            self.forget_before(now - self.rules.before - MAX_LATE);
        }
        while (self.bytes > self.rules.max_bytes || self.ring.len() > MAX_KEPT) && !self.ring.is_empty() {
            self.forget_first();
            self.is_short |= self.ring.front().is_none_or(|oldest| oldest.captured > now - self.rules.before);
        }
    }

    /// Forgets what is not needed for a recording that begins at a key unit at or before `time`.
    fn forget_before(&mut self, time: f64) {
        while self.second_start().is_some_and(|at| self.ring[at].captured <= time) {
            self.forget_first();
        }
    }

    /// Forgets the units before the second one with which a recording can begin.
    fn forget_first(&mut self) {
        let count = self.second_start().unwrap_or(self.ring.len());
        for unit in self.ring.drain(..count) {
            self.bytes -= unit.data.len();
            self.left_out += 1;
        }
    }

    fn second_start(&self) -> Option<usize> {
        (1..self.ring.len()).find(|&at| self.is_start(&self.ring[at]))
    }

    fn empty(&mut self, steps: &mut Vec<Step>) {
        self.bytes = 0;
        steps.extend(self.ring.drain(..).map(Step::Record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{START, audio, video};

    fn gate(before: f64, after: f64) -> EventGate {
        EventGate::new(EventRules { before, after, max_bytes: 1 << 20 })
    }

    /// Ranges of recorded units of 10 frames a second with a key frame each second, with events at these tenths of a second,
    /// which come with the frame of the other number.
    fn clips(mut gate: EventGate, events: &[(u64, u64)]) -> Vec<Vec<u64>> {
        let (mut clips, mut steps) = (vec![Vec::new()], Vec::new());
        for number in 0..200 {
            for (time, _) in events.iter().filter(|(_, comes)| *comes == number) {
                gate.trigger(START + *time as f64 / 10.0);
            }
            gate.push(video(number, number % 10 == 0), &mut steps);
            for step in steps.drain(..) {
                match step {
                    Step::Record(unit) => clips.last_mut().unwrap().push(unit.sequence),
                    Step::End => clips.push(Vec::new()),
                }
            }
        }
        clips
    }

    #[test]
    fn a_clip_begins_with_the_key_frame_before_the_event_and_ends_before_one() {
        assert_eq!(clips(gate(2.0, 1.0), &[]), [Vec::<u64>::new()]);
        let clip = |from: u64, to: u64| (from..to).collect::<Vec<_>>();
        assert_eq!(clips(gate(2.0, 1.0), &[(55, 57)]), [clip(30, 70), vec![]]);
        assert_eq!(clips(gate(2.0, 1.0), &[(55, 60)]), [clip(30, 70), vec![]], "it may come late");
        assert_eq!(clips(gate(0.0, 1.0), &[(55, 55)]), [clip(50, 70), vec![]]);
        assert_eq!(clips(gate(2.0, 1.0), &[(55, 20)]), [clip(30, 70), vec![]], "or early");
        assert_eq!(clips(gate(30.0, 1.0), &[(55, 57)]), [clip(0, 70), vec![]], "as much as there is");
    }

    #[test]
    fn events_extend_a_clip_and_no_frame_is_in_two() {
        let clip = |from: u64, to: u64| (from..to).collect::<Vec<_>>();
        assert_eq!(clips(gate(2.0, 1.0), &[(55, 57), (63, 64)]), [clip(30, 80), vec![]]);
        assert_eq!(clips(gate(2.0, 1.0), &[(55, 57), (75, 76)]), [clip(30, 70), clip(70, 90), vec![]]);
        assert_eq!(clips(gate(2.0, 1.0), &[(10, 130)]), [Vec::<u64>::new()], "too old");
    }

    #[test]
    fn the_ring_is_bounded_in_bytes_and_what_leaves_it_is_counted() {
        let mut gate = EventGate::new(EventRules { before: 60.0, after: 1.0, max_bytes: 25_000 });
        let mut steps = Vec::new();
        (0..100).for_each(|number| gate.push(video(number, number % 10 == 0), &mut steps));
        assert!(steps.is_empty() && gate.bytes <= 25_000);
        assert_eq!(gate.ring[0].sequence, 80);
        assert_eq!(gate.take_left_out(), 80);
    }

    #[test]
    fn an_event_after_the_last_unit_has_the_seconds_before_it() {
        let (mut gate, mut steps) = (gate(2.0, 1.0), Vec::new());
        (0..100).for_each(|number| gate.push(video(number, number % 10 == 0), &mut steps));
        gate.settle(&mut steps);
        assert!(steps.is_empty(), "no event");
        gate.trigger(START + 10.5);
        gate.settle(&mut steps);
        assert_eq!(steps.len(), 20);
        assert!(matches!(&steps[0], Step::Record(unit) if unit.sequence == 80), "{:?}", steps[0]);
        steps.clear();
        gate.push(video(130, true), &mut steps);
        assert!(matches!(steps[..], [Step::End]), "{steps:?}");
    }

    #[test]
    fn too_little_memory_is_told_once() {
        let (mut gate, mut steps) = (gate(1.0, 1.0), Vec::new());
        let mut told = Vec::new();
        for max_bytes in [1 << 20, 5_000] {
            gate.rules.max_bytes = max_bytes;
            let units = (0..100).map(|number| video(number, number % 10 == 0));
            let count = units.filter(|unit| {
                gate.push(unit.clone(), &mut steps);
                gate.is_newly_short()
            });
            told.push(count.count());
        }
        assert_eq!(told, [0, 1]);
    }

    #[test]
    fn sound_alone_is_recorded_to_the_unit() {
        let (mut gate, mut steps) = (gate(1.0, 1.0), Vec::new());
        (0..200).for_each(|number| gate.push(audio(number), &mut steps));
        gate.trigger(START + 3.9);
        gate.push(audio(200), &mut steps);
        assert!(matches!(&steps[0], Step::Record(unit) if unit.sequence == 145), "{:?}", steps[0]);
    }
}
