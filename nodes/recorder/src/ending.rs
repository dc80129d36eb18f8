//! Why a segment ends.

/// Why a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It has `--segment-duration`.
    Duration,
    /// It would exceed `--segment-bytes`.
    Bytes,
    /// It has the largest size or length that a segment may have.
    Limit,
    /// The parameter sets have changed.
    ParameterSets,
    /// The stream has another track.
    Tracks,
    /// The camera sent nothing for `--max-gap`, or sound alone for `--idle-timeout`.
    Gap,
    /// The capture times have leapt: a clock was set.
    ClockStep,
    /// Another session with the camera has begun.
    Session,
    /// The recording of an event is complete.
    Event,
    /// The segment's file could not be written.
    Disk,
    /// No unit came for `--idle-timeout`.
    Idle,
    /// The node stops, or the sensor makes room for another one.
    Stop,
    /// The node died while it wrote the segment, and finished it at its next start.
    Recovered,
}

impl Ending {
    /// All of them, for metrics.
    pub(crate) const ALL: [Self; 13] = [
        Self::Duration,
        Self::Bytes,
        Self::Limit,
        Self::ParameterSets,
        Self::Tracks,
        Self::Gap,
        Self::ClockStep,
        Self::Session,
        Self::Event,
        Self::Disk,
        Self::Idle,
        Self::Stop,
        Self::Recovered,
    ];

    /// The name in logs, metrics and the metadata of the segment.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Bytes => "bytes",
            Self::Limit => "limit",
            Self::ParameterSets => "parameter_sets",
            Self::Tracks => "tracks",
            Self::Gap => "gap",
            Self::ClockStep => "clock_step",
            Self::Session => "session",
            Self::Event => "event",
            Self::Disk => "disk",
            Self::Idle => "idle",
            Self::Stop => "stop",
            Self::Recovered => "recovered",
        }
    }
}
