//! Limits the log lines about an outage: one when it begins, one every 30 s while it lasts, and one when it ends.

use std::time::{Duration, Instant};

/// Decides which failures and recoveries of one peer (a server, a camera) are logged.
///
/// A failure within 30 s of a logged one is counted, and reported with the next line. If it lasts for 2 s, it gets a
/// line of its own. So a peer that fails and recovers repeatedly causes two lines in 30 s.
#[derive(Debug, Default)]
pub struct OutageLimit {
    /// When the current outage began.
    began: Option<Instant>,
    /// Whether a line has reported the current outage.
    is_reported: bool,
    /// When the last line about a failure was logged.
    logged: Option<Instant>,
    /// Outages that began since that line.
    outages: u64,
    /// Failed attempts since that line.
    attempts: u64,
}

/// A line to log about an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutageLine {
    /// Duration of the outage so far, or in total.
    pub lasted: Duration,
    /// Whether this is the first line about the outage.
    pub is_first: bool,
    /// Outages since the previous line, including this one if the line reports its beginning.
    pub outages: u64,
    /// Failed attempts since the previous line, including this one.
    pub attempts: u64,
}

impl OutageLimit {
    /// Time between two lines about failures.
    const INTERVAL: Duration = Duration::from_secs(30);
    /// An outage of this duration has a line of its own.
    const NOTABLE: Duration = Duration::from_secs(2);

    /// Counts a failure of the peer.
    pub fn failed(&mut self, now: Instant) -> Option<OutageLine> {
        self.count_failure(false, now)
    }

    /// As [`failed`](Self::failed), for another cause than that of the previous line: it is always logged.
    pub fn failed_otherwise(&mut self, now: Instant) -> Option<OutageLine> {
        self.count_failure(true, now)
    }

    /// Ends the outage. Returns the line for the end of an outage whose beginning was logged.
    pub fn recovered(&mut self, now: Instant) -> Option<OutageLine> {
        let lasted = now.saturating_duration_since(self.began.take()?);
        std::mem::take(&mut self.is_reported).then_some(OutageLine {
            lasted,
            is_first: false,
            outages: self.outages,
            attempts: self.attempts,
        })
    }

    /// Whether the peer fails now.
    pub fn is_down(&self) -> bool {
        self.began.is_some()
    }

    fn count_failure(&mut self, is_new: bool, now: Instant) -> Option<OutageLine> {
        self.attempts += 1;
        self.outages += u64::from(self.began.is_none());
        let began = *self.began.get_or_insert(now);
        let lasted = now.saturating_duration_since(began);
        let is_due = self.logged.is_none_or(|logged| now.saturating_duration_since(logged) >= Self::INTERVAL);
        if !(is_due || is_new || (!self.is_reported && lasted >= Self::NOTABLE)) {
            return None;
        }
        self.logged = Some(now);
        let is_first = !std::mem::replace(&mut self.is_reported, true);
        let (outages, attempts) = (std::mem::take(&mut self.outages), std::mem::take(&mut self.attempts));
        Some(OutageLine { lasted, is_first, outages, attempts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_outage_is_logged_at_its_beginning_twice_a_minute_and_at_its_end() {
        let (mut outage, start) = (OutageLimit::default(), Instant::now());
        let logged = (0..=65).filter(|second| outage.failed(start + Duration::from_secs(*second)).is_some());
        assert_eq!(logged.collect::<Vec<_>>(), [0, 30, 60]);
        let end = outage.recovered(start + Duration::from_secs(66)).unwrap();
        assert_eq!((end.lasted.as_secs(), outage.is_down()), (66, false));
        assert_eq!(outage.recovered(start + Duration::from_secs(67)), None);
    }

    #[test]
    fn a_flapping_peer_causes_two_lines_in_half_a_minute() {
        let (mut outage, start) = (OutageLimit::default(), Instant::now());
        let mut lines = Vec::new();
        for second in 0..90 {
            let now = start + Duration::from_secs(second);
            lines.extend(outage.failed(now).map(|line| (second, line.outages)));
            lines.extend(outage.recovered(now + Duration::from_millis(300)).map(|_| (second, 0)));
        }
        assert_eq!(lines, [(0, 1), (0, 0), (30, 30), (30, 0), (60, 30), (60, 0)]);
    }

    #[test]
    fn a_second_outage_that_lasts_has_its_own_lines() {
        let (mut outage, start) = (OutageLimit::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(outage.failed(at(0)).unwrap().is_first);
        assert!(outage.recovered(at(1)).is_some());
        assert_eq!(outage.failed(at(5)), None);
        let line = outage.failed(at(7)).unwrap();
        assert!(line.is_first && line.lasted.as_secs() == 2 && line.attempts == 2);
        assert!(outage.failed(at(8)).is_none());
        assert!(outage.failed_otherwise(at(9)).is_some_and(|line| !line.is_first));
        assert!(outage.recovered(at(10)).is_some());
    }
}
