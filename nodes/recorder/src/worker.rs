//! The work of one sensor's thread: access units in, published segments out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use msight_media::Kind;
use msight_node::Context;
use msight_node::metrics::Metric;
use msight_node::sensors::{AfterTimeout, SensorLoss, SensorWork, ThreadPublisher, label};
use msight_proto::{AccessUnitData, LossSpan, Sample, VideoData};
use tracing::{error, warn};

use crate::counts::{Counts, LeftOut, Lost};
use crate::ending::Ending;
use crate::events::{EventGate, Step};
use crate::files::Files;
use crate::intake::{Intake, Refusal};
use crate::metrics;
use crate::publication::SegmentPublisher;
use crate::segment::Ended;
use crate::segmenter::{Segmenter, SensorIdentity};
use crate::sensor_log::report;
use crate::settings::Settings;
use crate::sound::{Sound, SoundConverter};
use crate::start::{Interrupted, Start};
use crate::triggers::Triggers;
use crate::unit::{Unit, Unusable};

/// So often an idle sensor looks for events, which no unit comes with.
const EVENT_INTERVAL: Duration = Duration::from_secs(1);

/// Shared by all threads.
#[derive(Clone)]
pub(crate) struct Shared {
    /// The node around them.
    pub(crate) cx: Context,
    pub(crate) settings: Arc<Settings>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) files: Files,
    /// Only events are recorded. `None` without `--trigger-topic`.
    pub(crate) triggers: Option<Triggers>,
    /// The sensors whose segments the start found unfinished.
    pub(crate) interrupted: Interrupted,
}

/// Records one sensor.
pub(crate) struct Worker {
    name: Option<String>,
    shared: Shared,
    publisher: SegmentPublisher,
    intake: Intake,
    start: Start,
    sound: SoundConverter,
    gate: Option<EventGate>,
    /// Number of the latest event seen.
    seen: u64,
    session: String,
    segmenter: Segmenter,
    idle: Idle,
    /// When the last unit was admitted.
    admitted: Instant,
    /// When the segment ended for want of units.
    ended: Instant,
}

/// What has happened since the last admitted unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Idle {
    Active,
    /// What waited was written.
    Flushed,
    /// The segment has ended.
    Ended,
}

impl SensorWork for Worker {
    type In = AccessUnitData;
    type Out = VideoData;
    type Shared = Shared;
    const THREAD: &'static str = "recorder";
    const UNNAMED: Metric = metrics::UNNAMED;

    fn open(name: Option<String>, shared: &Shared, out: ThreadPublisher<VideoData>) -> Result<Self> {
        let settings = &shared.settings;
        let identity = SensorIdentity { sensor: name.clone(), device: shared.cx.device().to_owned() };
        let files = shared.files.clone();
        let segmenter = Segmenter::new(
            identity,
            settings.cuts,
            settings.writing,
            settings.idle,
            files.clone(),
            label(name.as_deref()),
            Arc::clone(&shared.counts),
        );
        Ok(Self {
            publisher: SegmentPublisher { cx: shared.cx.clone(), out, files },
            start: Start::new(name.clone(), shared.interrupted.clone()),
            name,
            intake: Intake::default(),
            sound: SoundConverter::default(),
            gate: shared.triggers.is_some().then(|| EventGate::new(settings.events)),
            seen: 0,
            session: String::new(),
            segmenter,
            idle: Idle::Active,
            admitted: Instant::now(),
            ended: Instant::now(),
            shared: shared.clone(),
        })
    }

