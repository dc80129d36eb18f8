//! Which frames were lost, for reports.

/// Frames that were lost together: how many, and from when to when they were captured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LostFrames {
    /// How many.
    pub frames: u64,
    /// Capture time of the first one, in seconds since 1970; not finite if no frame has a valid time.
    pub from: f64,
    /// Capture time of the last one.
    pub to: f64,
}

impl LostFrames {
    /// No frames.
    pub const NONE: Self = Self { frames: 0, from: f64::INFINITY, to: f64::NEG_INFINITY };

    /// One frame, captured at this time.
    #[must_use]
    pub fn one(captured: f64) -> Self {
        Self { frames: 1, from: captured, to: captured }
    }

    /// The frames of both.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        // `min` and `max` ignore what is not a number.
        Self {
            frames: self.frames + other.frames,
            from: self.from.min(other.from),
            to: self.to.max(other.to),
        }
    }

    /// Takes the frames out, if there are any.
    pub fn take(&mut self) -> Option<Self> {
        let lost = std::mem::replace(self, Self::NONE);
        (lost.frames > 0).then_some(lost)
    }
}

impl Default for LostFrames {
    fn default() -> Self {
        Self::NONE
    }
}

impl FromIterator<f64> for LostFrames {
    /// From the capture times of the frames.
    fn from_iter<I: IntoIterator<Item = f64>>(times: I) -> Self {
        times.into_iter().fold(Self::NONE, |sum, time| sum.merge(Self::one(time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_span_is_from_the_first_to_the_last_valid_time() {
        let mut lost: LostFrames = [7.0, f64::NAN, 6.0, 8.0].into_iter().collect();
        assert_eq!(lost.take(), Some(LostFrames { frames: 4, from: 6.0, to: 8.0 }));
        assert_eq!((lost.take(), lost), (None, LostFrames::default()));
    }
}
