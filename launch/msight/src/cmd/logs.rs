//! `msight logs`: what a graph in the background has said.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jiff::tz::TimeZone;

use super::lines::Lines;
use super::say;
use super::which::Which;
use crate::running::{Record, Replay, Running};
use msight_compose::near::nearest;

/// How often more is looked for.
const AGAIN: Duration = Duration::from_millis(200);

/// Shows what the nodes of a graph in the background have said, also after its end
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Of these nodes alone, by the names of their services; msight is the launcher
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,

    /// Go on with what they say from now on, until the graph ends
    #[arg(short, long)]
    follow: bool,

    /// Begin with the last N lines [default: all that are kept, 8 to 16 MB]
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<usize>,

    // As in `Which`, but for -f, which is --follow here as in Docker Compose.
    /// A compose file of the graph [default: that of this folder or above]
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,

    /// The graph's name [default: as the file says, else that of its folder]
    #[arg(short, long, value_name = "NAME")]
    project_name: Option<String>,
}

/// Prints the log.
///
/// # Errors
/// There is none, or no such node.
pub async fn run(args: Args) -> Result<()> {
    let name = Which { file: args.file, project_name: args.project_name }.one().await?;
    let running = Running::of(&name).await;
    if let Some(about) = running.as_ref().map(|running| &running.about) {
        if !about.background {
            bail!(
                "{name} runs in the foreground (process {}), which has its lines; `msight up -d` keeps them",
                about.pid
            );
        }
        let known = || about.jobs.iter().map(String::as_str).chain(["msight"]);
        if let Some(unknown) = args.nodes.iter().find(|node| !known().any(|known| known == **node)) {
            let near =
                nearest(unknown, known()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            bail!("there is no {unknown} in {name}{near}");
        }
    }
    let mut replay = match Replay::of(&name) {
        Ok(replay) => replay,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{name} has never run in the background: `msight up -d` starts it")
        }
        Err(error) => return Err(error).context("the log cannot be read"),
    };
    let wanted: BTreeSet<String> = args.nodes.into_iter().collect();
    let is_wanted = |record: &Record| wanted.is_empty() || wanted.contains(&record.job);

    let mut lines = VecDeque::new();
    let mut names = BTreeSet::new();
    replay.read(|record| {
        if is_wanted(&record) {
            names.insert(record.job.clone());
            lines.push_back(record);
            if lines.len() > args.tail.unwrap_or(usize::MAX) {
                lines.pop_front();
            }
        }
    })?;
    if let Some(running) = &running {
        names.extend(
            running.about.jobs.iter().filter(|job| wanted.is_empty() || wanted.contains(*job)).cloned(),
        );
    }
    let drawn = Drawn {
        lines: Lines::new(names.iter().map(String::as_str), io::stdout().is_terminal()),
        zone: TimeZone::system(),
    };
    say(lines.iter().map(|record| drawn.line(record)).collect::<String>())?;
    drop(lines);
    if args.follow && running.is_some() {
        follow(&name, replay, &drawn, is_wanted).await?;
    }
    Ok(())
}

async fn follow(
    name: &str,
    mut replay: Replay,
    drawn: &Drawn,
    is_wanted: impl Fn(&Record) -> bool,
) -> Result<()> {
    loop {
        // What it says last is there when it is gone.
        let is_over = Running::of(name).await.is_none();
        let mut text = String::new();
        replay.read(|record| {
            if is_wanted(&record) {
                text += &drawn.line(&record);
            }
        })?;
        say(text)?;
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
    fn line(&self, record: &Record) -> String {
        let time = record.at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        format!("{time} {}", self.lines.line(&record.job, record.level.as_deref(), &record.text))
    }
}
