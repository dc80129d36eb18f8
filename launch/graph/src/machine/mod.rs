//! A graph on this machine, without containers: its nodes as processes or together in one, and the servers that they
//! need.
//!
//! What answers already is used; what does not is started, by the program of that name or by what this launcher
//! brings along. Nothing is left out unsaid.

mod answer;
mod names;
mod neighbours;
mod own_program;
mod plan;
mod provide;
mod provider;
mod redis;
mod rtsp;
mod s3;
mod together;
mod volumes;

pub use own_program::own_program;
pub use plan::{Plan, plan};
pub use together::OneProcess;
