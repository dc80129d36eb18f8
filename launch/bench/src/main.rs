//! `msight-bench`: measures the cost of cameras on a machine, with the real programs.
//!
//! The programs are processes beside a real Redis server. The cameras and the S3 server run in this process. The
//! cameras play a stream that was made before, so that they cost almost nothing; their cost is shown separately.

mod access_units;
mod auto;
mod chain;
mod chart;
mod copy;
mod delay;
mod files;
mod flags;
mod frames;
mod installed;
mod job;
mod machine;
mod one_process;
mod peers;
mod programs;
mod progress;
mod quality;
mod report;
mod rig;
mod segments;
mod shared_nodes;
mod stage;
mod table;
mod used;
mod window;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::Parser as _;
use msight_node::{allocation, logs, stop_on_signals};
use tokio_util::sync::CancellationToken;

use self::files::Files;
use self::flags::{Args, Cameras, Format, PictureSize};
use self::job::Job;
use self::machine::Machine;
use self::programs::{find, version};
use self::progress::Progress;
use self::report::{Report, Setup};
use self::rig::Rig;
use self::stage::estimate;
use msight_camera::{CameraConfig, LoopVideo};

/// The length of the test picture's loop in seconds.
const LOOP_SECONDS: u32 = 10;

/// A bit rate that differs more than this from the requested one is reported.
const MAX_DEVIATION: f64 = 0.1;

