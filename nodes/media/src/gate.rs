//! The key-frame gate in front of a decoder: only units that can be decoded pass.
//!
//! An inter-coded picture needs every picture since the last key frame (IDR picture, ITU-T H.264, section 3.69). After a
//! join in mid-stream, a lost packet or a decoder error, the decoder would turn the units up to the next key frame into
//! garbage or errors. So the gate drops them, with the reason.

use std::time::{Duration, Instant};

/// Wait for a key frame before the first warning. Most cameras send one every second or two.
const FIRST_WARNING: Duration = Duration::from_secs(5);
/// Time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(30);

/// Why access units are dropped before or in the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The stream was joined between two key frames.
    NoKeyFrameYet,
    /// The network lost packets.
    PacketLoss,
    /// The decoder reported an error.
    DecodeError,
    /// Units arrived faster than the decoder took them.
    DecoderSlow,
}

impl DropReason {
    /// The label of the reason in metrics and logs.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NoKeyFrameYet => "no_key_frame",
            Self::PacketLoss => "packet_loss",
            Self::DecodeError => "decode_error",
            Self::DecoderSlow => "decoder_slow",
        }
    }
}

/// What to do with an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Decode it.
    Pass,
    /// Drop it.
    Drop {
        /// Why.
        reason: DropReason,
        /// Units dropped in this run, with this one.
        dropped: u64,
    },
    /// Decode it: it is the key frame that ends a run of dropped units.
    Reopened {
        /// Why the units were dropped.
        reason: DropReason,
        /// Number of units dropped.
        dropped: u64,
    },
}

/// Passes units from a key frame on until data is lost.
#[derive(Debug)]
pub struct KeyFrameGate {
    /// Why the gate is closed, and how many units it has dropped since.
    closed: Option<(DropReason, u64)>,
}

impl KeyFrameGate {
    /// A closed gate: a stream is joined between two key frames.
    #[must_use]
    pub fn new() -> Self {
        Self { closed: Some((DropReason::NoKeyFrameYet, 0)) }
    }

    /// Closes the gate until the next key frame. A gate that is already closed keeps its first reason.
    pub fn close(&mut self, reason: DropReason) {
        self.closed.get_or_insert((reason, 0));
    }

    /// Decides on the next unit. `key`: decoding can start with it.
    pub fn admit(&mut self, key: bool) -> Admission {
        match &mut self.closed {
            None => Admission::Pass,
            Some((reason, dropped)) if key => {
                let reopened = Admission::Reopened { reason: *reason, dropped: *dropped };
                self.closed = None;
                reopened
            }
            Some((reason, dropped)) => {
                *dropped += 1;
                Admission::Drop { reason: *reason, dropped: *dropped }
            }
        }
    }
}

impl Default for KeyFrameGate {
    fn default() -> Self {
        Self::new()
    }
}

/// When to warn that the next key frame is overdue.
#[derive(Debug, Default)]
pub struct KeyFrameWait {
    warn_at: Option<Instant>,
}

impl KeyFrameWait {
    /// Another unit was dropped at `now`. Returns whether a warning is due.
    pub fn unit_dropped(&mut self, now: Instant) -> bool {
        let due = now >= *self.warn_at.get_or_insert(now + FIRST_WARNING);
        if due {
            self.warn_at = Some(now + WARNING_INTERVAL);
        }
        due
    }

    /// The key frame has come.
    pub fn key_frame(&mut self) {
        self.warn_at = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_for_the_key_frame_and_counts() {
        let mut gate = KeyFrameGate::new();
        let dropped = |reason, dropped| Admission::Drop { reason, dropped };
        assert_eq!(gate.admit(false), dropped(DropReason::NoKeyFrameYet, 1));
        assert_eq!(gate.admit(false), dropped(DropReason::NoKeyFrameYet, 2));
        assert_eq!(gate.admit(true), Admission::Reopened { reason: DropReason::NoKeyFrameYet, dropped: 2 });
        assert_eq!(gate.admit(false), Admission::Pass);
        gate.close(DropReason::PacketLoss);
        gate.close(DropReason::DecodeError);
        assert_eq!(gate.admit(false), dropped(DropReason::PacketLoss, 1));
        assert_eq!(gate.admit(true), Admission::Reopened { reason: DropReason::PacketLoss, dropped: 1 });
        assert_eq!(gate.admit(true), Admission::Pass);
    }

    #[test]
    fn a_long_wait_is_due_a_warning_after_5_s_and_then_twice_a_minute() {
        let (mut wait, start) = (KeyFrameWait::default(), Instant::now());
        let warned =
            |wait: &mut KeyFrameWait, seconds: u64| wait.unit_dropped(start + Duration::from_secs(seconds));
        let times: Vec<u64> = (0..70).filter(|&seconds| warned(&mut wait, seconds)).collect();
        assert_eq!(times, [5, 35, 65]);
        wait.key_frame();
        assert!(!warned(&mut wait, 100) && warned(&mut wait, 105));
    }

    proptest! {
        #[test]
        fn nothing_passes_between_a_loss_and_the_next_key_frame(events in prop::collection::vec((any::<bool>(), any::<bool>()), 0..200)) {
            let mut gate = KeyFrameGate::new();
            let mut decodable = false;
            for (lost, key) in events {
                if lost {
                    gate.close(DropReason::PacketLoss);
                    decodable = false;
                }
                decodable |= key;
                prop_assert_eq!(!matches!(gate.admit(key), Admission::Drop { .. }), decodable);
            }
        }
    }
}
