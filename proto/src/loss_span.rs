//! Number and time span of lost data, for reports.

/// The number of lost frames or messages, and the time span of their capture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossSpan {
    /// Number of frames or messages.
    pub count: u64,
    /// The first capture time, in seconds since 1970; not finite if none is valid.
    pub from: f64,
    /// The last capture time, in seconds since 1970.
    pub to: f64,
}

impl LossSpan {
    /// No loss.
    pub const NONE: Self = Self { count: 0, from: f64::INFINITY, to: f64::NEG_INFINITY };

    /// One frame, captured at this time.
    #[must_use]
    pub fn one(captured: f64) -> Self {
        Self::of_message((captured, captured))
    }

    /// One message with data captured from one time to another.
    #[must_use]
    pub fn of_message((from, to): (f64, f64)) -> Self {
        Self { count: 1, from, to }
    }

    /// The sum of both.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        // `min` and `max` ignore NaN.
        Self { count: self.count + other.count, from: self.from.min(other.from), to: self.to.max(other.to) }
    }

    /// Returns the loss, if there is one, and resets this value.
    pub fn take(&mut self) -> Option<Self> {
        let lost = std::mem::replace(self, Self::NONE);
        (lost.count > 0).then_some(lost)
    }
}

impl Default for LossSpan {
    fn default() -> Self {
        Self::NONE
    }
}

impl FromIterator<f64> for LossSpan {
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
        let mut lost: LossSpan = [7.0, f64::NAN, 6.0, 8.0].into_iter().collect();
        assert_eq!(lost.take(), Some(LossSpan { count: 4, from: 6.0, to: 8.0 }));
        assert_eq!((lost.take(), lost), (None, LossSpan::default()));
    }
}