fn main() -> ExitCode {
    allocation::limit();
    let args = Args::parse();
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let outcome = threads.context("cannot start threads").and_then(|runtime| {
        let outcome = runtime.block_on(run(&args));
        // An interrupted bench may still be making its test picture.
        runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed, the exit status remains.
            let _ = writeln!(io::stderr().lock(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints the results.
///
/// # Errors
/// A program or server is missing or fails, or a signal came before the end. Lost frames are a result, not an error.
async fn run(args: &Args) -> Result<()> {
    // Open the files before the measurement, so that an unwritable one is an error at once.
    let files = Files::open(args)?;
    let _logs = logs::init("bench", "bench", logs::Level::Warning, logs::Format::Text)?;
    let interrupted = CancellationToken::new();
    stop_on_signals(interrupted.clone())?;
    // Dropping the future stops all programs and servers.
    let report = interrupted.run_until_cancelled(measure(args)).await;
    let report = report.unwrap_or_else(|| Err(anyhow!("interrupted; no measurement was completed")))?;

    let json = serde_json::to_string_pretty(&report)? + "\n";
    match args.format {
        Format::Json => print(&json)?,
        Format::Table => print(&report.table())?,
    }
    files.write(&json, chart::draw(&report).as_deref())
}

/// Writes to standard output.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader has closed the pipe, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

async fn measure(args: &Args) -> Result<Report> {
    let progress = Progress::new();
    if args.cameras == Cameras::Auto {
        if args.peers || args.one_process || args.packets {
            progress.say(
                "--peers, --one-process and --packets need a fixed number of cameras; ignored with --cameras auto",
            );
        }
        progress.say(format_args!(
            "searching for the highest number of cameras, {:.0} s per step",
            args.step.as_secs_f64()
        ));
    }
    let rig = Rig::set_up(args, recording(args, &progress)).await?;
    let report = results(&rig, args, &progress).await;
    let taken_down = rig.take_down().await;
    let report = report?;
    taken_down?;
    if !report.is_complete() {
        progress.say("frames are missing from the segments; the results list the losses");
    }
    Ok(report)
}

async fn results(rig: &Rig, args: &Args, progress: &Progress) -> Result<Report> {
    let job = Job::new(rig, args, "");
    if args.copy {
        progress.say(format_args!("expected duration: {:.0} s", copy::estimate(args).as_secs_f64()));
    } else if let Cameras::Fixed(_) = args.cameras {
        progress.say(format_args!("expected duration: {:.0} s", estimate(args, job.fps).as_secs_f64()));
    }
    let (width, height) = rig.recording.size();
    let mut report = Report {
        machine: Machine::this(),
        versions: versions(rig, args.peers || args.packets || args.copy).await,
        setup: Setup {
            cameras: None,
            width,
            height,
            fps: rig.recording.fps(),
            camera_bitrate: rig.recording.bitrate(),
            buffer_size: job.buffer_size,
            bitrate: job.bitrate,
            seconds: args.duration.as_secs_f64(),
        },
        window: None,
        camera_fps: None,
        cpu_ms_per_frame: None,
        run: None,
        steps: Vec::new(),
        cameras_carried: None,
        copied: None,
    };
    match args.cameras {
        _ if args.copy => {
            report.setup.cameras = Some(1);
            report.copied = Some(copy::measure(rig, args, progress).await?);
        }
        Cameras::Fixed(cameras) => {
            let (window, run) = stage::run(rig, args, progress).await?;
            report.setup.cameras = Some(cameras);
            (report.window, report.run) = (Some(window), Some(run));
        }
        Cameras::Auto => {
            report.setup.seconds = args.step.as_secs_f64();
            report.steps = auto::find(rig, args, progress).await?;
            let carried = report.steps.iter().filter(|step| step.too_much.is_none());
            let best = carried.max_by_key(|step| step.cameras);
            report.window = best.and_then(|best| best.window.clone());
            report.cameras_carried = Some(best.map_or(0, |best| best.cameras));
        }
    }
    report.cpu_ms_per_frame = report.window.as_ref().map(window::Window::cpu_ms_per_frame);
    let cameras = report.setup.cameras.or(report.cameras_carried).unwrap_or(0);
    report.camera_fps =
        report.window.as_ref().map(|window| window.frames as f64 / window.seconds / f64::from(cameras));
    Ok(report)
}

/// The stream, made or read in a separate thread, because it takes seconds.
async fn recording(args: &Args, progress: &Progress) -> Result<LoopVideo> {
    let config = CameraConfig {
        width: args.size.width,
        height: args.size.height,
        fps: args.fps.into(),
        bitrate: args.camera_bitrate,
        ..CameraConfig::default()
    };
    if let Some(path) = args.stream.clone() {
        let read = tokio::task::spawn_blocking(move || Ok(LoopVideo::open(&path)?));
        return read.await.context("cannot read the stream").flatten();
    }
    progress.say(format_args!("encoding {LOOP_SECONDS} s of the test picture"));
    let made = match args.copy {
        true => copy::camera_video::encode(args, &copy::ffmpeg().await?).await,
        false => {
            let make = move || Ok(LoopVideo::of_test_picture(&config, LOOP_SECONDS)?);
            let made = tokio::task::spawn_blocking(make).await;
            made.context("the thread of the encoder panicked").flatten()
        }
    };
    let made = made.with_context(|| {
        let PictureSize { width, height } = args.size;
        format!(
            "cannot encode a test picture of {width}x{height} at {} frames/s and {} bit/s; try another --camera-bitrate",
            args.fps, args.camera_bitrate
        )
    })?;
    let (is, wanted) = (made.bitrate() / 1e6, f64::from(args.camera_bitrate) / 1e6);
    if (is / wanted - 1.0).abs() > MAX_DEVIATION {
        progress.say(format_args!(
            "the test picture has {is:.2} Mbit/s instead of {wanted:.2}; choose a --camera-bitrate that suits its size"
        ));
    }
    Ok(made)
}

async fn versions(rig: &Rig, with_peers: bool) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::from([(
        "msight".to_owned(),
        version(&rig.executables.source, "--version").await.unwrap_or_default(),
    )]);
    versions.extend(rig.redis_version().await.map(|said| ("redis-server".to_owned(), said)));
    if with_peers {
        for (program, flag) in [("ffmpeg", "-version"), ("gst-launch-1.0", "--version")] {
            if let Some(path) = find(program, None) {
                versions.extend(version(&path, flag).await.map(|said| (program.to_owned(), said)));
            }
        }
    }
    versions
}
