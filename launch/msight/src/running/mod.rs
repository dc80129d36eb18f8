//! The running graphs of a user on this machine: how they are found, controlled and logged.
//!
//! Each graph has a folder of its name, which no other user can enter, with
//! - `lock`, locked by the launcher for as long as it lives, however it ends;
//! - `about.json`, who it is;
//! - `control`, a Unix socket that takes [`Ask`]s;
//! - `log` and `log.1`, what a graph in the background has said, and `errors`, what its launcher died of, if it did.

mod control;
mod folder;
mod mark;
mod record;
mod replay;
mod standing;
mod survey;

pub(crate) use control::{Answer, Ask, Asked, Control};
pub(crate) use mark::{Mark, Refused, Running};
pub(crate) use record::{Record, Recorder};
pub(crate) use replay::Replay;
pub(crate) use standing::{Kind, Standing};
pub(crate) use survey::Survey;