    fn sample(&mut self, sample: Sample<AccessUnitData>, _: u64) {
        let captured = sample.head.capture_timestamp;
        let log = self.segmenter.log();
        let unit = match Unit::of(sample) {
            Ok(unit) => unit,
            Err(Unusable::Codec) => {
                let reason = "this version does not know its codec";
                return log.left_out_track(LeftOut::Codec, "of an unknown codec", reason);
            }
            Err(Unusable::Malformed) => {
                let reason = "a unit has no rate or no capture time; correct its source";
                return log.lost(Lost::Malformed, LossSpan::one(captured), reason);
            }
        };
        let track = unit.track.clone();
        let mut unit = match self.intake.admit(unit) {
            Ok(unit) => unit,
            Err(refusal) => return self.refuse(refusal, &track, captured),
        };
        if unit.kind() == Kind::Video {
            self.start.begin(&mut unit, label(self.name.as_deref()));
        }
        (self.idle, self.admitted) = (Idle::Active, Instant::now());
        match self.sound.convert(unit, self.shared.settings.audio, label(self.name.as_deref())) {
            Sound::AsItIs(unit) => self.record(unit),
            Sound::Units(units) => {
                self.shared.counts.left_out(LeftOut::Converted, 1);
                units.into_iter().for_each(|unit| self.record(unit));
            }
            Sound::LeftOut => self.shared.counts.left_out(LeftOut::Audio, 1),
        }
    }

    fn timeout(&self) -> Duration {
        let left = self.left();
        if self.gate.is_some() { left.min(EVENT_INTERVAL) } else { left }
    }

    fn timed_out(&mut self) -> AfterTimeout {
        self.settle();
        let is_due = self.left().is_zero();
        let mut ended = Vec::new();
        match self.idle {
            Idle::Active if is_due => {
                self.segmenter.flush(&mut ended);
                self.idle = Idle::Flushed;
            }
            Idle::Flushed if is_due => {
                self.sound.finish().into_iter().for_each(|unit| self.record(unit));
                self.segmenter.end(Ending::Idle, &mut ended);
                (self.idle, self.ended) = (Idle::Ended, Instant::now());
            }
            Idle::Ended if is_due => {
                self.forget_kept();
                return AfterTimeout::Forget;
            }
            // What an event has asked for meanwhile is complete.
            Idle::Ended => self.segmenter.end(Ending::Idle, &mut ended),
            Idle::Active | Idle::Flushed => {}
        }
        self.publish(ended);
        AfterTimeout::Keep
    }

    fn finish(&mut self) {
        self.sound.finish().into_iter().for_each(|unit| self.record(unit));
        self.settle();
        let mut ended = Vec::new();
        self.segmenter.end(Ending::Stop, &mut ended);
        self.forget_kept();
        self.publish(ended);
    }

    fn count_unnamed(shared: &Shared) {
        shared.counts.unnamed();
    }

    fn count_lost(shared: &Shared, why: SensorLoss, units: u64) {
        let why = match why {
            SensorLoss::TooSlow => Lost::TooSlow,
            SensorLoss::TooManySensors { .. } => Lost::Sensors,
            SensorLoss::Stopped | SensorLoss::Failed => Lost::Stopped,
        };
        shared.counts.lost(why, units);
    }

    fn report_lost(sensor: &str, lost: LossSpan, why: SensorLoss) {
        let reason = match why {
            SensorLoss::TooSlow => "units come faster than the disk or the bus takes them",
            SensorLoss::TooManySensors { active } => {
                let reason = format!("{active} other sensors are active; raise --max-sensors");
                return report(sensor, lost, reason);
            }
            SensorLoss::Stopped => "the node stopped before they were recorded",
            SensorLoss::Failed => "the sensor's thread failed",
        };
        report(sensor, lost, reason);
    }
}

impl Worker {
    /// Time until something is due because no unit comes.
    fn left(&self) -> Duration {
        let settings = &self.shared.settings;
        let fragment = Duration::try_from_secs_f64(settings.writing.fragment.max(0.2)).unwrap_or_default();
        let idle = settings.idle.seconds(self.segmenter.intervals());
        let idle = Duration::try_from_secs_f64(idle).unwrap_or(Duration::MAX);
        // Units that are refused do not keep a segment open.
        let passed = self.admitted.elapsed();
        match self.idle {
            Idle::Active => fragment.saturating_sub(passed),
            Idle::Flushed => idle.saturating_sub(passed),
            Idle::Ended => settings.forget.saturating_sub(self.ended.elapsed()),
        }
    }

