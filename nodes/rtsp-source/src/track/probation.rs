//! Senders whose packets do not continue a stream, until enough of their packets follow each other.
//!
//! A sender is on probation (RFC 3550, appendix A.1) because the camera has begun another sequence, because it leaves
//! packets out, or because its packets do not belong to the stream.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use msight_rtp::Packet;

/// Maximum number of other senders that are remembered: those on probation, and those of whose packets one did not
/// belong to the stream.
const MAX_SENDERS: usize = 8;
/// A sender of such a packet takes over the stream after this many packets in a row.
pub(super) const TAKEOVER: u32 = 100;
/// Packets follow each other if their numbers increase by at most this: more are not left out at every packet.
const MAX_STEP: u16 = 100;
/// Number of packets in a row that show how the numbers of a sender increase, if not by 1.
pub(super) const MIN_SEQUENTIAL: u32 = 4;
/// Another sender takes over only after the sender of the stream was silent for this long.
const SILENCE: Duration = Duration::from_millis(500);
/// Limits on the packets that wait: more than a camera sends in the time of [`SILENCE`].
const MAX_PACKETS: usize = 2048;
const MAX_BYTES: usize = 4 << 20;

/// A packet that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) number: u16,
    pub(crate) bytes: Box<[u8]>,
    /// The difference from the number of the packet before it, if its sender has sent one.
    pub(crate) step: Option<u16>,
}

impl Waiting {
    fn follows(&self) -> bool {
        self.step.is_some_and(|step| step <= MAX_STEP)
    }
}

/// A sender on probation, with its last packets.
#[derive(Debug)]
struct Candidate {
    sender: u32,
    packets: VecDeque<Waiting>,
    /// Number of packets that followed each other.
    run: u32,
}

/// The senders on probation beside a stream.
#[derive(Debug, Default)]
pub(crate) struct Probation {
    candidates: VecDeque<Candidate>,
    bytes: usize,
    /// Senders of packets that did not belong to the stream.
    strangers: VecDeque<u32>,
    /// When the stream went on for the last time, if it ever did.
    heard: Option<Instant>,
    strays: u64,
}

impl Probation {
    /// The stream of this sender has gone on: what waits does not belong to it.
    pub(crate) fn confirm(&mut self, current: u32, now: Instant) {
        self.heard = Some(now);
        self.bytes = 0;
        for candidate in std::mem::take(&mut self.candidates) {
            self.strays += candidate.packets.len() as u64;
            if candidate.sender != current && !self.is_stranger(candidate.sender) {
                if self.strangers.len() == MAX_SENDERS {
                    self.strangers.pop_front();
                }
                self.strangers.push_back(candidate.sender);
            }
        }
    }

    /// Takes a packet that does not continue the stream, whose sender and last number are `current`. Returns the packets
    /// that continue it or begin another sequence, once enough of them follow each other.
    pub(crate) fn push(
        &mut self,
        header: &Packet<'_>,
        bytes: &[u8],
        current: (u32, u16),
        now: Instant,
    ) -> Option<VecDeque<Waiting>> {
        let (sender, number) = (header.ssrc, header.sequence);
        let place = self.candidates.iter().position(|candidate| candidate.sender == sender);
        let mut candidate =
            place.and_then(|at| self.candidates.remove(at)).unwrap_or_else(|| Candidate::new(sender));
        let before = candidate.packets.back().map(|packet| packet.number);
        let before = before.or((sender == current.0).then_some(current.1));
        let step = before.map(|before| number.wrapping_sub(before));
        let packet = Waiting { number, bytes: bytes.into(), step };
        if !candidate.packets.is_empty() && !packet.follows() {
            candidate.run = 0;
            self.discard(&mut candidate, 0);
        }
        candidate.run += 1;
        self.bytes += packet.bytes.len();
        candidate.packets.push_back(packet);
        if self.passes(&candidate, step, current.0, now) {
            self.bytes -= candidate.packets.iter().map(|packet| packet.bytes.len()).sum::<usize>();
            self.strangers.retain(|stranger| *stranger != sender);
            return Some(candidate.packets);
        }
        self.discard(&mut candidate, MAX_PACKETS);
        self.candidates.push_back(candidate);
        while self.candidates.len() > MAX_SENDERS || self.bytes > MAX_BYTES {
            let Some(mut oldest) = self.candidates.pop_front() else { break };
            self.discard(&mut oldest, 0);
        }
        None
    }

    /// Whether the packets of a sender are the stream from now on.
    fn passes(&self, candidate: &Candidate, step: Option<u16>, current: u32, now: Instant) -> bool {
        let is_silent = self.heard.is_none_or(|heard| now.saturating_duration_since(heard) >= SILENCE);
        let needed = match step {
            _ if self.is_stranger(candidate.sender) => TAKEOVER,
            Some(1) => 2,
            // A stream whose numbers increase does not begin to repeat one of them.
            Some(0) if self.heard.is_some() => TAKEOVER,
            _ => MIN_SEQUENTIAL,
        };
        candidate.run >= needed && (candidate.sender == current || is_silent)
    }

    /// Discards the first packets of a sender, so that `left` are left.
    fn discard(&mut self, candidate: &mut Candidate, left: usize) {
        let count = candidate.packets.len().saturating_sub(left);
        for packet in candidate.packets.drain(..count) {
            self.bytes -= packet.bytes.len();
            self.strays += 1;
        }
    }

    /// Whether a packet of this sender did not belong to the stream.
    pub(crate) fn is_stranger(&self, sender: u32) -> bool {
        self.strangers.contains(&sender)
    }

    /// The last packet of a sender.
    pub(crate) fn last(&self, sender: u32) -> Option<&Waiting> {
        self.candidates.iter().find(|candidate| candidate.sender == sender)?.packets.back()
    }

    /// The stream of this sender has ended: returns its packets that wait, if they follow.
    pub(crate) fn finish(&mut self, current: u32) -> VecDeque<Waiting> {
        self.bytes = 0;
        let mut last = VecDeque::new();
        for candidate in std::mem::take(&mut self.candidates) {
            if candidate.sender == current && candidate.packets.front().is_some_and(Waiting::follows) {
                last = candidate.packets;
            } else {
                self.strays += candidate.packets.len() as u64;
            }
        }
        last
    }

    /// Number of packets since the last call that did not belong to the stream.
    pub(crate) fn take_strays(&mut self) -> u64 {
        std::mem::take(&mut self.strays)
    }
}

impl Candidate {
    fn new(sender: u32) -> Self {
        Self { sender, packets: VecDeque::new(), run: 0 }
    }
}
