//! The running graphs of a user on this machine: how they are found, controlled and logged.
//!
//! Each graph has a folder of its name, which no other user can enter, with
//! - `lock`, locked by the launcher for as long as it lives, however it ends;
//! - `about.json`, its name, project folder, process and jobs;
//! - `ending.json`, the errors of its last stop;
//! - `control`, a Unix socket that takes [`Request`]s;
//! - `log` and `log.1`, the log of a graph in the background, and `errors`, why its launcher died, if it did.

mod control;
mod ending;
mod folder;
mod graph_status;
mod job_status;
mod log_reader;
mod log_writer;
mod registration;

pub(crate) use control::{Answer, Control, PendingRequest, Request};
pub(crate) use ending::{Ending, StopError};
pub(crate) use folder::private;
pub(crate) use graph_status::GraphStatus;
pub(crate) use job_status::{JobStatus, Kind};
pub(crate) use log_reader::LogReader;
pub(crate) use log_writer::{LogRecord, LogWriter};
pub(crate) use registration::{RegisterError, Registration, RunningGraph};
