//! Times in log lines.

use std::fmt;

use jiff::Timestamp;

/// A time in seconds since 1970, shown in UTC to the millisecond, such as `2026-11-28T06:04:45.357Z`. A time outside the
/// calendar, or that is not a number, is shown as `unknown`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Utc(pub f64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The cast saturates to a time outside of the calendar. It would turn NaN into 1970.
        let milliseconds = (self.0 * 1e3).round() as i64;
        match Timestamp::from_millisecond(milliseconds) {
            Ok(time) if !self.0.is_nan() => write!(f, "{time:.3}"),
            _ => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(Utc(1_795_845_885.357_267_4).to_string(), "2026-11-28T06:04:45.357Z");
        assert_eq!(Utc(0.0).to_string(), "1970-01-01T00:00:00.000Z");
        for time in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert_eq!(Utc(time).to_string(), "unknown", "{time}");
        }
    }
}
