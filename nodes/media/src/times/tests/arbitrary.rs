//! Arbitrary timestamps, arrivals and reports.

use proptest::prelude::*;

use super::*;

proptest! {
    /// Whatever timestamps and arrivals come, capture times are in order, unless an event reports a step; and near arrival
    /// while timestamps are useless.
    #[test]
    fn whatever_comes_time_goes_on(
        frames in prop::collection::vec((any::<u32>(), 0.0f64..0.3), 2..300),
        kind in 0u8..4,
    ) {
        let (mut times, mut now) = (StreamTimes::new(90_000, None), 0.0);
        let (mut high, mut useless) = ((i64::MIN, f64::MIN), None);
        for (i, (rtp, wait)) in frames.into_iter().enumerate() {
            now += wait;
            let rtp = match kind {
                0 => rtp,
                1 => rtp % 90_000,
                2 => rtp % 4 * 3600,
                _ => i as u32 * 9000 + rtp % 18_000,
            };
            let Times { pts, captured, event } = times.frame(rtp, at(now));
            let stepped = matches!(event, Some(ClockEvent::Stepped { .. }));
            if pts > high.0 {
                prop_assert!(captured > high.1 || stepped);
                high = (pts, captured);
            }
            match event {
                Some(ClockEvent::StampsUseless { .. }) => useless = Some(now),
                Some(ClockEvent::StampsUsable) => useless = None,
                _ => {}
            }
            if useless.is_some_and(|since| now > since + 1.0) {
                let off = captured - NOON - now;
                prop_assert!((-MAX_OFF..MAX_OFF).contains(&off), "{off}");
            }
        }
    }

    #[test]
    fn any_time_is_accepted(frames in prop::collection::vec((any::<u32>(), any::<f64>(), any::<f64>(), any::<bool>()), 0..100), rate in any::<u32>()) {
        let mut times = StreamTimes::new(rate, Some(10.0));
        for (rtp, monotonic, wall, report) in frames {
            let arrival = Arrival { monotonic, wall };
            if report {
                let _ = times.report(wall, rtp, arrival);
            }
            let _ = times.frame(rtp, arrival);
        }
    }
}

/// Bound in seconds of capture times from arrival while timestamps are useless: what [`arrival_line`] allows, and what the
/// clock slews slowly.
const MAX_OFF: f64 = arrival_line::MAX_LAG + 2.5;
