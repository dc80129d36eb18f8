//! A shared connection for commands, with time-outs and reconnects.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisError, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::dialer::{Dialer, Link, Purpose};
use super::failure::{Classifier, Operation, is_demoted};
use super::outage::ConnectionLog;
use crate::backoff::Backoff;
use crate::error::Error;

/// Time-out for the answer to a command without a large payload.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// One connection that all commands share. Commands are sent in the order of the calls and wait for their answers
/// concurrently. After a loss, the next command reconnects. Until the back-off is over, commands fail at once with the
/// last reason.
pub(super) struct Commands {
    dialer: Arc<Dialer>,
    classifier: Classifier,
    purpose: Purpose,
    log: ConnectionLog,
    state: Mutex<State>,
}

struct State {
    link: Option<Link>,
    /// Counts attempts to connect. Only the first of several failures ends a connection, and each attempt begins at
    /// another node of a cluster.
    generation: usize,
    /// [`Dialer::epoch`] when the connection was made.
    epoch: usize,
    /// Whether there was a connection before, so that its loss is an outage.
    was_connected: bool,
    backoff: Backoff,
    /// Whether no command has been answered since the connection was lost.
    is_unproven: bool,
    /// Why the connection is down, and when the next attempt is due.
    outage: Option<(Error, Instant)>,
}

/// Why a command failed.
enum Failure {
    /// The connection has ended.
    Closed(RedisError),
    /// The server did not answer within this time.
    TimedOut(Duration),
    /// The server answered with an error.
    Answer(RedisError),
}

impl Commands {
    pub(super) fn new(
        dialer: Arc<Dialer>,
        classifier: Classifier,
        purpose: Purpose,
        log: ConnectionLog,
    ) -> Self {
        let generation = fastrand::usize(..dialer.nodes());
        let state = State {
            link: None,
            generation,
            epoch: dialer.epoch(),
            was_connected: false,
            backoff: Backoff::reconnecting(),
            is_unproven: false,
            outage: None,
        };
        Self { dialer, classifier, purpose, log, state: Mutex::new(state) }
    }

    /// Connects if there is no connection.
    pub(super) async fn connect(&self) -> Result<(), Error> {
        self.link().await.map(drop)
    }

    /// The current connection, for a sequence of commands that must use the same one.
    pub(super) async fn link(&self) -> Result<(Link, usize), Error> {
        // Hold the lock while connecting, so that all commands wait for one attempt.
        let mut state = self.state.lock().await;
        if state.epoch != self.dialer.epoch() {
            // Reconnect: a command on a dead connection would fail. A replica accepts PUBLISH, but the message does not
            // reach the subscribers of its master.
            state.link = None;
        }
        if let Some(link) = &state.link {
            return Ok((link.clone(), state.generation));
        }
        if let Some((error, retry_at)) = &state.outage
            && Instant::now() < *retry_at
        {
            return Err(error.clone());
        }
        state.generation = state.generation.wrapping_add(1);
        state.epoch = self.dialer.epoch();
        match self.dialer.link(self.purpose, state.generation).await {
            Ok(link) => {
                state.outage = None;
                state.was_connected = true;
                state.link = Some(link.clone());
                Ok((link, state.generation))
            }
            Err(error) => {
                let error = self.classifier.classify(Operation::Connect, &error);
                if state.was_connected {
                    state.is_unproven = true;
                    self.log.down(&error);
                }
                let retry_at = Instant::now() + state.backoff.delay();
                state.outage = Some((error.clone(), retry_at));
                Err(error)
            }
        }
    }

    /// Sends one command with a payload of `bytes` and waits for its answer.
    ///
    /// If the server has closed the connection, reconnects at once and sends the command again: a Redis with `timeout`
    /// closes idle connections, which is no outage. Callers repeat a command after [`Error::Unavailable`] anyway.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        operation: Operation<'_>,
        command: &Cmd,
        bytes: usize,
    ) -> Result<T, Error> {
        let mut is_repeated = false;
        let (value, generation) = loop {
            let (link, generation) = self.link().await?;
            match self.query(link, command, bytes).await {
                Ok(value) => break (value, generation),
                Err(Failure::Closed(_)) if !is_repeated => {
                    is_repeated = true;
                    self.discard(generation).await;
                }
                Err(Failure::Closed(failure)) => {
                    let error = self.classifier.classify(operation, &failure);
                    if self.lost(generation, &error).await {
                        self.dialer.begin_epoch();
                    }
                    return Err(error);
                }
                Err(Failure::TimedOut(limit)) => {
                    let reason = format!("no answer within {:.1} s", limit.as_secs_f64());
                    let error = self.classifier.unavailable(operation, reason);
                    self.lost(generation, &error).await;
                    return Err(error);
                }
                Err(Failure::Answer(failure)) => {
                    let error = self.classifier.classify(operation, &failure);
                    if is_demoted(&failure) {
                        if self.lost(generation, &error).await {
                            self.dialer.begin_epoch();
                        }
                    } else if error.is_transient() {
                        // For example, a cluster whose slot has no master: the connection works, but Redis does not.
                        self.state.lock().await.is_unproven = true;
                        self.log.down(&error);
                    }
                    return Err(error);
                }
            }
        };
        self.answered(generation).await;
        T::from_redis_value(value).map_err(|error| self.classifier.classify(operation, &error.into()))
    }

    async fn query(&self, mut link: Link, command: &Cmd, bytes: usize) -> Result<Value, Failure> {
        // A large payload takes longer on a slow link; at least 1 MB/s is expected.
        let limit = RESPONSE_TIMEOUT + Duration::from_micros(bytes as u64);
        let answer = tokio::time::timeout(limit, link.query(command)).await;
        let answer = answer.map_err(|_| Failure::TimedOut(limit))?;
        answer.and_then(Value::extract_error).map_err(|failure| {
            match failure.is_io_error() || failure.is_unrecoverable_error() {
                true => Failure::Closed(failure),
                false => Failure::Answer(failure),
            }
        })
    }

    /// Ends an outage after an answer of the server. A new connection alone is not enough, because the cluster node
    /// with the key may still be down.
    async fn answered(&self, generation: usize) {
        let mut state = self.state.lock().await;
        state.backoff.reset();
        if state.generation == generation && std::mem::take(&mut state.is_unproven) {
            self.log.up(None);
        }
    }

    /// Removes a closed connection, unless it was already replaced.
    async fn discard(&self, generation: usize) {
        let mut state = self.state.lock().await;
        if state.generation == generation {
            state.link = None;
        }
    }

    /// Drops the connection, unless it was already replaced or dropped. Returns whether it did.
    async fn lost(&self, generation: usize, error: &Error) -> bool {
        let mut state = self.state.lock().await;
        let is_first = state.generation == generation && state.link.take().is_some();
        if is_first {
            state.is_unproven = true;
            self.log.down(error);
            let retry_at = Instant::now() + state.backoff.delay();
            state.outage = Some((error.clone(), retry_at));
        }
        is_first
    }
}
