//! A track of an open segment.

use std::num::NonZeroU32;

use msight_media::mp4::{self, FragmentSample, TrackFormat, TrackRun};
use msight_media::{Codec, Kind, ParameterSets};
use std::sync::Arc;

use crate::unit::Unit;

/// How the units of a track are encoded.
#[derive(Debug, Clone)]
pub(crate) struct Encoding {
    pub(crate) track: String,
    pub(crate) codec: Codec,
    pub(crate) rate: NonZeroU32,
    pub(crate) sets: Option<Arc<ParameterSets>>,
    pub(crate) channels: Option<u32>,
    /// In MP4.
    pub(crate) format: TrackFormat,
}

impl Encoding {
    /// Of the track that a unit belongs to.
    ///
    /// # Errors
    /// MP4 has no form for it, or what it needs is missing.
    pub(crate) fn of(unit: &Unit) -> Result<Self, mp4::Error> {
        let sets = unit.sets.as_deref();
        let format = match unit.kind() {
            Kind::Video => TrackFormat::video(unit.codec, sets, &unit.data, unit.size)?,
            _ => TrackFormat::audio(unit.codec, sets, unit.rate, unit.channels.unwrap_or(1))?,
        };
        Ok(Self {
            track: unit.track.clone(),
            codec: unit.codec,
            rate: unit.rate,
            sets: unit.sets.clone(),
            channels: unit.channels,
            format,
        })
    }

    /// Whether a unit of the track is encoded in this way.
    pub(crate) fn fits(&self, unit: &Unit) -> bool {
        let same_sets = match (&self.sets, &unit.sets) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other) || own == other,
            (None, None) => true,
            _ => false,
        };
        // The sets of video decide where its segments are cut.
        self.codec == unit.codec && self.rate == unit.rate && (same_sets || unit.kind() == Kind::Video)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.codec.kind()
    }

    /// Ticks that a unit of uncompressed sound lasts.
    fn sound_ticks(&self, unit: &Unit) -> Option<u32> {
        let bytes = match self.codec {
            Codec::Pcma | Codec::Pcmu => 1,
            Codec::L16 => 2,
            _ => return None,
        };
        let each = bytes * self.channels.unwrap_or(1).max(1) as usize;
        u32::try_from(unit.data.len() / each).ok()
    }
}

/// The units of a track that are not in the file yet.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) encoding: Encoding,
    /// The latest unit, whose duration the next one tells.
    held: Option<Unit>,
    /// Units whose duration is known.
    pub(crate) ready: Vec<(Unit, FragmentSample)>,
    /// Decoding time of the first of `ready`, in ticks from the start of the file. `None` before the first unit.
    pub(crate) run_time: Option<u64>,
    /// Decoding time behind the last of `ready`.
    next_time: u64,
    last_duration: Option<u32>,
}

impl Track {
    pub(crate) fn new(encoding: Encoding) -> Self {
        Self { encoding, held: None, ready: Vec::new(), run_time: None, next_time: 0, last_duration: None }
    }

    /// Adds a unit. `begins` is where the track begins, in seconds from the start of the file, if the unit is its first one.
    pub(crate) fn push(&mut self, unit: Unit, begins: f64) {
        self.end_held(Some(unit.dts));
        if self.run_time.is_none() {
            let ticks = (begins.max(0.0) * f64::from(unit.rate.get())).round();
            (self.run_time, self.next_time) = (Some(ticks as u64), ticks as u64);
        }
        self.held = Some(unit);
    }

    /// Moves where the track begins, before any of it is in the file.
    pub(crate) fn shift(&mut self, seconds: f64) {
        let rate = f64::from(self.encoding.rate.get());
        let shifted = |time: u64| (time as f64 + seconds * rate).round().max(0.0) as u64;
        if let Some(time) = self.run_time {
            self.run_time = Some(shifted(time));
            self.next_time = shifted(self.next_time);
        }
    }

    /// The latest unit ends at `dts`, or lasts as long as the one before.
    pub(crate) fn end_held(&mut self, dts: Option<i64>) {
        let Some(unit) = self.held.take() else { return };
        let until = dts.and_then(|dts| u32::try_from(dts.saturating_sub(unit.dts)).ok());
        let usual = || self.last_duration.unwrap_or(self.encoding.rate.get() / 25);
        let duration = self.encoding.sound_ticks(&unit).or(until).unwrap_or_else(usual);
        self.last_duration = Some(duration);
        self.next_time += u64::from(until.unwrap_or(duration));
        let sample = FragmentSample {
            data: unit.data.clone(),
            duration,
            composition_offset: unit.composition_offset(),
            key: unit.key,
        };
        self.ready.push((unit, sample));
    }

    /// The next run of the track in the file, and its units. `None` without any.
    pub(crate) fn take_run(&mut self, number: usize) -> Option<(TrackRun, Vec<Unit>)> {
        let decode_time = self.run_time.filter(|_| !self.ready.is_empty())?;
        self.run_time = Some(self.next_time);
        let (units, samples) = std::mem::take(&mut self.ready).into_iter().unzip();
        Some((TrackRun { track: number, decode_time, samples }, units))
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        let held = self.held.as_ref().map_or(0, |unit| unit.data.len());
        held + self.ready.iter().map(|(_, sample)| sample.data.len()).sum::<usize>()
    }

    /// Units that wait, in decoding order.
    pub(crate) fn units(&self) -> impl Iterator<Item = &Unit> {
        self.ready.iter().map(|(unit, _)| unit).chain(&self.held)
    }
}
