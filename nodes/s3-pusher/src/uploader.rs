//! The workers that upload segments, and retry until each one is in the bucket.

mod spooled;

pub use spooled::SpoolError;

use crate::bucket::Bucket;
use crate::failure::{Class, Failure, Hold};
use crate::obstacles::Obstacles;
use crate::outage::Outages;
use crate::pending::{MAX_REFERENCES, Pending, PendingUpload};
use crate::references::References;
use crate::spooling::{SpoolSettings, Spooling, marker};
use crate::stats::Stats;
use crate::upload::{About, Job, Upload};
use msight_node::health::Health;
use msight_segment::{RecentKeys, Segment};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

/// Number of remembered keys, so that two segments of one second get different ones: about an hour of 1 s segments.
const RECENT_KEYS: usize = 4096;

/// From one check of the state of uploads to the next.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Time-out for removing the parts of an unfinished upload at the end.
pub(crate) const CLEAN_UP: Duration = Duration::from_secs(1);

/// Uploads segments concurrently, and keeps each one until it is stored.
#[derive(Debug)]
pub struct Uploader {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
    _watch: AbortOnDropHandle<()>,
    /// Scans the spool folder.
    scans: Option<AbortOnDropHandle<()>>,
    probe: Option<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    bucket: Bucket,
    pending: Pending,
    spooling: Option<Arc<Spooling>>,
    recent: Mutex<RecentKeys>,
    obstacles: Arc<Obstacles>,
    references: References,
    outages: Outages,
    give_up: CancellationToken,
    stats: Stats,
}

impl Uploader {
    /// Starts `concurrent` workers that hold at most `budget` bytes of segments in memory. While uploads fail, `health`
    /// reports the node as blocked.
    pub fn start(bucket: Bucket, concurrent: usize, budget: u64, stats: Stats, health: Health) -> Self {
        Self::with_spool(bucket, concurrent, budget, stats, health, None)
    }

    /// As [`start`](Self::start), and uploads the segments of a spool folder: those that wait in it now, and those that are
    /// found or announced later.
    pub fn with_spool(
        bucket: Bucket,
        concurrent: usize,
        budget: u64,
        stats: Stats,
        health: Health,
        spool: Option<SpoolSettings>,
    ) -> Self {
        let (obstacles, has_spool) = (Arc::new(Obstacles::new(health)), spool.is_some());
        let shared = Arc::new(Shared {
            spooling: spool.map(|settings| Arc::new(Spooling::new(settings))),
            pending: Pending::new(budget, bucket.policy.clone()),
            outages: Outages::new(bucket.policy.clone(), stats.clone(), obstacles.clone(), has_spool),
            references: References::new(obstacles.clone()),
            obstacles,
            bucket,
            recent: Mutex::new(RecentKeys::new(RECENT_KEYS)),
            give_up: CancellationToken::new(),
            stats,
        });
        let mut workers = JoinSet::new();
        for _ in 0..concurrent.max(1) {
            workers.spawn(work(shared.clone()).in_current_span());
        }
        let watch = tokio::spawn(watch(shared.clone()).in_current_span());
        let scans = shared.spooling.clone().map(|spooling| {
            let scans = spooled::scan(shared.clone(), spooling).in_current_span();
            AbortOnDropHandle::new(tokio::spawn(scans))
        });
        Self { shared, workers, _watch: AbortOnDropHandle::new(watch), scans, probe: None }
    }

    /// Checks the bucket in the background until it answers, so that wrong settings are reported before the first segment
    /// comes. Segments do not wait for it.
    pub fn probe(&mut self) {
        let shared = self.shared.clone();
        let probe = tokio::spawn(async move { shared.probe().await }.in_current_span());
        self.probe = Some(AbortOnDropHandle::new(probe));
    }

    /// Queues a segment for upload. Waits while the budget is used up, but not while `stopping`: a segment that is in the
    /// process already is then uploaded in the time that is left.
    pub async fn submit(&mut self, segment: Segment, stopping: &CancellationToken) {
        self.replace_workers();
        self.shared.stats.received(segment.sensor_name());
        self.shared.references.found();
        // It is in memory.
        let bytes = usize::try_from(segment.video.len()).unwrap_or(usize::MAX);
        self.shared.make_room(bytes).await;
        let room = tokio::select! {
            biased;
            room = self.shared.pending.room(bytes) => room,
            () = stopping.cancelled() => None,
            never = self.shared.stay_full(bytes) => never,
        };
        self.shared.pending.push(self.shared.start(segment), room);
        self.shared.check();
    }

