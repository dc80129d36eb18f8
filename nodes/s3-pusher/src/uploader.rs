//! The workers that upload, wait and try again until every segment is in the bucket.

use crate::bucket::Bucket;
use crate::failure::{Class, Failure, Hold};
use crate::pending::{Pending, Refusal, Ticket};
use crate::recent::RecentKeys;
use crate::segment::Segment;
use crate::stats::Stats;
use crate::upload::Upload;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// Keys remembered, so that two segments of the same second are told apart: about an hour of 1 s segments.
const RECENT_KEYS: usize = 4096;

/// Failures in a row after which a segment lets the others go first.
const PATIENCE: u32 = 4;

/// How long removing the parts of an unfinished upload may take at the end.
pub(crate) const CLEAN_UP: Duration = Duration::from_secs(1);

/// Uploads segments, several at once, and keeps them until they are safe.
#[derive(Debug)]
pub struct Uploader {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    bucket: Bucket,
    pending: Pending,
    recent: Mutex<RecentKeys>,
    /// Why segments were last said to be held, if they are.
    held: Mutex<Option<Hold>>,
    give_up: CancellationToken,
    stats: Stats,
}

impl Uploader {
    /// Starts `concurrent` workers that hold at most `budget` bytes of segments in memory.
    pub fn start(bucket: Bucket, concurrent: usize, budget: u64, stats: Stats) -> Self {
        let shared = Arc::new(Shared {
            pending: Pending::new(budget, bucket.pacing.clone()),
            bucket,
            recent: Mutex::new(RecentKeys::new(RECENT_KEYS)),
            held: Mutex::default(),
            give_up: CancellationToken::new(),
            stats,
        });
        let mut workers = JoinSet::new();
        for _ in 0..concurrent.max(1) {
            workers.spawn(work(shared.clone()).in_current_span());
        }
        Self { shared, workers }
    }

    /// Takes a segment. Waits while the budget is used up, unless `stopping`: what is in the process already
    /// then gets its chance within the time that is left.
    pub async fn submit(&mut self, segment: Segment, stopping: &CancellationToken) {
        // No worker ends before it is told to, but one that did must not silently become none.
        while let Some(ended) = self.workers.try_join_next() {
            tracing::error!(?ended, "an upload worker ended; another takes its place");
            self.shared.pending.worker_lost();
            self.workers.spawn(work(self.shared.clone()).in_current_span());
        }
        let room = tokio::select! {
            room = self.shared.pending.room(segment.video.len()) => room,
            () = stopping.cancelled() => None,
        };
        self.shared.stats.received();
        self.shared.pending.push(self.shared.start(segment), room);
        self.shared.say_load();
    }

    /// Waits until everything is uploaded, or until `patience` ends. What is not uploaded by then is named in
    /// the log and returned: key without extension, and bytes.
    pub async fn finish(&mut self, patience: impl Future<Output = ()>) -> Vec<(String, u64)> {
        self.shared.pending.close();
        let workers = &mut self.workers;
        let all_done = async { while workers.join_next().await.is_some() {} };
        tokio::select! {
            () = all_done => {}
            () = patience => self.shared.give_up.cancel(),
        }
        let cleaned_up = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(CLEAN_UP, cleaned_up).await.is_err() {
            self.workers.abort_all();
        }
        let left = self.shared.pending.unfinished();
        for (segment, bytes) in &left {
            self.shared.stats.failed("stopped");
            tracing::error!(
                bucket = self.shared.bucket.name,
                segment,
                bytes,
                "lost: not uploaded before the stop"
            );
        }
        left
    }
}

async fn work(shared: Arc<Shared>) {
    let mut ticket = None;
    tokio::select! {
        () = shared.upload(&mut ticket) => {}
        () = shared.give_up.cancelled() => {
            // What was put back may have stored parts as well.
            while let Some(mut left) = ticket.take().or_else(|| shared.pending.pop()) {
                left.upload.abandon(&shared.bucket, CLEAN_UP).await;
            }
        }
    }
}

impl Shared {
    /// Gives a segment its key.
    fn start(&self, segment: Segment) -> Upload {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = !recent.claim(&segment.stem, &segment.identity);
        Upload::new(segment, taken)
    }

