//! The task of a subscription: it keeps its own connection and fills the queue.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value, cmd};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::dialer::{CONNECT_TIMEOUT, Dialer};
use super::failure::{Classifier, Operation};
use super::outage::ConnectionLog;
use crate::backoff::Backoff;
use crate::delivery::Delivery;
use crate::error::Error;
use crate::inbox::{Inbox, QueueConfig};
use crate::subscription::Subscription;
use crate::topic::Topic;

/// Idle time after which the server gets a `PING`.
const IDLE: Duration = Duration::from_secs(3);
/// Time-out for the answer to `PING`, and for the confirmation of a subscription.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Subscribes, and starts the task that maintains the subscription.
pub(super) async fn subscribe(
    dialer: Arc<Dialer>,
    classifier: Classifier,
    log: ConnectionLog,
    topic: &Topic,
    queue: QueueConfig,
) -> Result<Subscription, Error> {
    let inbox = Inbox::new(topic.clone(), queue);
    // Choose a random node of a cluster, to spread subscriptions. Every node gets every message.
    let node = fastrand::usize(..dialer.nodes());
    let mut reader = Reader { dialer, classifier, log, inbox: inbox.clone(), node };
    let session = reader.open().await?;
    let task = tokio::spawn(async move { reader.run(session).await });
    Ok(Subscription::new(inbox, Some(task.abort_handle())))
}

struct Reader {
    dialer: Arc<Dialer>,
    classifier: Classifier,
    log: ConnectionLog,
    inbox: Arc<Inbox>,
    /// The node of a cluster to try next.
    node: usize,
}

/// A subscribed connection. Dropping it closes it.
struct Session {
    connection: MultiplexedConnection,
    ended: Arc<Notify>,
}

/// How a session ended.
enum End {
    /// The server or the network closed the connection.
    Closed,
    /// The server did not answer a `PING`.
    Unresponsive,
}

impl Reader {
    /// Tries every known node once, within the time-out for connecting. The next call starts with the next node.
    async fn open(&mut self) -> Result<Session, Error> {
        let started = Instant::now();
        let mut tried = 0;
        loop {
            let session = self.open_node().await;
            if session.is_ok() {
                return session;
            }
            self.node = self.node.wrapping_add(1);
            tried += 1;
            if tried == self.dialer.nodes() || started.elapsed() >= CONNECT_TIMEOUT {
                return session;
            }
        }
    }

    async fn open_node(&self) -> Result<Session, Error> {
        let ended = Arc::new(Notify::new());
        let (inbox, end) = (self.inbox.clone(), ended.clone());
        let push = move |push: PushInfo| {
            match push.kind {
                PushKind::Message => receive(&inbox, push.data),
                PushKind::Disconnection => end.notify_one(),
                _ => {}
            }
            Ok(())
        };
        let connecting = self.dialer.pushes(self.node, push).await;
        let mut connection =
            connecting.map_err(|error| self.classifier.classify(Operation::Connect, &error))?;
        let topic = self.inbox.topic();
        let operation = Operation::Subscribe(topic);
        match timeout(ANSWER_TIMEOUT, connection.subscribe(topic.as_str())).await {
            Ok(Ok(())) => Ok(Session { connection, ended }),
            Ok(Err(error)) => Err(self.classifier.classify(operation, &error)),
            Err(_) => {
                let reason = format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
                Err(self.classifier.unavailable(operation, reason))
            }
        }
    }

    /// Runs until the task is aborted.
    async fn run(mut self, mut session: Session) {
        loop {
            let end = self.watch(&mut session).await;
            drop(session);
            self.inbox.count_disconnect();
            let operation = Operation::Listen(self.inbox.topic());
            self.log.down(&match end {
                End::Closed => {
                    self.dialer.begin_epoch();
                    self.classifier.unavailable(operation, "the connection was closed")
                }
                End::Unresponsive => {
                    let reason = format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
                    self.classifier.unavailable(operation, reason)
                }
            });
            let attempts;
            (session, attempts) = self.reopen().await;
            self.inbox.count_reconnect();
            let is_cut_alone = attempts == 1 && matches!(end, End::Closed);
            self.log.up(is_cut_alone.then_some(
                "the server may have closed this subscription: by client-output-buffer-limit pubsub (raise it, \
                 or find what kept this process from reading), by CLIENT KILL, or by a quick restart",
            ));
        }
    }

    /// Waits for the end of the session, and pings the server when no message comes.
    async fn watch(&self, session: &mut Session) -> End {
        loop {
            let seen = self.inbox.stats().received;
            tokio::select! {
                () = session.ended.notified() => return End::Closed,
                () = sleep(IDLE) => {}
            }
            if self.inbox.stats().received != seen {
                continue;
            }
            let ping = cmd("PING");
            let answer = timeout(ANSWER_TIMEOUT, ping.query_async::<Value>(&mut session.connection)).await;
            match answer {
                // A large message in transit delays the answer, but its bytes prove that the server is alive.
                Err(_) if self.inbox.stats().received == seen => return End::Unresponsive,
                Ok(Err(error)) if error.is_io_error() || error.is_unrecoverable_error() => {
                    return End::Closed;
                }
                // A refusal (a user without +ping) is an answer too.
                _ => {}
            }
        }
    }

    /// Retries with back-off until it is subscribed again. Returns the number of attempts.
    async fn reopen(&mut self) -> (Session, u64) {
        let mut backoff = Backoff::reconnecting();
        let mut attempts = 0;
        loop {
            sleep(backoff.delay()).await;
            attempts += 1;
            match self.open().await {
                Ok(session) => return (session, attempts),
                Err(failure) => self.log.down(&failure),
            }
        }
    }
}

/// Queues the payload of a pushed message, without copying it.
fn receive(inbox: &Inbox, data: Vec<Value>) {
    // [channel, payload]; the connection is subscribed to one channel.
    match data.into_iter().nth(1) {
        Some(Value::BulkString(payload)) => inbox.push(Delivery::unacknowledged(Bytes::from(payload))),
        other => debug!(topic = %inbox.topic(), ?other, "message without a payload ignored"),
    }
}
