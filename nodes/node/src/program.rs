//! A node as a program of its own.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use msight_bus::Error;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::notify::Notifier;
use crate::prepared::{HostProcess, PreparedNode};
use crate::signals::stop_on_signals;
use crate::{allocation, argparse, logs};

/// The exit code of a bad flag or variable, as argparse has it, or of rights that are missing: another try would end
/// alike.
pub const BAD_USAGE: u8 = 2;

/// Runs the node with everything that belongs to a process: logs, signals, and the exit code.
pub(crate) fn main(program: &str, prepared: Result<PreparedNode, argparse::Error>) -> ExitCode {
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return error.print(),
    };
    let device = match device() {
        Ok(device) => device,
        Err(problem) => return usage_error(program, &problem),
    };
    let flags = &prepared.flags;
    let _logs = match logs::init(&device, &flags.name, flags.logging_level(), flags.log_format) {
        Ok(guard) => guard,
        Err(problem) => return usage_error(program, &format!("{problem:#}")),
    };
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

async fn alone(device: String, prepared: PreparedNode) -> Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let supervisor = Notifier::from_environment();
    let host = HostProcess { connection: None, local: None, device, stop, supervisor };
    // In a task of its own, so that a panic is an error to report and not a silent end.
    match tokio::spawn(prepared.run_alone(host)).await {
        Ok(outcome) => outcome,
        Err(panicked) => Err(panicked).context("the node has failed; please report this"),
    }
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
/// The device name is missing, or the environment asks for another bus than Redis. States what to do.
pub fn device() -> Result<String, String> {
    match std::env::var("MSIGHT_PUBSUB_BACKEND") {
        Ok(backend) if !backend.eq_ignore_ascii_case("redis") => Err(format!(
            "MSIGHT_PUBSUB_BACKEND is {backend:?}, but these nodes speak Redis only; unset it or set it to redis"
        )),
        _ => {
            let problem = match msight_proto::device_name() {
                Some("") => "empty",
                Some(name) => return Ok(name.to_owned()),
                None => "not set",
            };
            Err(format!(
                "MSIGHT_EDGE_DEVICE_NAME is {problem}: it names this device in messages, in the registry and in S3 keys; \
                 set it, for example: export MSIGHT_EDGE_DEVICE_NAME=$(hostname)"
            ))
        }
    }
}

#[expect(clippy::print_stderr, reason = "there are no logs yet")]
fn usage_error(program: &str, problem: &str) -> ExitCode {
    eprintln!("{program}: error: {problem}");
    ExitCode::from(BAD_USAGE)
}