    /// Tries one segment after the other until each is stored or refused for good. The one that is being tried
    /// is in `under_way`, for whoever stops this.
    async fn upload(&self, under_way: &mut Option<Ticket>) {
        while let Some(ticket) = self.pending.take().await {
            let ticket = under_way.insert(ticket);
            if ticket.probe {
                // Credentials and region are looked up anew.
                self.bucket.reconnect();
            }
            ticket.tries.started.get_or_insert_with(Instant::now);
            ticket.tries.attempts += 1;
            match ticket.upload.attempt(&self.bucket, ticket.tries.timeouts).await {
                Ok(()) => {
                    self.stored(ticket);
                    under_way.take().into_iter().for_each(|ticket| self.done(ticket));
                }
                Err(failure) if failure.class == Class::Permanent => {
                    self.lost(ticket, &failure).await;
                    under_way.take().into_iter().for_each(|ticket| self.done(ticket));
                }
                Err(failure) => {
                    self.stats.retried(failure.class);
                    self.wait(ticket, &failure).await;
                    under_way.take().into_iter().for_each(|ticket| self.again(ticket, &failure));
                }
            }
        }
    }

    /// Backs off after a failure that passes by itself. Refusals and probes have their own pace.
    async fn wait(&self, ticket: &mut Ticket, failure: &Failure) {
        if failure.class == Class::TimedOut {
            ticket.tries.timeouts += 1;
        }
        if ticket.probe || matches!(failure.class, Class::Held(_)) {
            return;
        }
        ticket.tries.failures += 1;
        let asked = if let Class::Transient(asked) = failure.class { asked } else { None };
        let wait = self.bucket.pacing.backoff(ticket.tries.failures, asked, fastrand::f64());
        tracing::warn!(
            key = ticket.upload.key(),
            failure = failure.text,
            attempts = ticket.tries.attempts,
            wait_s = wait.as_secs_f64(),
            "upload failed; trying again"
        );
        tokio::time::sleep(wait).await;
    }

    fn again(&self, ticket: Ticket, failure: &Failure) {
        let (key, answer) = (ticket.upload.key(), &failure.text);
        match failure.class {
            Class::Held(hold) => {
                let refusal = self.pending.refused(ticket);
                self.say_held(hold, refusal, &key, answer);
            }
            _ if ticket.probe => {
                self.pending.refused(ticket);
                tracing::debug!(key, answer, "still held: no answer that counts");
            }
            _ => {
                let first = ticket.tries.failures < PATIENCE;
                self.pending.put_back(ticket, first);
            }
        }
    }

    fn say_held(&self, hold: Hold, refusal: Refusal, key: &str, answer: &str) {
        let known = self.held().replace(hold) == Some(hold);
        self.stats.held(Some(hold));
        let (bucket, reason, advice) = (&self.bucket.name, hold.name(), hold.advice());
        match refusal {
            Refusal::All => tracing::error!(
                bucket,
                key,
                reason,
                answer,
                "uploads are held, nothing is dropped while memory lasts: {advice}"
            ),
            _ if !known => tracing::error!(
                bucket,
                key,
                reason,
                answer,
                "a segment is refused and held, others are tried: {advice}"
            ),
            Refusal::Aside => {
                tracing::warn!(bucket, key, reason, answer, "one more segment is refused and held");
            }
            Refusal::Again => tracing::debug!(bucket, key, reason, answer, "still held"),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Hold>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self, ticket: &Ticket) {
        let (upload, tries) = (&ticket.upload, &ticket.tries);
        let (bytes, took) = (upload.bytes(), tries.started.map(|at| at.elapsed()).unwrap_or_default());
        self.stats.uploaded(bytes, took);
        let (seconds, attempts) = (took.as_secs_f64(), tries.attempts);
        tracing::info!(bucket = self.bucket.name, key = upload.key(), bytes, seconds, attempts, "uploaded");
    }

    async fn lost(&self, ticket: &mut Ticket, failure: &Failure) {
        self.stats.failed("refused");
        tracing::error!(
            bucket = self.bucket.name,
            key = ticket.upload.key(),
            answer = failure.text,
            "lost: the server refuses this segment for good"
        );
        ticket.upload.abandon(&self.bucket, CLEAN_UP).await;
    }

    fn done(&self, ticket: Ticket) {
        self.pending.done(ticket);
        let mut held = self.held();
        if held.is_some() && !self.pending.holding() {
            *held = None;
            self.stats.held(None);
            tracing::warn!(bucket = self.bucket.name, "the bucket refuses nothing any more");
        }
        drop(held);
        self.say_load();
    }

    fn say_load(&self) {
        let (segments, bytes) = self.pending.load();
        self.stats.pending(segments, bytes);
    }
}
