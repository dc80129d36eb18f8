//! The workers that upload, wait and try again until every segment is in the bucket.

use crate::backoff::Pacing;
use crate::bucket::Bucket;
use crate::failure::{Class, Failure, Hold};
use crate::pending::{Pending, Ticket};
use crate::recent::RecentKeys;
use crate::segment::Segment;
use crate::stats::Stats;
use crate::upload::Upload;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// Keys remembered, so that two segments of the same second are told apart: about an hour of 1 s segments.
const RECENT_KEYS: usize = 4096;

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
    /// Why nothing is uploaded now, if so; one worker tries from time to time, the others wait here.
    held: watch::Sender<Option<Hold>>,
    give_up: CancellationToken,
    stats: Stats,
}

impl Uploader {
    /// Starts `concurrent` workers that hold at most `budget` bytes of segments in memory.
    pub fn start(bucket: Bucket, concurrent: usize, budget: u64, stats: Stats) -> Self {
        let shared = Arc::new(Shared {
            bucket,
            pending: Pending::new(budget),
            recent: Mutex::new(RecentKeys::new(RECENT_KEYS)),
            held: watch::channel(None).0,
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
            self.shared.held.send_replace(None);
            self.workers.spawn(work(self.shared.clone()).in_current_span());
        }
        let room = tokio::select! {
            room = self.shared.pending.room(segment.video.len()) => room,
            () = stopping.cancelled() => None,
        };
        self.shared.stats.received();
        self.shared.pending.push(segment, room);
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
    while let Some(mut ticket) = shared.pending.take().await {
        let taken = {
            let mut recent = shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
            !recent.claim(&ticket.segment.stem, &ticket.segment.identity)
        };
        let mut upload = Upload::new(&mut ticket.segment, taken);
        tokio::select! {
            () = shared.upload(&mut upload) => {}
            () = shared.give_up.cancelled() => {
                upload.abandon(&shared.bucket, CLEAN_UP).await;
                return;
            }
        }
        shared.done(ticket);
    }
}

impl Shared {
    /// Tries until the segment is stored or refused for good.
    async fn upload(&self, upload: &mut Upload<'_>) {
        let pacing: &Pacing = &self.bucket.pacing;
        let started = Instant::now();
        let (mut attempts, mut failures, mut timeouts) = (0_u32, 0_u32, 0_u32);
        loop {
            self.wait_while_held().await;
            attempts += 1;
            let mut result = upload.attempt(&self.bucket, timeouts).await;
            if let Err(Failure { class: Class::Held(hold), text, .. }) = &result
                && self.hold(*hold, text)
            {
                result = self.probe(upload, *hold, &mut attempts).await;
            }
            let failure = match result {
                Ok(()) => return self.stored(upload, started, attempts),
                Err(failure) => failure,
            };
            self.stats.retried(failure.class);
            match failure.class {
                Class::Permanent => return self.refused(upload, &failure).await,
                // Another worker probes; go and wait with the others.
                Class::Held(_) => continue,
                Class::TimedOut => timeouts += 1,
                _ => {}
            }
            failures += 1;
            let asked = if let Class::Transient(asked) = failure.class { asked } else { None };
            let wait = pacing.backoff(failures, asked, fastrand::f64());
            tracing::warn!(
                key = upload.key(),
                failure = failure.text,
                attempts,
                wait_s = wait.as_secs_f64(),
                "upload failed; trying again"
            );
            tokio::time::sleep(wait).await;
        }
    }

    async fn wait_while_held(&self) {
        // An error would mean that the sender is gone, and it is ours.
        let _ = self.held.subscribe().wait_for(Option::is_none).await;
    }

    /// Holds all uploads; true for the one caller that is to probe.
    fn hold(&self, hold: Hold, text: &str) -> bool {
        let first = self.held.send_if_modified(|held| held.is_none() && held.replace(hold).is_none());
        if first {
            self.say_held(hold, text);
        }
        first
    }

    fn say_held(&self, hold: Hold, text: &str) {
        self.stats.held(Some(hold));
        tracing::error!(
            bucket = self.bucket.name,
            reason = hold.name(),
            answer = text,
            "uploads are held, nothing is dropped while memory lasts: {}",
            hold.advice()
        );
    }

    /// Tries from time to time, with credentials and region looked up anew, until the bucket answers something
    /// else than that it is held.
    async fn probe(&self, upload: &mut Upload<'_>, first: Hold, attempts: &mut u32) -> Result<(), Failure> {
        let since = Instant::now();
        let mut hold = first;
        let mut probes = 0;
        let result = loop {
            self.stats.retried(Class::Held(hold));
            probes += 1;
            tokio::time::sleep(self.bucket.pacing.probe(probes)).await;
            self.bucket.reconnect();
            *attempts += 1;
            match upload.attempt(&self.bucket, 0).await {
                Err(Failure { class: Class::Held(now), text, .. }) => {
                    if now != hold {
                        self.say_held(now, &text);
                        self.held.send_replace(Some(now));
                        hold = now;
                    }
                    tracing::debug!(
                        bucket = self.bucket.name,
                        reason = now.name(),
                        answer = text,
                        "still held"
                    );
                }
                other => break other,
            }
        };
        self.held.send_replace(None);
        self.stats.held(None);
        let held_s = since.elapsed().as_secs();
        if result.is_ok() {
            tracing::warn!(bucket = self.bucket.name, held_s, "the bucket takes uploads again");
        }
        result
    }

    fn stored(&self, upload: &Upload<'_>, started: Instant, attempts: u32) {
        let (bytes, took) = (upload.bytes(), started.elapsed());
        self.stats.uploaded(bytes, took);
        let seconds = took.as_secs_f64();
        tracing::info!(bucket = self.bucket.name, key = upload.key(), bytes, seconds, attempts, "uploaded");
    }

    async fn refused(&self, upload: &mut Upload<'_>, failure: &Failure) {
        self.stats.failed("refused");
        tracing::error!(
            bucket = self.bucket.name,
            key = upload.key(),
            answer = failure.text,
            "lost: the server refuses this segment for good"
        );
        upload.abandon(&self.bucket, CLEAN_UP).await;
    }

    fn done(&self, ticket: Ticket) {
        self.pending.done(ticket);
        self.say_load();
    }

    fn say_load(&self) {
        let (segments, bytes) = self.pending.load();
        self.stats.pending(segments, bytes);
    }
}
