//! Paces large messages, so that a subscriber's unread bytes stay below the limit at which Redis disconnects it.
//!
//! Redis closes the connection of a subscriber whose unread messages exceed `client-output-buffer-limit pubsub`. The
//! limit applies to the sum: six writers that publish 20 MiB each at the same moment exceed the stock limit of 32 MiB.
//! So writers of large messages take turns on a topic, and the writer whose turn it is waits until the subscribers have
//! room.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::cmd;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::commands::Commands;
use super::failure::Operation;
use super::registry::{SwapAnswer, swap};
use crate::error::Error;
use crate::topic::Topic;

/// The hash of turns: topic to current writer.
const TURNS: &str = "MSIGHT:TURNS";
/// The limit of a stock Redis (`redis.conf`), used if the user may not read the limit.
const STOCK_LIMIT: usize = 32 << 20;
/// Time after which the limit is read again, because it can change at run time.
const LIMIT_AGE: Duration = Duration::from_secs(60);
/// Messages of at least this fraction of the limit (1/16) take turns.
const LARGE_FRACTION: usize = 16;
/// Time after which a turn expires, because its writer has stopped.
const MAX_TURN: Duration = Duration::from_secs(1);
/// Time after which a writer publishes without a turn, if other writers keep it waiting.
const MAX_WAIT_FOR_TURN: Duration = Duration::from_secs(10);
/// Time after which a subscriber without room counts as stalled. Writers do not wait for it.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Time for which pacing is off after that.
const SUSPENSION: Duration = Duration::from_secs(10);
/// Polling interval.
const INTERVAL: Duration = Duration::from_millis(5);
/// Assumed reading speed of subscribers, if the user may not see their unread bytes.
const ASSUMED_BYTES_PER_SECOND: f64 = 256.0 * 1024.0 * 1024.0;

/// Paces the large messages of one publisher.
pub(super) struct Pace {
    id: u128,
    turns: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The limit in bytes and when it was read; the limit is `None` if Redis has none.
    limit: Option<(Option<usize>, Instant)>,
    suspended_until: Option<Instant>,
}