    /// Queues the segment of the spool folder that a message names. Does not wait: if there is no room, the segment stays in
    /// the folder, where a scan finds it. Fine if it is queued or uploaded already.
    ///
    /// # Errors
    /// There is no spool folder, the path leaves it, or there is no such segment.
    pub async fn submit_spooled(&mut self, path: String) -> Result<(), SpoolError> {
        self.replace_workers();
        self.shared.accept_reference(path).await
    }

    /// Workers end only when told to; one that ended otherwise (a panic) is replaced.
    fn replace_workers(&mut self) {
        while let Some(ended) = self.workers.try_join_next() {
            tracing::error!(?ended, "upload worker failed, starting another");
            self.shared.pending.worker_lost();
            self.workers.spawn(work(self.shared.clone()).in_current_span());
        }
    }

    /// Waits until all segments in memory are uploaded, or until `give_up` completes. Logs and returns the segments that are
    /// lost because they are not uploaded by then: key without extension, and bytes. Those in the spool folder stay there.
    pub async fn finish(&mut self, give_up: impl Future<Output = ()>) -> Vec<(String, u64)> {
        self.scans = None;
        self.shared.pending.close();
        let workers = &mut self.workers;
        let all_done = async { while workers.join_next().await.is_some() {} };
        tokio::select! {
            () = all_done => {}
            () = give_up => self.shared.give_up.cancel(),
        }
        let cleaned_up = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(CLEAN_UP, cleaned_up).await.is_err() {
            self.workers.abort_all();
        }
        let (stay, left): (Vec<_>, Vec<_>) =
            self.shared.pending.unfinished().into_iter().partition(|unfinished| unfinished.is_spooled);
        if !stay.is_empty() {
            tracing::info!(segments = stay.len(), "segments stay in the spool folder until the next start");
        }
        self.shared.pending.abandon_receipts();
        for unfinished in &left {
            self.shared.stats.failed("stopped");
            let About { sensor, from, to } = &unfinished.about;
            tracing::error!(
                bucket = self.shared.bucket.name,
                segment = unfinished.stem,
                sensor,
                from,
                to,
                bytes = unfinished.bytes,
                "segment lost: not uploaded before the stop"
            );
        }
        left.into_iter().map(|unfinished| (unfinished.stem, unfinished.bytes)).collect()
    }
}

/// Checks the state of uploads once a second: a lasting outage is logged although nothing happens.
async fn watch(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        shared.check();
    }
}

