//! The node's settings, as parsed from its flags.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use msight_media::intervals::PauseLimit;
use msight_node::flags::CommonFlags;
use msight_node::sensors::SensorLimits;
use msight_node::{Result, bail};

use crate::cuts::{CutRules, MAX_SECONDS};
use crate::events::EventRules;
use crate::message_size::{MAX_OPEN_SEGMENT, MAX_SEGMENT};
use crate::segment::WriteRules;
use crate::sound::AudioMode;
use crate::{Flags, TRIGGERS};

/// The default of `--pre-record-bytes`.
const DEFAULT_PRE_RECORD: u64 = 64 << 20;
/// The default of `--segment-bytes` with a spool folder.
const DEFAULT_BYTES: u64 = 4 << 30;
/// A segment in memory has room for the index of so many seconds, so that the room does not take the place of its video.
const MAX_SECONDS_IN_MEMORY: f64 = 600.0;
/// Time from the end of an idle sensor's segment until the sensor is forgotten.
const FORGET: Duration = Duration::from_secs(60);

/// The settings of all sensors.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) cuts: CutRules,
    pub(crate) writing: WriteRules,
    pub(crate) audio: AudioMode,
    pub(crate) spool: Option<PathBuf>,
    /// Used with `--trigger-topic` only.
    pub(crate) events: EventRules,
    /// The flags for events that were given, which need a topic of events.
    event_flags: Vec<&'static str>,
    pub(crate) idle: PauseLimit,
    pub(crate) forget: Duration,
    pub(crate) limits: SensorLimits,
}

/// `--segment-duration`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum SegmentDuration {
    Seconds(f64),
    None,
}

/// Parses seconds, or `none`.
pub(crate) fn segment_duration(text: &str) -> Result<SegmentDuration, String> {
    if text == "none" {
        return Ok(SegmentDuration::None);
    }
    let seconds = text.parse().ok().filter(|seconds| (0.1..=MAX_DAY).contains(seconds));
    let invalid = || format!("'{text}' is neither 0.1 to 86400 seconds nor none");
    seconds.map(SegmentDuration::Seconds).ok_or_else(invalid)
}

const MAX_DAY: f64 = 86_400.0;

/// Parses a number of bytes, greater than zero: 4000000, 4M, 30MiB.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    match text.trim().parse::<ByteSize>() {
        Ok(bytes) if bytes.as_u64() > 0 => Ok(bytes.as_u64()),
        _ => Err(format!("'{text}' is not a positive number of bytes; write it as 4000000, 4M or 4MiB")),
    }
}

impl msight_node::Settings for Settings {
    type Flags = Flags;

