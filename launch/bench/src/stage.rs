//! The order of measurements.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::access_units::{self, AccessUnits};
use super::chain::{Chain, sensor};
use super::delay::Delay;
use super::flags::{Args, Cameras};
use super::installed::{self, Installed, QUALITY, Skipped};
use super::job::Job;
use super::one_process::OneProcess;
use super::peers::{Peer, PeerCost};
use super::progress::{Progress, counted};
use super::quality::{Comparison, Quality};
use super::report::Run;
use super::rig::Rig;
use super::segments::{self, Segment};
use super::window::{Snapshot, WARM_UP, Window, idle};

/// The minimum time to measure the delay to publication.
const DELAYS: Duration = Duration::from_secs(10);

/// The approximate duration of a run with a fixed number of cameras, without the preparation of the stream.
pub(super) fn estimate(args: &Args, fps: u16) -> Duration {
    let windows = args.idle + WARM_UP + args.duration + delay_time(args, fps) + Duration::from_secs(10);
    let (peers, quality) = if args.peers { (3, Duration::from_secs(30)) } else { (0, Duration::ZERO) };
    let packets = if args.packets { WARM_UP + args.duration } else { Duration::ZERO };
    windows + (turn(args) + WARM_UP) * peers + quality + packets
}

/// The time to measure a compared program outside the main window.
fn turn(args: &Args) -> Duration {
    args.duration / 3
}

/// If programs are compared, pictures are kept during the delay measurement until one segment is complete.
fn delay_time(args: &Args, fps: u16) -> Duration {
    let segment = Duration::from_secs_f64(f64::from(args.buffer_size) / f64::from(fps));
    let least = DELAYS.min(args.duration);
    if args.peers { least.max(segment * 2 + Duration::from_secs(1)) } else { least }
}

/// Measures a fixed number of cameras.
pub(super) async fn run(rig: &Rig, args: &Args, progress: &Progress) -> Result<(Window, Run)> {
    let Cameras::Fixed(cameras) = args.cameras else { anyhow::bail!("the number of cameras is not fixed") };
    let mut chain = Chain::start(rig, Job::new(rig, args, "run")).await?;
    let Installed { reference, others, x264, skipped } = match args.peers {
        true => Installed::find(&chain.job, None).await,
        false => Installed::default(),
    };
    let mut skipped = SkippedPeers::new(skipped, progress);
    let mut idled = Vec::new();
    if !args.idle.is_zero() {
        progress.say(format_args!("measuring the idle cost for {:.0} s", args.idle.as_secs_f64()));
        idled = idle(&chain, rig, args.idle).await?;
    }
    let access_units = match args.packets {
        true => Some(access_units(rig, args, &chain.job, &mut skipped).await?),
        false => None,
    };
    let started = chain.begin(rig, cameras).await?;
    let mut peers = Vec::new();
    let mut main = match reference {
        Some(peer) => skipped.unless_failed(peer.name, peer.start(rig).await),
        None => None,
    };
    let mut together = match args.one_process {
        true => Some(OneProcess::start(rig, Job::new(rig, args, "together"), cameras).await?),
        false => None,
    };
    tokio::time::sleep(WARM_UP.min(args.duration)).await;

    let mut beside = if together.is_some() { ", with the nodes in one process" } else { "" }.to_owned();
    if main.is_some() {
        beside += ", with ffmpeg and libx264 ultrafast";
    }
    progress.say(format_args!(
        "main window: {} for {:.0} s{beside}",
        counted(cameras),
        args.duration.as_secs_f64()
    ));
    main.as_mut().map_or(Ok(()), |peer| peer.begin())?;
    together.as_mut().map_or(Ok(()), OneProcess::begin)?;
    let from = Snapshot::take(&chain, rig).await?;
    tokio::time::sleep(args.duration).await;
    let window = from.until(&Snapshot::take(&chain, rig).await?, rig);
    together.as_mut().map_or(Ok(()), OneProcess::end)?;
    chain.check()?;
    if let Some(mut peer) = main {
        peer.end()?;
        peers.push(peer.stop().await?);
    }
    let pair = peers.first().filter(|peer| peer.kept_up);
    let ratio = pair.map(|peer| window.cpu_ms_per_frame() / peer.cpu_ms_per_frame);
    let mut one_process = None;
    if let Some(together) = together {
        let peer = pair.map(|peer| peer.cpu_ms_per_frame);
        one_process = Some(together.finish(rig, window.cpu_ms_per_frame(), peer).await?);
    }

    let time = delay_time(args, chain.job.fps);
    progress.say(format_args!("measuring delays for {:.0} s", time.as_secs_f64()));
    let seen = chain.watch(rig, time, args.peers).await?;
    chain.check()?;
    for peer in others {
        progress.say(format_args!("measuring {} for {:.0} s", peer.name, turn(args).as_secs_f64()));
        peers.extend(skipped.unless_failed(peer.name, take_turn(&peer, rig, turn(args)).await));
    }

    progress.say("stopping the nodes");
    let (folder, job_fps) = (rig.segments_of(&chain.job.name), chain.job.fps);
    let (frames, endings) = chain.finish(rig).await?;
    let segments = segments::read(&folder)?;
    let interval = 1.0 / f64::from(job_fps);
    let checked = segments::check(&segments, args.buffer_size, interval);
    let whole = segments.iter().filter(|(_, segment)| segment.movie.frames == args.buffer_size);
    let object = Delay::of(whole.map(|(_, segment)| segment.delay).collect());
    let mut quality = None;
    if let Some(ffmpeg) = x264 {
        progress.say("measuring the quality against libx264 ultrafast at the same bit rate");
        let of_first = segments.into_iter().filter(|(name, _)| *name == sensor(1));
        let segments: Vec<Segment> = of_first.map(|(_, segment)| segment).collect();
        let comparison = Comparison {
            frames: seen.frames,
            segments,
            fps: job_fps,
            ffmpeg,
            folder: rig.folder().to_owned(),
            group: rig.guard.group(),
        };
        quality = skipped.unless_failed(QUALITY, compare(comparison).await);
    }
    let run = Run {
        start_up_ms: Delay::of(started.iter().map(|ms| ms / 1e3).collect()),
        idle: idled,
        frames_in_segments: checked.frames,
        frames,
        publication: Delay::of(seen.delays),
        object,
        segments: checked,
        endings,
        ratio,
        peers,
        skipped_peers: skipped.all,
        quality,
        one_process,
        access_units,
    };
    Ok((window, run))
}

