//! A node as a program of its own.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use msight_bus::{Backoff, Bus, Error};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::allocation;
use crate::describe;
use crate::entry::{Entry, Prepared, Setting};
use crate::flags;
use crate::health::{self, Health};
use crate::logs;
use crate::metrics::Metrics;
use crate::{Local, argparse};

/// The exit code of a bad flag or variable, as argparse has it, or of rights that are missing: another try would end
/// alike.
pub const BAD_USAGE: u8 = 2;

/// Signals this close together are one.
const ONE_SIGNAL: Duration = Duration::from_millis(500);

pub(crate) fn main(entry: &Entry) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some((_, line)) = args.split_first().filter(|(first, _)| *first == describe::FLAG) {
        return describe::answer(entry, line);
    }
    let prepared = match entry.prepare(&args, &flags::process) {
        Ok(prepared) => prepared,
        Err(error) => return error.print(),
    };
    let device = match device() {
        Ok(device) => device,
        Err(problem) => return usage_error(entry, &problem),
    };
    let flags = &prepared.flags;
    if let Err(problem) = logs::init(&device, &flags.name, flags.logging_level(), flags.log_format) {
        return usage_error(entry, &problem.to_string());
    }
    allocation::limit();
    // A node waits far more than it computes; decoders and encoders have threads of their own. A second worker
    // would be woken to look for work whenever the first has some.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(alone(device, prepared));
            // What still blocks has had its grace; the process does not wait for it.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(error).context("cannot start the node's threads"),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

async fn alone(device: String, prepared: Prepared) -> Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    // In a task of its own, so that a panic is an error to report and not a silent end.
    match tokio::spawn(run(prepared, None, None, device, stop)).await {
        Ok(outcome) => outcome,
        Err(panicked) => Err(panicked).context("the node has failed; please report this"),
    }
}

/// Runs a node with metrics where its flags ask for them, and on the bus that they name unless there is one already.
pub(crate) async fn run(
    prepared: Prepared,
    bus: Option<Arc<dyn Bus>>,
    local: Option<Local>,
    device: String,
    stop: CancellationToken,
) -> Result<()> {
    let (metrics, health) = (Metrics::default(), Health::default());
    let served = stop.child_token();
    let _until_the_end = served.clone().drop_guard();
    if let Some(address) = prepared.flags.metrics {
        let address = health::serve(address, metrics.clone(), health.clone(), served).await?;
        info!("metrics at http://{address}/metrics");
    }
    health.set_reason("waiting for the bus");
    let bus = match bus {
        Some(bus) => bus,
        None => match connect(prepared.flags.redis_url.as_deref(), &stop).await? {
            Some(bus) => bus,
            None => return Ok(()),
        },
    };
    (prepared.run)(prepared.flags, Setting { bus, local, device, metrics, health, stop }).await
}

/// The bus, as soon as there is one; `None` when the node is stopped meanwhile.
async fn connect(url: Option<&str>, stop: &CancellationToken) -> Result<Option<Arc<dyn Bus>>> {
    let mut backoff = Backoff::reconnecting();
    let mut said: Option<Instant> = None;
    let begun = Instant::now();
    loop {
        match msight_bus::connect(url).await {
            Ok(bus) => {
                if said.is_some() {
                    info!(bus = bus.describe(), "connected after {:.1} s", begun.elapsed().as_secs_f64());
                }
                return Ok(Some(bus));
            }
            Err(error @ Error::Unavailable { .. }) => {
                // At first, and then twice a minute.
                if said.is_none_or(|at| at.elapsed() >= Duration::from_secs(30)) {
                    said = Some(Instant::now());
                    warn!("{error}; waiting for it");
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(backoff.delay()) => {}
        }
    }
}

/// Cancels `stop` at the first SIGTERM, SIGINT or SIGHUP, which asks for a graceful stop; the second ends the process
/// at once. SIGHUP is left alone where it is ignored already.
///
/// # Errors
/// The system does not let the process listen to signals.
pub fn stop_on_signals(stop: CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
    // Who was started by nohup outlives the terminal.
    let mut hangup = match hangups_are_ignored() {
        true => None,
        false => Some(signal(SignalKind::hangup()).context("cannot listen to SIGHUP")?),
    };
    tokio::spawn(async move {
        let mut asked: Option<Instant> = None;
        loop {
            let number = tokio::select! {
                _ = terminate.recv() => 15,
                _ = interrupt.recv() => 2,
                Some(_) = async { hangup.as_mut()?.recv().await } => 1,
            };
            match asked {
                None => {
                    info!("stopping; a second signal stops at once");
                    stop.cancel();
                    asked = Some(Instant::now());
                }
                // One Ctrl-C may come twice, from the terminal and from the parent process.
                Some(at) if at.elapsed() < ONE_SIGNAL => {}
                Some(_) => {
                    warn!("stopped at once by a second signal; what was under way is lost");
                    std::process::exit(128 + number);
                }
            }
        }
    });
    Ok(())
}

/// Whether this process was started with SIGHUP ignored (proc(5), `SigIgn`).
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// The status with which a program ends for this error of its node: 2 where another try would end alike, for a bad flag
/// or variable and when Redis refuses, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Error>() {
        Some(Error::Invalid(_) | Error::Refused { .. }) => BAD_USAGE,
        None if error.is::<argparse::Error>() => BAD_USAGE,
        _ => 1,
    }
}

/// The device's name from the environment, which MSight requires too.
///
/// # Errors
/// There is none, or the environment asks for another bus than Redis: what to do.
pub fn device() -> Result<String, String> {
    match std::env::var("MSIGHT_PUBSUB_BACKEND") {
        Ok(backend) if !backend.eq_ignore_ascii_case("redis") => Err(format!(
            "MSIGHT_PUBSUB_BACKEND is {backend:?}, but these nodes speak Redis only; unset it or set it to redis"
        )),
        _ => msight_proto::device_name().map(str::to_owned).ok_or_else(|| {
            "MSIGHT_EDGE_DEVICE_NAME is not set. It names this device in messages, in the registry and in S3 keys; \
             set it, for example: export MSIGHT_EDGE_DEVICE_NAME=$(hostname)"
                .to_owned()
        }),
    }
}

#[expect(clippy::print_stderr, reason = "there are no logs yet")]
fn usage_error(entry: &Entry, problem: &str) -> ExitCode {
    eprintln!("{}: error: {problem}", entry.program());
    ExitCode::from(BAD_USAGE)
}
