//! Number and time span of lost frames, for reports.

/// The number of lost frames, and the time span of their capture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LostFrames {
    /// Number of frames.
    pub frames: u64,
    /// Capture time of the first frame, in seconds since 1970; not finite if no frame has a valid time.
    pub from: f64,
    /// Capture time of the last frame, in seconds since 1970.
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

    /// The sum of both.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        // `min` and `max` ignore NaN.
        Self {
            frames: self.frames + other.frames,
            from: self.from.min(other.from),
            to: self.to.max(other.to),
        }
    }

    /// Returns the lost frames, if there are any, and resets this value.
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
    /// Sums up frames by their capture times.
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