    /// Records a unit, or keeps it for an event.
    fn record(&mut self, unit: Unit) {
        let Some(gate) = &mut self.gate else {
            let mut ended = Vec::new();
            self.segmenter.push(unit, &mut ended);
            return self.publish(ended);
        };
        let mut steps = Vec::new();
        let triggers = self.shared.triggers.as_ref();
        let mut events =
            triggers.map_or_else(Vec::new, |triggers| triggers.take(self.name.as_deref(), &mut self.seen));
        if self.session != unit.session {
            self.session.clone_from(&unit.session);
            // The units of the session before are for the events so far, which may go on in this one.
            events.iter().for_each(|time| gate.trigger(*time));
            gate.settle(&mut steps);
            gate.reset(&mut steps);
            events.retain(|time| time + self.shared.settings.events.after >= unit.captured);
        }
        events.into_iter().for_each(|time| gate.trigger(time));
        gate.push(unit, &mut steps);
        if gate.is_newly_short() {
            warn!(
                sensor = label(self.name.as_deref()),
                "the units before an event exceed their memory; raise --pre-record-bytes, or lower --pre-record"
            );
        }
        self.take(steps);
    }

    /// Records what events so far ask for, while no unit comes.
    fn settle(&mut self) {
        let (Some(gate), Some(triggers)) = (&mut self.gate, &self.shared.triggers) else { return };
        let mut steps = Vec::new();
        let events = triggers.take(self.name.as_deref(), &mut self.seen);
        events.into_iter().for_each(|time| gate.trigger(time));
        gate.settle(&mut steps);
        self.take(steps);
    }

    /// No unit follows those that are kept: what no event has asked for is left out.
    fn forget_kept(&mut self) {
        self.settle();
        let mut steps = Vec::new();
        self.gate.iter_mut().for_each(|gate| gate.reset(&mut steps));
        self.take(steps);
    }

    fn take(&mut self, steps: Vec<Step>) {
        let mut ended = Vec::new();
        for step in steps {
            match step {
                Step::Record(unit) => self.segmenter.push(unit, &mut ended),
                Step::End => self.segmenter.end(Ending::Event, &mut ended),
            }
        }
        let left_out = self.gate.as_mut().map_or(0, EventGate::take_left_out);
        self.shared.counts.left_out(LeftOut::NoEvent, left_out);
        self.publish(ended);
    }

    fn publish(&mut self, ended: Vec<Ended>) {
        let label = label(self.name.as_deref());
        ended.into_iter().for_each(|segment| self.publisher.publish(segment, label, &self.shared.counts));
    }

    fn refuse(&mut self, refusal: Refusal, track: &str, captured: f64) {
        let log = self.segmenter.log();
        let lost = LossSpan::one(captured);
        match refusal {
            Refusal::Metadata => {
                log.left_out_track(LeftOut::Metadata, track, "segments have no place for metadata");
            }
            Refusal::FurtherVideo => {
                log.left_out_track(LeftOut::FurtherVideo, track, "segments have one video track");
            }
            Refusal::BeforeKey if self.start.before_key(captured) => {
                self.shared.counts.lost(Lost::AfterRestart, 1);
            }
            Refusal::BeforeKey => log.left_out(LeftOut::BeforeKey, 1),
            Refusal::Repeated => log.left_out(LeftOut::Repeated, 1),
            Refusal::Stuck => {
                log.left_out(LeftOut::Repeated, 1);
                error!(
                    sensor = log.label(),
                    track,
                    "units left out: their numbers are old, and their times are new; restart the source"
                );
            }
            Refusal::Malformed => {
                let reason = "a unit's number is far from those before it; correct its source";
                log.lost(Lost::Malformed, lost, reason);
            }
            Refusal::AfterLoss => {
                let reason = "units before them were lost on the way, so that they cannot be decoded";
                log.lost(Lost::AfterLoss, lost, reason);
            }
            Refusal::SecondSource => {
                let reason = "a second source publishes this sensor name; give each source its own --sensor-name (msight \
                              status lists the sources)";
                log.lost(Lost::SecondSource, lost, reason);
            }
        }
    }
}
