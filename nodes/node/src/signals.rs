//! Signals that ask a program to stop.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::logs;

/// Signals this close together are one.
const ONE_SIGNAL: Duration = Duration::from_millis(500);

/// How long a process that stops at once waits for its last lines to be written.
const LAST_LINES: Duration = Duration::from_millis(100);

/// Cancels `stop` at the first SIGTERM, SIGINT or SIGHUP, which asks for a graceful stop; the second ends the process
/// at once. SIGHUP is left alone where it is ignored already.
///
/// # Errors
/// The system does not let the process listen to signals.
pub fn stop_on_signals(stop: CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
    // A program that nohup started outlives the terminal.
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
                    warn!("second signal: stopping at once; unfinished work is lost");
                    logs::flush(LAST_LINES);
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
