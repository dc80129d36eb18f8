//! Why a segment ends.

/// Why a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It has `--buffer-size` frames.
    Full,
    /// It has reached `--max-segment-bytes`.
    Bytes,
    /// The capture times have a gap longer than `--max-gap`.
    Gap,
    /// The capture times went back: a clock was set.
    ClockStep,
    /// The next frame has another size, colour range or colour matrix.
    FrameSize,
    /// The encoder failed and was restarted.
    Encoder,
    /// The segment was copied, and the camera's stream does not continue it: its parameter sets change, units of it are
    /// missing, or a frame of it is left out.
    Stream,
    /// No frame came for `--idle-timeout`.
    Idle,
    /// The node stops, or the sensor makes room for another one.
    Stop,
}

impl Ending {
    /// All of them, for metrics.
    pub(crate) const ALL: [Self; 9] = [
        Self::Full,
        Self::Bytes,
        Self::Gap,
        Self::ClockStep,
        Self::FrameSize,
        Self::Encoder,
        Self::Stream,
        Self::Idle,
        Self::Stop,
    ];

    /// The name in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Bytes => "bytes",
            Self::Gap => "gap",
            Self::ClockStep => "clock_step",
            Self::FrameSize => "frame_size",
            Self::Encoder => "encoder",
            Self::Stream => "stream",
            Self::Idle => "idle",
            Self::Stop => "stop",
        }
    }
}