    fn parse(flags: Flags) -> Result<Self> {
        let in_range = |flag: &str, seconds: f64, from: f64, to: f64| {
            if (from..=to).contains(&seconds) {
                return Ok(seconds);
            }
            bail!("{flag} {seconds} is out of range: {from} to {to} seconds")
        };
        let pause = |flag: &str, seconds: Option<f64>, least: f64| match seconds {
            None => Ok(PauseLimit::AtLeast(least)),
            Some(seconds) => in_range(flag, seconds, 0.1, 43_200.0).map(PauseLimit::Exactly),
        };
        let duration = match flags.segment_duration {
            SegmentDuration::Seconds(seconds) => Some(seconds),
            SegmentDuration::None => None,
        };
        if flags.align_to_clock && duration.is_none() {
            bail!("--align-to-clock needs a --segment-duration, which segments begin at multiples of");
        }
        let has_spool = flags.spool.is_some();
        if !has_spool {
            if let Some(bytes) = flags.segment_bytes.filter(|bytes| *bytes > MAX_SEGMENT) {
                bail!(
                    "--segment-bytes {bytes} is above 25 MiB, and Redis delivers messages of up to 28 MiB; add --spool DIR, so \
                     that segments stay in files, or lower it"
                );
            }
            if duration.is_none() {
                bail!(
                    "--segment-duration none does not fit into a message; add --spool DIR, so that segments stay in files, or \
                     set a duration"
                );
            }
        }
        let bytes = flags.segment_bytes.unwrap_or(if has_spool { DEFAULT_BYTES } else { MAX_SEGMENT });
        let max_bytes = if has_spool { bytes.saturating_mul(2) } else { MAX_OPEN_SEGMENT };
        let longest = if has_spool { MAX_SECONDS } else { MAX_SECONDS_IN_MEMORY };
        let fragment = in_range("--fragment-duration", flags.fragment_duration, 0.02, 60.0)?;
        let before = in_range("--pre-record", flags.pre_record.unwrap_or(0.0), 0.0, 3600.0)?;
        let after = in_range("--post-record", flags.post_record.unwrap_or(10.0), 0.0, MAX_DAY)?;
        let event_flags = [
            ("--pre-record", flags.pre_record.is_some()),
            ("--post-record", flags.post_record.is_some()),
            ("--pre-record-bytes", flags.pre_record_bytes.is_some()),
        ];
        let pre_record_bytes = flags.pre_record_bytes.unwrap_or(DEFAULT_PRE_RECORD);
        Ok(Self {
            cuts: CutRules {
                duration,
                align: flags.align_to_clock,
                bytes,
                max_bytes,
                max_gap: pause("--max-gap", flags.max_gap, 2.0)?,
            },
            writing: WriteRules {
                container: flags.container,
                fragment,
                sync: flags.sync == Sync::Fragment,
                // Key frames may come late.
                room: duration.unwrap_or(longest).min(longest) * 1.2 + 20.0,
            },
            audio: flags.audio,
            spool: flags.spool,
            events: EventRules {
                before,
                after,
                max_bytes: usize::try_from(pre_record_bytes).unwrap_or(usize::MAX),
            },
            event_flags: event_flags
                .into_iter()
                .filter(|(_, is_given)| *is_given)
                .map(|(flag, _)| flag)
                .collect(),
            idle: pause("--idle-timeout", flags.idle_timeout, 15.0)?,
            forget: FORGET,
            limits: SensorLimits { sensors: flags.max_sensors.into(), samples: flags.sensor_queue.into() },
        })
    }

    fn check(&self, common: &CommonFlags) -> Result<()> {
        let has_triggers = common.further_topic(TRIGGERS.port()).is_some();
        if let Some(flag) = self.event_flags.first().filter(|_| !has_triggers) {
            bail!(
                "{flag} needs --trigger-topic, which names the topic of the events; add --trigger-topic NAME, or leave out \
                 {}",
                self.event_flags.join(" and ")
            );
        }
        // Before the node registers; the rest shows when the folder is created.
        let existing = self.spool.iter().flat_map(|spool| spool.ancestors()).find(|path| path.exists());
        if let Some(file) = existing.filter(|path| !path.is_dir()) {
            bail!("--spool leads through {}, which is not a folder; correct the path", file.display());
        }
        let gap = common.gap();
        if !matches!(gap, 0 | -1) {
            bail!(
                "--gap {gap} skips access units, without which the others cannot be decoded; leave it out, and lower the frame \
                 rate of the camera"
            );
        }
        Ok(())
    }
}

/// `--sync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sync {
    /// After each fragment: a power cut loses at most the last one
    Fragment,
    /// At the end of a segment: a power cut may lose what the system has not written by itself
    Segment,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        assert_eq!(segment_duration("none"), Ok(SegmentDuration::None));
        assert_eq!(segment_duration("0.5"), Ok(SegmentDuration::Seconds(0.5)));
        for text in ["", "0", "-1", "nan", "inf", "1e9", "None "] {
            assert!(segment_duration(text).is_err(), "{text}");
        }
        assert_eq!(bytes("2MiB"), Ok(2 << 20));
        assert!(bytes("0").is_err());
    }
}
