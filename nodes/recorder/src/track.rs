//! A track of an open segment.

use std::num::NonZeroU32;

use msight_media::mp4::{self, FragmentSample, TrackFormat, TrackRun};
use msight_media::{Codec, Kind, ParameterSets, h265, nal};
use std::sync::Arc;

use crate::container::Container;
use crate::unit::Unit;

/// The clock of the sound and the capture times may differ by so many seconds from one unit to the next. More is a jump of
/// one of them.
const CLOCK_STEP: f64 = 0.5;
/// Most bytes of an AAC unit in a transport stream: its ADTS header tells the length with its own 7 bytes in 13 bits (ISO/IEC
/// 13818-7, table 8).
const MAX_ADTS_UNIT: usize = (1 << 13) - 1 - 7;
/// Most bytes of an Opus unit there: with its control header it has to fit into a PES packet. Opus has none so long: 48 frames
/// of 1275 bytes (RFC 6716, section 3.4).
const MAX_OPUS_UNIT: usize = 65_000;

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
        // The sets of video decide where its segments are cut.
        let fits_sets = || unit.kind() == Kind::Video || self.sets == unit.sets;
        self.codec == unit.codec && self.rate == unit.rate && fits_sets()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.codec.kind()
    }

    /// Why the container has no form for a unit of the track. `None` if it has one.
    pub(crate) fn misfit(&self, unit: &Unit, container: Container) -> Option<&'static str> {
        if self.sound_sample().is_some_and(|bytes| !unit.data.len().is_multiple_of(bytes)) {
            return Some("uncompressed sound with a part of a sample; correct its source");
        }
        let limit = match (container, self.codec) {
            (Container::Ts, Codec::Aac) => MAX_ADTS_UNIT,
            (Container::Ts, Codec::Opus) => MAX_OPUS_UNIT,
            _ => return None,
        };
        (unit.data.len() > limit)
            .then_some("a unit of sound is too long for a transport stream; correct its source")
    }

    /// Bytes of a sample of all channels of uncompressed sound.
    fn sound_sample(&self) -> Option<usize> {
        let bytes = match self.codec {
            Codec::Pcma | Codec::Pcmu => 1,
            Codec::L16 => 2,
            _ => return None,
        };
        Some((self.channels.unwrap_or(1).max(1) as usize).saturating_mul(bytes))
    }

    /// Ticks that a unit of uncompressed sound lasts.
    fn sound_ticks(&self, unit: &Unit) -> Option<u32> {
        u32::try_from(unit.data.len() / self.sound_sample()?).ok()
    }

    /// Ticks from a unit to the next one. A jump of the clock of the sound, or of its capture times, is no duration.
    fn ticks_between(&self, unit: &Unit, next: &Unit) -> Option<u32> {
        let ticks = next.dts.saturating_sub(unit.dts);
        let (seconds, captured) = (next.seconds_since(unit.dts), next.captured - unit.captured);
        let is_jump = self.kind() != Kind::Video && (seconds - captured).abs() > CLOCK_STEP;
        let by_capture = (captured * f64::from(self.rate.get())).round() as i64;
        let ticks = match ticks {
            ticks if !is_jump || (0..by_capture).contains(&ticks) || by_capture < 0 => ticks,
            _ => by_capture,
        };
        u32::try_from(ticks).ok()
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
        self.end_held(Some(&unit));
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

    /// The latest unit ends where `next` begins, or lasts as long as the one before.
    pub(crate) fn end_held(&mut self, next: Option<&Unit>) {
        let Some(unit) = self.held.take() else { return };
        let until = next.and_then(|next| self.encoding.ticks_between(&unit, next));
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

    /// Units that wait, in decoding order.
    pub(crate) fn units(&self) -> impl Iterator<Item = &Unit> {
        self.ready.iter().map(|(unit, _)| unit).chain(&self.held)
    }

    /// The composition time of the first picture shown, in ticks from the first decoding time. Pictures that are presented
    /// before a key frame and refer to pictures before it (RASL, ITU-T H.265, section 3.119) cannot be decoded, and stay
    /// hidden.
    pub(crate) fn media_time(&self) -> i64 {
        if self.encoding.kind() != Kind::Video {
            return 0;
        }
        let Some(first) = self.units().next() else { return 0 };
        let shown = self.units().filter(|unit| !is_skipped_leading(unit)).map(|unit| unit.pts).min();
        shown.unwrap_or(first.pts).saturating_sub(first.dts).max(0)
    }
}

fn is_skipped_leading(unit: &Unit) -> bool {
    /// RASL_N and RASL_R (ITU-T H.265, table 7-1).
    const SKIPPED: std::ops::RangeInclusive<u8> = 8..=9;
    unit.codec == Codec::H265
        && nal::units(&unit.data)
            .filter_map(|unit| unit.first())
            .any(|&header| SKIPPED.contains(&h265::unit_type(header)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::audio;

    /// The decoding time behind units of sound, whose times are as `change` makes them.
    fn end(change: impl Fn(u64, &mut Unit)) -> u64 {
        let mut track = Track::new(Encoding::of(&audio(0)).unwrap());
        for number in 0..100 {
            let mut unit = audio(number);
            change(number, &mut unit);
            track.push(unit, 0.0);
        }
        track.end_held(None);
        track.next_time
    }

    #[test]
    fn a_jump_of_one_clock_of_sound_is_no_duration() {
        assert_eq!(end(|_, _| {}), 100 * 160);
        for jump in [800_000_000, -800_000] {
            assert_eq!(end(|number, unit| unit.dts += if number < 50 { 0 } else { jump }), 100 * 160);
        }
        for step in [3600.0, -3600.0] {
            assert_eq!(end(|number, unit| unit.captured += if number < 50 { 0.0 } else { step }), 100 * 160);
        }
        let pause = |number, unit: &mut Unit| {
            if number >= 50 {
                (unit.dts, unit.captured) = (unit.dts + 8000, unit.captured + 1.0);
            }
        };
        assert_eq!(end(pause), 100 * 160 + 8000, "a pause of both is one");
    }

    #[test]
    fn a_part_of_a_sample_is_no_sound() {
        let stereo = Unit { codec: Codec::L16, channels: Some(2), ..audio(0) };
        let encoding = Encoding::of(&stereo).unwrap();
        let of = |length: usize| Unit { data: vec![0; length].into(), ..stereo.clone() };
        assert_eq!(encoding.misfit(&of(160), Container::Mp4), None);
        assert!(encoding.misfit(&of(162), Container::Mp4).is_some());
    }

    #[test]
    fn sound_that_a_transport_stream_cannot_hold_is_left_out() {
        let opus = Unit { codec: Codec::Opus, rate: NonZeroU32::new(48_000).unwrap(), ..audio(0) };
        let encoding = Encoding::of(&opus).unwrap();
        let track = msight_media::ts::Track { codec: Codec::Opus, channels: Some(1) };
        for (bytes, fits) in [(MAX_OPUS_UNIT, true), (MAX_OPUS_UNIT + 1, false)] {
            let unit = Unit { data: vec![0; bytes].into(), ..opus.clone() };
            assert_eq!(encoding.misfit(&unit, Container::Ts).is_none(), fits);
            assert_eq!(encoding.misfit(&unit, Container::Mp4), None);
        }
        let mut writer = msight_media::ts::TsWriter::new(&[track]).unwrap();
        let data = vec![0; MAX_OPUS_UNIT];
        let unit = msight_media::Unit { data: &data, parameter_sets: None, pts: 0, dts: 0, key: true };
        assert!(writer.write(0, &unit, &mut Vec::new()).is_ok());
    }
}
