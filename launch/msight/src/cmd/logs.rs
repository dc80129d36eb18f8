//! `msight logs`: the log of a graph in the background.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jiff::tz::TimeZone;

use super::graph_selector::GraphSelector;
use super::lines::Lines;
use super::print;
use crate::running::{LogReader, LogRecord, RunningGraph};
use msight_contract::suggest::closest;

/// The interval at which the log is read again.
const AGAIN: Duration = Duration::from_millis(200);

/// Show the log of a graph in the background, also after it has ended
///
/// The log is in ~/.local/state/msight/NAME (or $XDG_STATE_HOME/msight/NAME): the files log and log.1, of 8 MB each.
/// -f follows it, as in Docker Compose; a compose file is named by --file.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Show only these nodes, by service name; msight is the launcher itself
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,

    /// Follow the log until the graph ends
    #[arg(short, long)]
    follow: bool,

    /// Start with the last N lines [default: all stored lines, 8 to 16 MB]
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<usize>,

    // As in `GraphSelector`, but for -f, which is --follow here as in Docker Compose.
    /// Compose file of the graph [default: compose.yaml in this folder or above]
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,

    /// Name of the graph [default: `name` in the file, else the folder's name]
    #[arg(short, long, value_name = "NAME")]
    project_name: Option<String>,
}

/// Prints the log.
///
/// # Errors
/// There is no log, or no such node.
pub async fn run(args: Args) -> Result<()> {
    let name = GraphSelector { file: args.file, project_name: args.project_name }.one().await?;
    let running = RunningGraph::of(&name).await;
    if let Some(about) = running.as_ref().map(|running| &running.about) {
        if !about.background {
            bail!(
                "graph {name} runs in the foreground (process {}) and has no stored log; `msight up -d` stores it",
                about.pid
            );
        }
        check_names(&name, &args.nodes, &about.jobs)?;
    }
    let mut reader = match LogReader::of(&name) {
        Ok(reader) => reader,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("graph {name} has no stored log; start it in the background with `msight up -d`")
        }
        Err(error) => return Err(error).context("cannot read the log"),
    };
    let wanted: BTreeSet<String> = args.nodes.into_iter().collect();
    let is_wanted = |record: &LogRecord| wanted.is_empty() || wanted.contains(&record.job);

    let mut lines = VecDeque::new();
    let (mut names, mut logged) = (BTreeSet::new(), BTreeSet::new());
    reader.read(|record| {
        if !logged.contains(&record.job) {
            logged.insert(record.job.clone());
        }
        if is_wanted(&record) {
            names.insert(record.job.clone());
            lines.push_back(record);
            if lines.len() > args.tail.unwrap_or(usize::MAX) {
                lines.pop_front();
            }
        }
    })?;
    if running.is_none() {
        // A graph that has ended is known by its log only.
        check_names(&name, wanted.iter(), &logged)?;
    }
    if let Some(running) = &running {
        names.extend(
            running.about.jobs.iter().filter(|job| wanted.is_empty() || wanted.contains(*job)).cloned(),
        );
    }
    let drawn = Drawn {
        lines: Lines::new(names.iter().map(String::as_str), io::stdout().is_terminal()),
        zone: TimeZone::system(),
    };
    print(lines.iter().map(|record| drawn.line(record)).collect::<String>())?;
    drop(lines);
    if args.follow && running.is_some() {
        follow(&name, reader, &drawn, is_wanted).await?;
    }
    Ok(())
}

/// Checks the names of nodes against those of the graph.
fn check_names<'a>(
    graph: &str,
    asked: impl IntoIterator<Item = &'a String>,
    jobs: impl IntoIterator<Item = &'a String>,
) -> Result<()> {
    let known: Vec<&str> = jobs.into_iter().map(String::as_str).chain(["msight"]).collect();
    let Some(unknown) = asked.into_iter().find(|node| !known.contains(&node.as_str())) else { return Ok(()) };
    match closest(unknown, known.iter().copied()) {
        Some(near) => bail!("graph {graph} has no node {unknown}; did you mean {near}?"),
        None => bail!("graph {graph} has no node {unknown}; its nodes: {}", known.join(", ")),
    }
}

async fn follow(
    name: &str,
    mut reader: LogReader,
    drawn: &Drawn,
    is_wanted: impl Fn(&LogRecord) -> bool,
) -> Result<()> {
    loop {
        // Check for the end before reading, so that the last lines are not missed.
        let is_over = RunningGraph::of(name).await.is_none();
        let mut text = String::new();
        reader.read(|record| {
            if is_wanted(&record) {
                text += &drawn.line(&record);
            }
        })?;
        print(text)?;
        if is_over {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

struct Drawn {
    lines: Lines,
    zone: TimeZone,
}

impl Drawn {
    fn line(&self, record: &LogRecord) -> String {
        let time = record.at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        format!("{time} {}", self.lines.line(&record.job, record.level.as_deref(), &record.text))
    }
}
