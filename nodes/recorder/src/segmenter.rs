//! The units of one sensor become segments: each unit goes into one of them, and none into two.

mod endings;
mod followers;

use std::collections::VecDeque;
use std::sync::Arc;

use msight_media::Kind;
use msight_media::intervals::{FrameIntervals, PauseLimit};
use msight_proto::{LossSpan, Receipt};

use crate::counts::{Counts, LeftOut, Lost};
use crate::cuts::{CutRules, Cutter, Verdict};
use crate::ending::Ending;
use crate::files::Files;
use crate::origin::Origin;
use crate::segment::{Ended, Segment, WriteRules};
use crate::sensor_log::SensorLog;
use crate::session::Session;
use crate::track::Encoding;
use crate::unit::Unit;

/// At the start of a session, so many seconds of video are awaited for other tracks to begin.
const WAIT_FOR_SOUND: f64 = 1.0;
/// So many seconds of sound are awaited for video to begin.
const WAIT_FOR_VIDEO: f64 = 2.0;
/// Bytes of units that wait for one of the two.
const MAX_WAITING: usize = 16 << 20;
/// Most units that wait for one of the two, and most that wait for the video to reach their time.
const MAX_WAITING_UNITS: usize = 1 << 12;
/// Sound may be so many seconds behind or ahead of the video.
const MAX_LAG: f64 = 2.0;

/// Where segments come from.
#[derive(Debug, Clone)]
pub(crate) struct SensorIdentity {
    pub(crate) sensor: Option<String>,
    pub(crate) device: String,
}

/// Makes the segments of one sensor.
pub(crate) struct Segmenter {
    identity: SensorIdentity,
    rules: WriteRules,
    /// Without a unit of the leading track for so long, the others are recorded without it.
    idle: PauseLimit,
    files: Files,
    log: SensorLog,
    cutter: Cutter,
    session: Session,
    /// The track that decides where segments begin. `None` until it is known.
    leader: Option<Leader>,
    /// Units that came before it was known.
    waiting: Vec<Unit>,
    current: Option<Segment>,
    /// The segment before, which waits for the last of its sound.
    closing: Option<Closing>,
    /// Sound that was captured after the video that has come so far.
    ahead: VecDeque<Unit>,
    /// Why there is no open segment: units are lost until the next key unit.
    lost_until_key: Option<(Lost, String)>,
    /// Units of the leading track that were lost since the last segment.
    lost: u64,
}

#[derive(Debug, Clone)]
struct Leader {
    track: String,
    kind: Kind,
    /// The latest capture time of its units.
    captured: f64,
    /// The first unit of another track that came after its latest one.
    silent_since: Option<Follower>,
}

/// A unit of another track than the leading one.
#[derive(Debug, Clone)]
struct Follower {
    track: String,
    dts: i64,
    captured: f64,
}

struct Closing {
    segment: Segment,
    ending: Ending,
    /// The capture time at which the next one begins.
    end: f64,
    /// The tracks that have not come so far.
    behind: Vec<String>,
}

