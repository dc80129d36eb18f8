//! Runs the demo's graph as `msight up --one-process` does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::future::join3;
use msight_compose::{Finding, Options, Severity, Source};
use msight_contract::traffic;
use msight_graph::catalog::Catalog;
use msight_graph::machine::{OneProcess, plan};
use msight_graph::{GraphContext, read};
use msight_node::Entry;
use msight_s3_pusher::metrics;
use msight_supervise::scrape::Counters;
use msight_supervise::{JobLines, Line, Phase, State, States, Supervisor};
use tokio::time::timeout;

/// The graph of the tutorial.
const GRAPH: &str = include_str!("graph.yaml");

/// The services, with the names of the tutorial.
pub(super) const SOURCE: &str = "rtsp_node";
pub(super) const AGGREGATOR: &str = "image_aggregator";
pub(super) const PUSHER: &str = "video_pusher";

/// Its topics.
const TOPICS: [&str; 2] = ["rtsp_topic", "aggregated_video"];

/// The time limit for a node to become ready.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The number of segments that may wait while the bucket refuses uploads.
const MAX_WAITING: u64 = 3;

/// The settings of the graph.
#[derive(Default)]
pub(super) struct Settings {
    /// The variables of the graph, in addition to those of this process.
    pub(super) variables: BTreeMap<String, String>,
    /// Flags of a service in addition to those of the graph.
    pub(super) flags: Vec<(&'static str, Vec<String>)>,
    /// Whether the topics are also published on Redis.
    pub(super) is_on_redis: bool,
}

/// The running nodes.
pub(super) struct Nodes {
    supervisor: Supervisor,
    states: States,
    lines: JobLines,
    begun: Instant,
    are_ready: bool,
    counts: Counts,
}

/// The counters of the nodes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Frames that the source has published.
    pub(super) published: u64,
    /// Frames that the aggregator has received.
    pub(super) taken: u64,
    /// Segments that the aggregator has published.
    pub(super) segments: u64,
    /// Segments that are in the bucket.
    pub(super) uploaded: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Whether the pusher waits until an operator fixes the cause of a refusal.
    pub(super) is_held: bool,
}

/// The state of the nodes.
pub(super) enum Stage {
    /// Some readers are not ready.
    Starting,
    /// All readers are ready.
    Running,
    /// The camera's stream has ended.
    Over,
}

impl Nodes {
    /// Starts the nodes of the graph that these entries are.
    ///
    /// # Errors
    /// A flag has an invalid value, or no process can be started.
    pub(super) async fn start(entries: &[Entry], settings: Settings) -> Result<Self> {
        let mut options = Options::from_process().context("the current folder is gone")?;
        // A `.env` of the current folder is for another graph.
        options.ignores_env_file = true;
        options.variables.extend(settings.variables);
        let source = Source::Text { name: "graph.yaml".to_owned(), text: GRAPH.to_owned() };
        let reading = msight_compose::read(&[source], &options);
        refuse(&reading.findings)?;
        let catalog = Catalog::new(entries, None);
        let around = GraphContext { variables: options.variables, ..GraphContext::default() };
        let (graph, findings) = read(&reading.project, &catalog, &around).await;
        refuse(&findings)?;
        let expose = TOPICS.iter().filter(|_| settings.is_on_redis).map(|topic| (*topic).to_owned());
        let one_process = OneProcess { expose: expose.collect(), ..OneProcess::default() };
        let mut plan = plan(&reading.project, &graph, &catalog, &[], Some(&one_process)).await;
        refuse(&plan.findings)?;
        for (service, flags) in settings.flags {
            let job = plan.jobs.iter_mut().find(|job| job.name == service);
            job.with_context(|| format!("the graph has no {service}"))?.args.extend(flags);
        }
        let (supervisor, lines) = Supervisor::start(plan.jobs)?;
        let states = supervisor.states();
        let (begun, counts) = (Instant::now(), Counts::default());
        Ok(Self { supervisor, states, lines, begun, are_ready: false, counts })
    }

    /// The next line that a node logs.
    pub(super) async fn line(&mut self) -> Option<Line> {
        self.lines.recv().await
    }

    /// The state of the nodes.
    ///
    /// # Errors
    /// A node has failed, is not ready in time, or has ended by itself although it is not the source.
    pub(super) fn stage(&mut self) -> Result<Stage> {
        self.check()?;
        let mut is_over = false;
        for (name, state) in self.states.iter().filter(|(_, state)| state.phase == Phase::Ended) {
            if name != SOURCE {
                bail!("the node {name} has ended by itself, {}", state.phase);
            }
            is_over = true;
        }
        if is_over {
            return Ok(Stage::Over);
        }
        // Do not wait for the source: a camera may take its time, and the progress shows it.
        let mut others = self.states.iter().filter(|(name, _)| *name != SOURCE);
        let unready = others.find(|(_, state)| state.phase != Phase::Ready);
        match unready {
            None => self.are_ready = true,
            Some((name, state)) if !self.are_ready && self.begun.elapsed() > START_TIMEOUT => {
                bail!("the node {name} does not start: {}", state.phase);
            }
            Some(_) => {}
        }
        Ok(if self.are_ready { Stage::Running } else { Stage::Starting })
    }