async fn work(shared: Arc<Shared>) {
    let mut ticket = None;
    tokio::select! {
        () = shared.upload(&mut ticket) => {}
        () = shared.give_up.cancelled() => {
            // Segments that wait for a retry may have stored parts as well.
            while let Some(mut left) = ticket.take().or_else(|| shared.pending.pop()) {
                left.job.abandon(&shared.bucket, CLEAN_UP).await;
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

    /// Tries one segment after the other until each is stored or refused for good. The current one is in `under_way`, so
    /// that it is still there when this future is dropped.
    async fn upload(&self, under_way: &mut Option<PendingUpload>) {
        while let Some(ticket) = self.pending.take().await {
            let ticket = under_way.insert(ticket);
            if ticket.refused {
                // Credentials and region may have been fixed.
                self.bucket.reconnect();
            }
            ticket.started.get_or_insert_with(Instant::now);
            ticket.attempts += 1;
            let outcome = match self.prepare(ticket).await {
                Ok(true) => self.attempt(ticket).await.map(|()| true),
                other => other,
            };
            match &outcome {
                Ok(true) => self.stored(ticket).await,
                Ok(false) => {
                    if let (Some(spooling), Some(file)) = (&self.spooling, ticket.job.spooled()) {
                        spooling.forget(file);
                    }
                }
                Err(failure) if matches!(failure.class, Class::Permanent | Class::File) => {
                    self.lost(ticket, failure).await;
                }
                Err(failure) => self.stats.retried(failure.class),
            }
            let Some(ticket) = under_way.take() else { continue };
            match outcome {
                Ok(false) | Err(Failure { class: Class::File, .. }) => self.pending.give_up(ticket),
                Err(failure) if failure.class != Class::Permanent => {
                    let key = ticket.job.key();
                    let (impact, wait) = self.pending.failed(ticket, &failure);
                    self.outages.failed(&self.bucket, &key, &failure, impact, wait);
                }
                _ => self.pending.done(ticket),
            }
            if let Some(spooling) = &self.spooling
                && self.pending.room_for_references() >= MAX_REFERENCES / 2
            {
                spooling.room();
            }
            self.check();
        }
    }

    /// Tries a segment, and a second time if the answer itself tells what to change.
    async fn attempt(&self, ticket: &mut PendingUpload) -> Result<(), Failure> {
        let Job::Ready(upload) = &mut ticket.job else { return Ok(()) };
        let outcome = upload.attempt(&self.bucket).await;
        match &outcome {
            // An expired token is often renewed already, in a file or by the instance's role.
            Err(Failure { class: Class::Held(Hold::Credentials), status: Some(_), .. })
                if !ticket.refused =>
            {
                self.bucket.reconnect();
            }
            Err(Failure { class: Class::Held(Hold::Region), region: Some(region), .. }) => {
                self.bucket.move_to(region);
            }
            _ => return outcome,
        }
        upload.attempt(&self.bucket).await
    }

    async fn stored(&self, ticket: &PendingUpload) {
        let Job::Ready(upload) = &ticket.job else { return };
        if let (Some(spooling), Some(file)) = (&self.spooling, ticket.job.spooled()) {
            let (spooling, file) = (spooling.clone(), file.clone());
            let marker = marker(&self.bucket.name, upload);
            // Ends by itself, also if this task is cancelled.
            let _ = tokio::task::spawn_blocking(move || spooling.uploaded(file, &marker)).await;
        }
        let bytes = ticket.job.bytes();
        let took = ticket.started.map(|at| at.elapsed()).unwrap_or_default();
        self.stats.uploaded(upload.segment().sensor_name(), bytes, took);
        self.outages.reachable();
        let (seconds, attempts) = (took.as_secs_f64(), ticket.attempts);
        tracing::info!(
            bucket = self.bucket.name,
            key = upload.key(),
            bytes,
            seconds,
            attempts,
            "segment uploaded"
        );
    }

    /// A segment cannot be uploaded. One in the spool folder is left there.
    async fn lost(&self, ticket: &mut PendingUpload, failure: &Failure) {
        match (&self.spooling, ticket.job.spooled().cloned()) {
            (Some(spooling), Some(file)) => self.leave(spooling, &file, failure),
            _ => self.log_lost(ticket, failure),
        }
        ticket.job.abandon(&self.bucket, CLEAN_UP).await;
    }

    fn log_lost(&self, ticket: &PendingUpload, failure: &Failure) {
        let why = failure.advice.unwrap_or("the server refuses it for good");
        self.stats.failed("refused");
        let About { sensor, from, to } = ticket.job.about();
        tracing::error!(
            bucket = self.bucket.name,
            key = ticket.job.key(),
            sensor,
            from,
            to,
            bytes = ticket.job.bytes(),
            answer = failure.text,
            request_id = failure.request_id,
            "segment lost: {why}"
        );
    }

    /// Gives up segments that the server refuses while it accepts others, until another one has room.
    async fn make_room(&self, bytes: usize) {
        while !self.pending.has_room(bytes) {
            let Some((mut ticket, failure)) = self.pending.evict() else { return };
            self.lost(&mut ticket, &failure).await;
            self.pending.give_up(ticket);
        }
    }

    /// Checks the bucket until it answers, or has stored a segment.
    async fn probe(&self) {
        let (mut failures, mut moved) = (0_u32, false);
        loop {
            match self.bucket.probe().await {
                Err(Failure { class: Class::Held(Hold::Region), region: Some(region), .. }) if !moved => {
                    moved = true;
                    self.bucket.move_to(&region);
                }
                Err(failure) if failures == 0 || self.outages.is_unreachable() => {
                    failures = failures.saturating_add(1);
                    let wait = self.bucket.policy.pause(failure.class, failures, fastrand::f64());
                    self.outages.unreachable(&self.bucket, &failure, wait);
                    self.check();
                    tokio::time::sleep(wait).await;
                    if matches!(failure.class, Class::Held(_)) {
                        self.bucket.reconnect();
                    }
                }
                Ok(()) | Err(_) => {
                    self.outages.reachable();
                    tracing::debug!(
                        bucket = self.bucket.name,
                        endpoint = self.bucket.place(),
                        "bucket answers"
                    );
                    return self.check();
                }
            }
        }
    }

    fn check(&self) {
        self.outages.check(&self.bucket, &self.pending);
    }

    /// Reports the full buffer, as long as it is full.
    async fn stay_full<T>(&self, bytes: usize) -> T {
        loop {
            self.make_room(bytes).await;
            self.outages.full(&self.bucket, &self.pending.backlog());
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }
}
