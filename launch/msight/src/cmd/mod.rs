//! The subcommands of `msight`, one module each.

pub mod camera;
pub mod check;
pub mod completions;
pub mod demo;
pub mod down;
mod files;
pub mod graph;
mod graph_selector;
pub mod healthy;
pub mod inspect;
mod lines;
pub mod links;
pub mod logs;
pub mod man;
pub mod nodes;
pub mod ps;
pub mod repair;
pub mod reset;
pub mod restart;
pub mod shared_process;
pub mod status;
pub mod store;
pub mod up;

use std::fmt;
use std::io::{self, Write as _};
use std::process::{ExitCode, Termination};
use std::time::Duration;

use anyhow::{Context as _, Result};
use msight_bus::{Connection, Error};
use msight_compose::terminal::escaped_json;
use serde_json::Value;

/// Runs a command. An error is printed to standard error with its causes, and the exit status is 1.
pub fn run<T: Termination>(command: impl Future<Output = Result<T>>) -> ExitCode {
    run_on(4, command)
}

/// As [`run`], with this number of worker threads.
pub fn run_on<T: Termination>(threads: usize, command: impl Future<Output = Result<T>>) -> ExitCode {
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("cannot start threads")
        .and_then(|runtime| {
            let outcome = runtime.block_on(command);
            // Threads that still block after the command are not worth waiting for.
            runtime.shutdown_timeout(Duration::from_secs(1));
            outcome
        });
    match outcome {
        Ok(done) => done.report(),
        Err(error) => {
            print_err(format_args!("error: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Connects to the Redis of `url`, else of the environment.
async fn redis(url: Option<&str>) -> Result<Connection> {
    msight_bus::connect(url).await.map_err(|error| match error {
        // The error of a refused connection has the advice.
        Error::Unavailable { .. } => anyhow::Error::from(error).context("no Redis server"),
        refusal => refusal.into(),
    })
}

/// Prints a result to standard output.
fn print(text: impl fmt::Display) -> Result<()> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        // The reader has closed the pipe, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// Prints a JSON document to standard output, indented. Characters that steer a terminal are escaped.
fn print_json(document: &Value) -> Result<()> {
    print(format_args!("{}\n", escaped_json(&format!("{document:#}"))))
}

/// Prints progress to standard error. Errors are ignored.
pub fn print_err(text: impl fmt::Display) {
    let mut err = io::stderr().lock();
    let _ = write!(err, "{text}").and_then(|()| err.flush());
}

/// The columns of the terminal on standard output, if it is one.
fn columns() -> Option<usize> {
    terminal().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The rows of the terminal on standard output, if it is one.
fn rows() -> Option<usize> {
    terminal().map(|size| usize::from(size.ws_row)).filter(|rows| *rows > 0)
}

fn terminal() -> Option<rustix::termios::Winsize> {
    rustix::termios::tcgetwinsize(std::io::stdout()).ok()
}
