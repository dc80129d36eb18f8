//! Paces large messages: what is in flight to a subscriber stays below the size at which Redis cuts it off.
//!
//! Redis closes the connection of a subscriber whose unread messages exceed `client-output-buffer-limit pubsub`. It is the
//! sum that counts: six writers that publish 20 MiB each in one moment exceed the stock limit of 32 MiB. So writers of
//! large messages take turns on a topic, and the one whose turn it is waits until the subscribers have room.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::cmd;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::commands::Commands;
use super::failure::Operation;
use super::registry::swap;
use crate::error::Error;
use crate::topic::Topic;

/// The hash of turns: topic to the writer whose turn it is.
const TURNS: &str = "MSIGHT:TURNS";
/// The limit of a stock Redis (`redis.conf`), for users who may not read it.
const STOCK_LIMIT: usize = 32 << 20;
/// The limit is read again after so long: it can change at run time.
const LIMIT_AGE: Duration = Duration::from_secs(60);
/// A message of at least this part of the limit takes a turn.
const LARGE: usize = 16;
/// A writer that has not ended its turn after so long is gone.
const LONGEST_TURN: Duration = Duration::from_secs(1);
/// A writer that other writers keep from its turn for so long publishes without one.
const MOST_TURNS: Duration = Duration::from_secs(10);
/// A subscriber that makes no room in this time has stopped reading. Writers do not wait for it.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Large messages are not paced for so long after that.
const SUSPENSION: Duration = Duration::from_secs(10);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(5);
/// How fast subscribers read, where the user may not see what they have not read.
const ASSUMED_BYTES_PER_SECOND: f64 = 256.0 * 1024.0 * 1024.0;

/// The pace of one publisher.
pub(super) struct Pace {
    id: u128,
    turns: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The limit in bytes, and when it was read; `None` as the limit for no limit.
    limit: Option<(Option<usize>, Instant)>,
    suspended_until: Option<Instant>,
}

/// The turn of a writer.
pub(super) struct Turn {
    name: String,
    /// What the subscribers have to read before another writer's turn.
    rest: Duration,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { id: fastrand::u128(..), turns: AtomicU64::new(0), state: Mutex::default() }
    }

    /// Waits for the turn to publish a message of `bytes`; `None` for a message that needs none, and where waiting is of
    /// no use.
    pub(super) async fn take_turn(&self, commands: &Commands, topic: &Topic, bytes: usize) -> Option<Turn> {
        // Without a look at the limit: a message of this size is small for every reasonable one.
        if bytes < STOCK_LIMIT / LARGE || self.is_suspended() {
            return None;
        }
        let limit = self.limit(commands, topic).await?;
        // Redis cuts all subscribers off that get a message above the limit, however it is paced.
        if bytes < limit / LARGE || bytes > limit {
            return None;
        }
        let name = format!("{:032x}:{}", self.id, self.turns.fetch_add(1, Relaxed));
        match timeout(MOST_TURNS, self.wait_for_turn(commands, topic, &name)).await {
            Ok(Ok(())) => {}
            Err(_) => return None,
            Ok(Err(error)) => {
                debug!(%topic, %error, "large messages are not paced");
                // An outage is over when it is over; a right is missing for longer.
                if !error.is_transient() {
                    self.suspend();
                }
                return None;
            }
        }
        let rest = self.wait_for_room(commands, topic, bytes, limit).await;
        Some(Turn { name, rest })
    }

    /// Lets the next writer take its turn.
    pub(super) async fn end_turn(&self, commands: &Commands, topic: &Topic, turn: Turn) {
        sleep(turn.rest).await;
        let command = swap(TURNS, topic.as_str(), Some(&turn.name), None);
        let ended = commands.run::<(bool, Option<Vec<u8>>)>(Operation::Publish(topic), &command, 0).await;
        if let Err(error) = ended {
            debug!(%topic, %error, "the turn expires");
        }
    }

    async fn wait_for_turn(&self, commands: &Commands, topic: &Topic, name: &str) -> Result<(), Error> {
        let mut holder: Option<(String, Instant)> = None;
        loop {
            let expired = holder.as_ref().filter(|(_, since)| since.elapsed() > LONGEST_TURN);
            let expected = expired.map(|(holder, _)| holder.as_str());
            let command = swap(TURNS, topic.as_str(), expected, Some(name));
            let (is_ours, current): (bool, Option<String>) =
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

    /// Waits until every subscriber has room for the message. Returns how long to wait after it, where Redis does not
    /// tell this user what subscribers have not read.
    async fn wait_for_room(
        &self,
        commands: &Commands,
        topic: &Topic,
        bytes: usize,
        limit: usize,
    ) -> Duration {
        let deadline = Instant::now() + LONGEST_WAIT;
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

/// The most bytes that any subscriber has not read; `None` if this user may not see it.
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
    fn what_redis_tells_is_read() {
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
