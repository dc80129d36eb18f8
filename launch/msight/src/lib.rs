//! How nodes are composed: the program `msight`.

mod built_in;
mod cli;
pub mod cmd;
mod programs;
mod reference;
mod running;

pub use built_in::BUILT_IN;
pub use cli::main;
pub use programs::{msight_reset_redis, msight_status};
