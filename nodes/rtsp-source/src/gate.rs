//! The key-frame gate: only what can be decoded gets through to the decoder.
//!
//! An inter-coded frame needs every frame since the last key frame (IDR picture, H.264 section 3.69). After a join in
//! mid-stream, a lost packet or a decoder error the frames up to the next key frame would come out as garbage or not at
//! all, so they are left out and counted with the reason.

use std::time::{Duration, Instant};

/// No key frame for so long is worth a word: cameras are set to one in a second or two.
const LONG: Duration = Duration::from_secs(5);
/// From one word to the next.
const AGAIN: Duration = Duration::from_secs(30);

/// Why frames are not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The stream was joined between two key frames.
    NoKeyFrameYet,
    /// The network lost packets.
    PacketLoss,
    /// The decoder reported an error.
    DecodeError,
    /// Frames arrived faster than they could be decoded.
    DecoderSlow,
}

impl Reason {
    /// The value of the metrics label `reason`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::NoKeyFrameYet => "no_key_frame",
            Self::PacketLoss => "packet_loss",
            Self::DecodeError => "decode_error",
            Self::DecoderSlow => "decoder_slow",
        }
    }
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admit {
    /// Decode it.
    Pass,
    /// Leave it out.
    Drop(Reason),
    /// Decode it: the key frame that ends a run of `dropped` frames left out for `reason`.
    Reopened { reason: Reason, dropped: u64 },
}

/// Lets frames through from a key frame until something is lost.
#[derive(Debug)]
pub(crate) struct KeyFrameGate {
    closed: Option<(Reason, u64)>,
}

impl KeyFrameGate {
    /// A closed gate, as a stream is joined.
    pub(crate) fn new() -> Self {
        Self { closed: Some((Reason::NoKeyFrameYet, 0)) }
    }

    /// Something was lost: nothing passes until the next key frame. The first reason of a run stands.
    pub(crate) fn close(&mut self, reason: Reason) {
        self.closed.get_or_insert((reason, 0));
    }

    /// Judges the next frame. `key`: it needs no other frame.
    pub(crate) fn admit(&mut self, key: bool) -> Admit {
        match &mut self.closed {
            None => Admit::Pass,
            Some((reason, dropped)) if key => {
                let reopened = Admit::Reopened { reason: *reason, dropped: *dropped };
                self.closed = None;
                reopened
            }
            Some((reason, dropped)) => {
                *dropped += 1;
                Admit::Drop(*reason)
            }
        }
    }
}

/// When to say that a key frame is still awaited.
#[derive(Debug, Default)]
pub(crate) struct LongWait {
    say_at: Option<Instant>,
}

impl LongWait {
    /// Another frame was left out; whether it is time to say so.
    pub(crate) fn goes_on(&mut self, now: Instant) -> bool {
        let say = now >= *self.say_at.get_or_insert(now + LONG);
        if say {
            self.say_at = Some(now + AGAIN);
        }
        say
    }

    /// The key frame is there.
    pub(crate) fn ends(&mut self) {
        self.say_at = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_for_the_key_frame_and_counts() {
        let mut gate = KeyFrameGate::new();
        assert_eq!(gate.admit(false), Admit::Drop(Reason::NoKeyFrameYet));
        assert_eq!(gate.admit(false), Admit::Drop(Reason::NoKeyFrameYet));
        assert_eq!(gate.admit(true), Admit::Reopened { reason: Reason::NoKeyFrameYet, dropped: 2 });
        assert_eq!(gate.admit(false), Admit::Pass);
        gate.close(Reason::PacketLoss);
        gate.close(Reason::DecodeError);
        assert_eq!(gate.admit(false), Admit::Drop(Reason::PacketLoss));
        assert_eq!(gate.admit(true), Admit::Reopened { reason: Reason::PacketLoss, dropped: 1 });
        assert_eq!(gate.admit(true), Admit::Pass);
    }

    #[test]
    fn a_long_wait_is_said_at_first_and_then_twice_a_minute() {
        let (mut wait, start) = (LongWait::default(), Instant::now());
        let said = |wait: &mut LongWait, seconds: u64| wait.goes_on(start + Duration::from_secs(seconds));
        let times: Vec<u64> = (0..70).filter(|&seconds| said(&mut wait, seconds)).collect();
        assert_eq!(times, [5, 35, 65]);
        wait.ends();
        assert!(!said(&mut wait, 100) && said(&mut wait, 105));
    }

    proptest! {
        #[test]
        fn nothing_passes_between_a_loss_and_the_next_key_frame(events in prop::collection::vec((any::<bool>(), any::<bool>()), 0..200)) {
            let mut gate = KeyFrameGate::new();
            let mut decodable = false;
            for (lost, key) in events {
                if lost {
                    gate.close(Reason::PacketLoss);
                    decodable = false;
                }
                decodable |= key;
                prop_assert_eq!(!matches!(gate.admit(key), Admit::Drop(_)), decodable);
            }
        }
    }
}