    /// Fails if a node has failed.
    fn check(&self) -> Result<()> {
        let why = |state: &State| match &state.phase {
            Phase::Failed(why) | Phase::LeftOut(why) => Some(why.clone()),
            _ => None,
        };
        match self.states.iter().find_map(|(name, state)| Some((name.to_owned(), why(&state)?))) {
            Some((name, why)) => bail!("the node {name}: {why}"),
            None => Ok(()),
        }
    }

    /// The current counters of the nodes that answer quickly.
    pub(super) async fn counts(&mut self) -> Counts {
        self.counts.update(&self.states).await;
        self.counts
    }

    /// The error that the camera has sent no frame for this time.
    pub(super) fn silence(&self, seconds: u64) -> String {
        format!("no frame from the camera for {seconds} s{}; check the camera and --url", self.reason(SOURCE))
    }

    /// The error that the bucket accepts no segment.
    pub(super) fn refusal(&self, advice: &str) -> String {
        format!("the bucket accepts no segment{}; {advice}", self.reason(PUSHER))
    }

    /// What a node reports about its state, in parentheses.
    fn reason(&self, name: &str) -> String {
        match self.states.of(name).map(|state| state.phase) {
            Some(Phase::Starting(why) | Phase::Unready(why) | Phase::Failed(why)) if !why.is_empty() => {
                format!(" ({why})")
            }
            _ => String::new(),
        }
    }

    /// Why no segment is stored, for an error message: the first node in the order of the pipeline that has done nothing.
    pub(super) async fn cause(&mut self) -> String {
        let Counts { published, segments, .. } = self.counts().await;
        if published == 0 {
            return format!("no frame from the camera{}; check --url", self.reason(SOURCE));
        }
        if segments == 0 {
            return "no segment was complete; run longer, or choose a smaller --buffer-size".to_owned();
        }
        format!("no upload was accepted{}; run again with --logging-level INFO", self.reason(PUSHER))
    }

    /// Stops the nodes one by one from the source on, so that each can finish its messages. Passes each log line to
    /// `take`.
    ///
    /// # Errors
    /// A node has failed.
    pub(super) async fn stop(mut self, mut take: impl FnMut(&Line)) -> Result<Counts> {
        let outcome = self.check();
        let stopping = self.supervisor.stop();
        tokio::pin!(stopping);
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                () = &mut stopping => break,
                Some(line) = self.lines.recv() => take(&line),
                // A node's counters are gone when it ends.
                _ = tick.tick() => self.counts.update(&self.states).await,
            }
        }
        while let Some(line) = self.lines.try_recv() {
            take(&line);
        }
        outcome?;
        let failed = self.states.iter().find(|(_, state)| matches!(state.phase, Phase::Failed(_)));
        if let Some((name, state)) = failed {
            bail!("the node {name} {}", state.phase);
        }
        Ok(self.counts)
    }
}

impl Counts {
    async fn update(&mut self, states: &States) {
        let [source, aggregator, pusher] = [SOURCE, AGGREGATOR, PUSHER].map(|name| counters(states, name));
        let (source, aggregator, pusher) = join3(source, aggregator, pusher).await;
        if let Some(source) = source {
            self.published = source.total(&traffic::PUBLISHED);
        }
        if let Some(aggregator) = aggregator {
            self.taken = aggregator.total(&traffic::RECEIVED);
            self.segments = aggregator.total(&traffic::PUBLISHED);
        }
        if let Some(pusher) = pusher {
            self.uploaded = pusher.total(&metrics::UPLOADED);
            self.bytes = pusher.total(&metrics::UPLOADED_BYTES);
            self.is_held = pusher.total(&metrics::HELD) > 0;
        }
    }

    /// Whether uploads are refused for longer than a moment: several segments wait for an operator.
    pub(super) fn is_refused(&self) -> bool {
        self.is_held && self.segments.saturating_sub(self.uploaded) >= MAX_WAITING
    }
}

/// The counters of a node that serves them.
async fn counters(states: &States, name: &str) -> Option<Counters> {
    const PATIENCE: Duration = Duration::from_millis(300);
    timeout(PATIENCE, Counters::of(states.of(name)?.metrics?)).await.ok()?.ok()
}

/// Fails with the first error of the findings.
fn refuse(findings: &[Finding]) -> Result<()> {
    let Some(wrong) = findings.iter().find(|finding| finding.severity == Severity::Error) else {
        return Ok(());
    };
    match &wrong.help {
        Some(help) => bail!("{}; {help}", wrong.message),
        None => bail!("{}", wrong.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graph_is_read_without_a_finding() {
        let source = Source::Text { name: "graph.yaml".to_owned(), text: GRAPH.to_owned() };
        let variables =
            ["URL", "RTSP_TRANSPORT", "FPS", "BUFFER_SIZE", "OVERLAP_SIZE", "BUCKET_NAME", "PREFIX"];
        let variables =
            variables.iter().chain(&["LOGGING_LEVEL"]).map(|name| (format!("DEMO_{name}"), "1".to_owned()));
        let options = Options { variables: variables.collect(), ..Options::default() };
        let reading = msight_compose::read(&[source], &options);
        assert!(reading.findings.is_empty(), "{:?}", reading.findings);
        let names: Vec<&str> = reading.project.services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names, [SOURCE, AGGREGATOR, PUSHER]);
    }
}