async fn access_units(
    rig: &Rig,
    args: &Args,
    job: &Job,
    skipped: &mut SkippedPeers<'_>,
) -> Result<AccessUnits> {
    let peer = match installed::copy(job, None) {
        Ok(peer) => Some(peer),
        // The list of compared programs has it already.
        Err(_) if args.peers => None,
        Err(missing) => {
            skipped.add(missing);
            None
        }
    };
    let beside = if peer.is_some() { ", beside ffmpeg without decoding" } else { "" };
    skipped
        .progress
        .say(format_args!("measuring access units for {:.0} s{beside}", args.duration.as_secs_f64()));
    access_units::measure(rig, job, peer.as_ref(), args.duration).await
}

async fn take_turn(peer: &Peer, rig: &Rig, time: Duration) -> Result<PeerCost> {
    let mut running = peer.start(rig).await?;
    tokio::time::sleep(WARM_UP.min(time)).await;
    running.begin()?;
    tokio::time::sleep(time).await;
    running.end()?;
    running.stop().await
}

/// The comparisons that were not made. Each is reported at once, and does not end the run.
struct SkippedPeers<'a> {
    all: Vec<Skipped>,
    progress: &'a Progress,
}

impl<'a> SkippedPeers<'a> {
    /// Reports the comparisons whose programs are missing.
    fn new(missing: Vec<Skipped>, progress: &'a Progress) -> Self {
        let mut this = Self { all: Vec::new(), progress };
        missing.into_iter().for_each(|skipped| this.add(skipped));
        this
    }

    fn add(&mut self, skipped: Skipped) {
        self.progress.say(format_args!("not compared: {skipped}"));
        self.all.push(skipped);
    }

    /// The result of a comparison, unless it failed.
    fn unless_failed<T>(&mut self, name: &str, outcome: Result<T>) -> Option<T> {
        outcome.map_err(|error| self.add(Skipped::new(name, format!("{error:#}")))).ok()
    }
}

async fn compare(comparison: Comparison) -> Result<Quality> {
    let compared = tokio::task::spawn_blocking(move || comparison.run()).await;
    compared.context("the thread of the comparison panicked").flatten()
}
