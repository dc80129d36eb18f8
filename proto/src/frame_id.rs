//! Frame ids in MSight's snowflake layout.

use std::fmt;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The id of one frame: `unix_ms << 22 | worker << 12 | sequence` (41, 10 and 12 bits), as in
/// `msight_core/data/base.py`.
///
/// The ids of one process are unique and increase. MSight uses `pid % 1024` as the worker, which is 1 in every
/// container. Here the worker and the first sequence number of each millisecond are random, so that two processes do
/// not make the same ids.
///
/// Python may send any MessagePack integer, -2^63 ..= 2^64 - 1. It is kept unchanged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(i128);

impl FrameId {
    /// A new id. It is greater than every earlier id of this process, even if the clock steps back.
    pub fn next() -> Self {
        static LAST: Mutex<Generator> = Mutex::new(Generator { unix_ms: 0, sequence: 0 });
        static WORKER: OnceLock<u64> = OnceLock::new();
        let worker = *WORKER.get_or_init(|| fastrand::u64(..1 << WORKER_BITS));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        // No code panics while it holds the lock, so a poisoned generator is still consistent.
        let mut last = LAST.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        last.advance(now, || fastrand::u64(..FIRST_SEQUENCES));
        Self::from(last.unix_ms << (WORKER_BITS + SEQUENCE_BITS) | worker << SEQUENCE_BITS | last.sequence)
    }

    /// The id as an integer of MessagePack's range, -2^63 ..= 2^64 - 1.
    pub fn get(self) -> i128 {
        self.0
    }
}

const WORKER_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;
/// The first sequence number of a millisecond is below this, which leaves 2048 ids for each millisecond.
const FIRST_SEQUENCES: u64 = 1 << 11;

struct Generator {
    unix_ms: u64,
    sequence: u64,
}

impl Generator {
    /// Moves to the next id. If the millisecond is used up, or the clock stepped back, it counts on from the last
    /// millisecond used.
    fn advance(&mut self, now_ms: u64, first: impl FnOnce() -> u64) {
        if now_ms > self.unix_ms {
            (self.unix_ms, self.sequence) = (now_ms, first());
        } else if self.sequence + 1 < 1 << SEQUENCE_BITS {
            self.sequence += 1;
        } else {
            (self.unix_ms, self.sequence) = (self.unix_ms + 1, first());
        }
    }
}

impl From<u64> for FrameId {
    fn from(id: u64) -> Self {
        Self(id.into())
    }
}

impl From<i64> for FrameId {
    fn from(id: i64) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for FrameId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_int(self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for FrameId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = FrameId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a frame id (an integer)")
            }
            fn visit_u64<E>(self, id: u64) -> Result<FrameId, E> {
                Ok(id.into())
            }
            fn visit_i64<E>(self, id: i64) -> Result<FrameId, E> {
                Ok(id.into())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Writes an integer. Decoded integers are always within MessagePack's range.
pub(crate) fn serialize_int<S: Serializer>(int: i128, serializer: S) -> Result<S::Ok, S::Error> {
    if let Ok(unsigned) = u64::try_from(int) {
        serializer.serialize_u64(unsigned)
    } else if let Ok(signed) = i64::try_from(int) {
        serializer.serialize_i64(signed)
    } else {
        Err(serde::ser::Error::custom(format!(
            "integer {int} is outside MessagePack's range, -2^63 to 2^64 - 1"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_even_when_a_millisecond_overflows_or_the_clock_steps_back() {
        let mut generator = Generator { unix_ms: 0, sequence: 0 };
        let mut last = (0, 0);
        for step in 0..20_000_u64 {
            let now = 1_700_000_000_000 + step / 10_000 - if step % 3 == 0 { 3_600_000 } else { 0 };
            generator.advance(now, || 2_047);
            assert!((generator.unix_ms, generator.sequence) > last, "at step {step}");
            assert!(generator.sequence < 1 << SEQUENCE_BITS);
            last = (generator.unix_ms, generator.sequence);
        }
    }

    #[test]
    fn ids_have_the_bit_layout_of_msight() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let id = FrameId::next().get() as u128;
        let made = id >> 22;
        assert!((before..before + 60_000).contains(&made), "{made} is the time of making, in ms");
    }

    #[test]
    fn threads_never_share_an_id() {
        let mut ids: Vec<FrameId> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..5_000).map(|_| FrameId::next()).collect::<Vec<_>>()))
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| {
                    let ids = thread.join().unwrap();
                    assert!(ids.is_sorted());
                    ids
                })
                .collect()
        });
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 20_000);
    }
}