/// The turn of a writer.
pub(super) struct Turn {
    name: String,
    /// Time for the subscribers to read the message before the next writer's turn.
    rest: Duration,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { id: fastrand::u128(..), turns: AtomicU64::new(0), state: Mutex::default() }
    }

    /// Waits for the turn to publish a message of `bytes`. `None` for a message that needs no turn, or if waiting is
    /// useless.
    pub(super) async fn take_turn(&self, commands: &Commands, topic: &Topic, bytes: usize) -> Option<Turn> {
        // Do not read the limit for such a message: it is small for every reasonable limit.
        if bytes < STOCK_LIMIT / LARGE_FRACTION || self.is_suspended() {
            return None;
        }
        let limit = self.limit(commands, topic).await?;
        // Redis disconnects every subscriber that gets a message above the limit, with or without pacing.
        if bytes < limit / LARGE_FRACTION || bytes > limit {
            return None;
        }
        let name = format!("{:032x}:{}", self.id, self.turns.fetch_add(1, Relaxed));
        match timeout(MAX_WAIT_FOR_TURN, self.wait_for_turn(commands, topic, &name)).await {
            Ok(Ok(())) => {}
            Err(_) => return None,
            Ok(Err(error)) => {
                debug!(%topic, %error, "large messages are not paced");
                // Suspend only for a missing right: an outage ends soon.
                if !error.is_transient() {
                    self.suspend();
                }
                return None;
            }
        }
        let rest = self.wait_for_room(commands, topic, bytes, limit).await;
        Some(Turn { name, rest })
    }

    /// Ends the turn of this writer.
    pub(super) async fn end_turn(&self, commands: &Commands, topic: &Topic, turn: Turn) {
        sleep(turn.rest).await;
        let command = swap(TURNS, topic.as_str(), Some(&turn.name), None);
        let ended = commands.run::<SwapAnswer>(Operation::Publish(topic), &command, 0).await;
        if let Err(error) = ended {
            debug!(%topic, %error, "the turn expires");
        }
    }

    async fn wait_for_turn(&self, commands: &Commands, topic: &Topic, name: &str) -> Result<(), Error> {
        let mut holder: Option<(String, Instant)> = None;
        loop {
            let expired = holder.as_ref().filter(|(_, since)| since.elapsed() > MAX_TURN);
            let expected = expired.map(|(holder, _)| holder.as_str());
            let command = swap(TURNS, topic.as_str(), expected, Some(name));
            let (is_ours, _, current): SwapAnswer =
                commands.run(Operation::Publish(topic), &command, 0).await?;
            if is_ours {
                return Ok(());
            }
            holder = match (current, holder) {
                (Some(current), Some((seen, since))) if current == seen => Some((current, since)),
                (current, _) => current.map(|current| (current, Instant::now())),
            };
            sleep(INTERVAL.mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    /// Waits until every subscriber has room for the message. If this user may not see the subscribers' unread bytes,
    /// returns how long to wait after publishing.
    async fn wait_for_room(
        &self,
        commands: &Commands,
        topic: &Topic,
        bytes: usize,
        limit: usize,
    ) -> Duration {
        let deadline = Instant::now() + MAX_WAIT;
        loop {
            let Some(unread) = most_unread(commands, topic).await else {
                return Duration::from_secs_f64(bytes as f64 / ASSUMED_BYTES_PER_SECOND);
            };
            if unread.saturating_add(bytes) <= limit {
                return Duration::ZERO;
            }
            if Instant::now() >= deadline {
                self.suspend();
                return Duration::ZERO;
            }
            sleep(INTERVAL).await;
        }
    }

    /// The limit of a subscriber's unread messages, in bytes; `None` if there is no limit.
    async fn limit(&self, commands: &Commands, topic: &Topic) -> Option<usize> {
        let known = self.state().limit;
        if let Some((limit, read)) = known
            && read.elapsed() < LIMIT_AGE
        {
            return limit;
        }
        let mut command = cmd("CONFIG");
        command.arg("GET").arg("client-output-buffer-limit");
        let answer = commands.run::<Vec<(String, String)>>(Operation::Publish(topic), &command, 0).await;
        let limit = match answer.ok().and_then(|answer| answer.first().and_then(|(_, text)| hard_limit(text)))
        {
            Some(0) => None,
            Some(limit) => Some(limit),
            None => Some(STOCK_LIMIT),
        };
        self.state().limit = Some((limit, Instant::now()));
        limit
    }

    fn is_suspended(&self) -> bool {
        self.state().suspended_until.is_some_and(|until| Instant::now() < until)
    }

    fn suspend(&self) {
        self.state().suspended_until = Some(Instant::now() + SUSPENSION);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The largest number of unread bytes of any subscriber; `None` if this user may not see it.
async fn most_unread(commands: &Commands, topic: &Topic) -> Option<usize> {
    let mut command = cmd("CLIENT");
    command.arg("LIST").arg("TYPE").arg("pubsub");
    let list = commands.run::<String>(Operation::Publish(topic), &command, 0).await.ok()?;
    Some(list.lines().filter_map(unread).max().unwrap_or(0))
}

/// The size of the output buffers in a line of `CLIENT LIST`.
fn unread(line: &str) -> Option<usize> {
    line.split(' ').find_map(|field| field.strip_prefix("omem="))?.parse().ok()
}

/// The hard limit for subscribers in `normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60`.
fn hard_limit(text: &str) -> Option<usize> {
    let mut words = text.split_whitespace().skip_while(|word| *word != "pubsub");
    words.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_unread_bytes_are_parsed() {
        let limits = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(hard_limit(limits), Some(32 << 20));
        assert_eq!((hard_limit("normal 0 0 0"), hard_limit("pubsub x")), (None, None));
        assert_eq!(
            unread("id=3 addr=127.0.0.1:1 sub=1 obl=0 oll=2 omem=40984 tot-mem=61464 cmd=subscribe"),
            Some(40_984)
        );
        assert_eq!(unread("id=3 cmd=subscribe"), None);
    }
}