impl Segmenter {
    pub(crate) fn new(
        identity: SensorIdentity,
        cuts: CutRules,
        rules: WriteRules,
        idle: PauseLimit,
        files: Files,
        label: &str,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            identity,
            rules,
            idle,
            files,
            log: SensorLog::new(label, counts),
            cutter: Cutter::new(cuts),
            session: Session::default(),
            leader: None,
            waiting: Vec::new(),
            current: None,
            closing: None,
            ahead: VecDeque::new(),
            lost_until_key: None,
            lost: 0,
        }
    }

    pub(crate) fn log(&mut self) -> &mut SensorLog {
        &mut self.log
    }

    /// The usual interval between units of the leading track.
    pub(crate) fn intervals(&self) -> &FrameIntervals {
        self.cutter.intervals()
    }

    /// Adds a unit. Appends the segments that end to `ended`.
    pub(crate) fn push(&mut self, unit: Unit, ended: &mut Vec<Ended>) {
        if unit.session != self.session.id() {
            self.end(Ending::Session, ended);
            self.session = Session::new(unit.session.clone());
        }
        if let Err(reason) = self.session.note(&unit, self.rules.container) {
            return self.log.left_out_track(LeftOut::Codec, &unit.track, &reason);
        }
        let misfit = |encoding: &Encoding| encoding.misfit(&unit, self.rules.container);
        if let Some(reason) = self.session.encoding(&unit.track).and_then(misfit) {
            unit.receipt.iter().for_each(Receipt::abandon);
            return self.log.lost(Lost::Malformed, LossSpan::one(unit.captured), reason);
        }
        match &self.leader {
            None => self.wait(unit, ended),
            Some(leader) if unit.track == leader.track => self.lead(unit, ended),
            // The first key frame of video that begins, or goes on, later than sound.
            Some(leader) if unit.kind() == Kind::Video && leader.kind != Kind::Video => {
                if !unit.key {
                    return self.lose_until_key(&unit);
                }
                self.close_current(Ending::Tracks, ended);
                self.set_leader(&unit);
                self.lead(unit, ended);
            }
            Some(_) => self.follow(unit, ended),
        }
    }

    /// No unit has come for a while: writes what waits.
    pub(crate) fn flush(&mut self, ended: &mut Vec<Ended>) {
        self.release_ahead(f64::INFINITY, ended);
        if let Some(segment) = &mut self.current
            && let Err(failure) = segment.flush(self.log.counts())
        {
            self.fail(failure, ended);
        }
    }

    /// Ends the open segment.
    pub(crate) fn end(&mut self, why: Ending, ended: &mut Vec<Ended>) {
        if self.leader.is_none() && !self.waiting.is_empty() {
            self.choose_leader(ended);
        }
        self.close_current(why, ended);
        self.leader = None;
        self.lost_until_key = (why == Ending::Idle).then(|| {
            let reason = "its segment had ended before it came, because nothing came for --idle-timeout; raise it if the bus \
                          or the source may pause for longer";
            (Lost::AfterIdle, reason.to_owned())
        });
    }

    /// Units that wait for the leading track to be known.
    fn wait(&mut self, unit: Unit, ended: &mut Vec<Ended>) {
        let newest = unit.captured;
        let is_video = |unit: &Unit| unit.kind() == Kind::Video;
        if is_video(&unit) && !unit.key && !self.waiting.iter().any(is_video) {
            // Video goes on after a pause.
            return self.lose_until_key(&unit);
        }
        self.waiting.push(unit);
        let first = |is_video: bool| {
            let mut units = self.waiting.iter().filter(|unit| (unit.kind() == Kind::Video) == is_video);
            units.next().map(|unit| newest - unit.captured)
        };
        let is_known = match (first(true), first(false)) {
            (Some(_), Some(_)) => true,
            (Some(video), None) => video >= WAIT_FOR_SOUND,
            (None, Some(sound)) => sound >= WAIT_FOR_VIDEO,
            (None, None) => false,
        };
        let bytes: usize = self.waiting.iter().map(|unit| unit.data.len()).sum();
        if is_known || bytes > MAX_WAITING || self.waiting.len() >= MAX_WAITING_UNITS {
            self.choose_leader(ended);
        }
    }

    /// The video leads, or the first track of sound.
    fn choose_leader(&mut self, ended: &mut Vec<Ended>) {
        let units = std::mem::take(&mut self.waiting);
        let video = units.iter().position(|unit| unit.kind() == Kind::Video);
        let Some(first) = units.get(video.unwrap_or(0)) else { return };
        let begins = first.captured;
        self.set_leader(first);
        let (leading, others): (Vec<_>, Vec<_>) =
            units.into_iter().partition(|unit| self.leader.as_ref().is_some_and(|l| l.track == unit.track));
        // In the order of capture, so that each follows the leader's units of its time.
        let mut others: VecDeque<_> = others.into();
        for unit in leading {
            let captured = unit.captured;
            self.lead(unit, ended);
            while others.front().is_some_and(|other| other.captured <= captured) {
                let Some(other) = others.pop_front() else { break };
                if other.captured < begins {
                    self.log.left_out(LeftOut::BeforeKey, 1);
                } else {
                    self.follow(other, ended);
                }
            }
        }
        others.into_iter().for_each(|other| self.follow(other, ended));
    }

    fn set_leader(&mut self, unit: &Unit) {
        self.leader = Some(Leader {
            track: unit.track.clone(),
            kind: unit.kind(),
            captured: f64::NEG_INFINITY,
            silent_since: None,
        });
    }

    /// A unit of the leading track.
    fn lead(&mut self, unit: Unit, ended: &mut Vec<Ended>) {
        self.release_ahead(unit.captured, ended);
        if let Some(leader) = &mut self.leader {
            leader.captured = leader.captured.max(unit.captured);
            leader.silent_since = None;
        }
        let bytes = self.current.as_ref().map_or(0, Segment::bytes);
        match self.cutter.decide(&unit, bytes) {
            Verdict::Continue => self.continue_with(unit, ended),
            Verdict::Cut(why) => self.cut(unit, why, ended),
            Verdict::Break(why) => {
                self.close_current(why, ended);
                // The clock may have gone back.
                self.leader.iter_mut().for_each(|leader| leader.captured = unit.captured);
                self.begin(unit, ended);
            }
            Verdict::Overflow => {
                self.close_current(Ending::Limit, ended);
                let reason = "no key frame came before the segment had its largest size; set a shorter interval \
                              between key frames in the camera, or raise --segment-bytes";
                self.lost_until_key = Some((Lost::TooLong, reason.to_owned()));
                self.lose_until_key(&unit);
            }
        }
        let (leader, closing) = (self.leader.as_ref(), self.closing.as_ref());
        if leader.zip(closing).is_some_and(|(leader, closing)| leader.captured - closing.end > MAX_LAG) {
            self.close_previous(ended);
        }
    }

    fn continue_with(&mut self, unit: Unit, ended: &mut Vec<Ended>) {
        let Some(segment) = &mut self.current else {
            return if unit.key { self.begin(unit, ended) } else { self.lose_until_key(&unit) };
        };
        let Some(track) = segment.track_of(&unit) else {
            // The codec has changed without a key unit.
            self.cutter.end_soon(Ending::ParameterSets);
            let reason = "its encoding has changed between key frames";
            return self.log.lost(Lost::Mux, LossSpan::one(unit.captured), reason);
        };
        self.write(track, unit, ended);
    }

    /// Adds a unit to a track of the open segment.
    fn write(&mut self, track: usize, unit: Unit, ended: &mut Vec<Ended>) {
        let Some(segment) = &mut self.current else { return };
        match segment.push(track, unit, self.log.counts()) {
            Ok(true) => self.files.worked(),
            Ok(false) => {}
            Err(failure) => self.fail(failure, ended),
        }
    }

    /// Begins a segment with a key unit of the leading track.
    fn begin(&mut self, unit: Unit, ended: &mut Vec<Ended>) {
        let origin = Origin {
            sensor: self.identity.sensor.clone(),
            device: self.identity.device.clone(),
            start: unit.captured,
            session: unit.session.clone(),
            frames_lost_before: unit.lost_before.saturating_add(std::mem::take(&mut self.lost)),
        };
        let sink = match self.files.create(&origin) {
            Ok(sink) => sink,
            Err(error) => {
                self.files.failed(&error.to_string());
                self.lost_until_key = Some((Lost::Disk, error.to_string()));
                return self.lose_until_key(&unit);
            }
        };
        self.lost_until_key = None;
        self.log.counts().begun();
        self.cutter.begin(&unit);
        let encodings = self.session.encodings(&unit.track, unit.captured);
        self.current = Some(Segment::open(self.rules, sink, origin, &unit, encodings));
        self.continue_with(unit, ended);
    }

    /// Begins a segment that continues the open one. That one waits for its last sound.
    fn cut(&mut self, unit: Unit, why: Ending, ended: &mut Vec<Ended>) {
        self.close_previous(ended);
        if let Some(mut segment) = self.current.take() {
            segment.end_track(&unit);
            let behind = self.session.behind(&unit.track, unit.captured);
            self.closing = Some(Closing { segment, ending: why, end: unit.captured, behind });
        }
        self.begin(unit, ended);
        if self.closing.as_ref().is_some_and(|closing| closing.behind.is_empty()) {
            self.close_previous(ended);
        }
    }

    fn lose_until_key(&mut self, unit: &Unit) {
        let lost = LossSpan::one(unit.captured);
        unit.receipt.iter().for_each(Receipt::abandon);
        match self.lost_until_key.clone() {
            Some((why, reason)) => {
                self.lost += 1;
                self.log.lost(why, lost, reason);
            }
            None => self.log.left_out(LeftOut::BeforeKey, 1),
        }
    }
}

#[cfg(test)]
mod tests;
