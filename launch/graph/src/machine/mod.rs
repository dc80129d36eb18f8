//! Plans a graph for this machine, without containers: its nodes as processes or in one process, and the servers that
//! they need.
//!
//! Running servers are used. Others are started, by the program of that name or by one that is built into this
//! launcher. Every difference from the compose file is reported.

mod answer;
mod names;
mod neighbours;
mod node_job;
mod own_program;
mod plan;
mod provide;
mod provider;
mod redis;
mod registered;
mod rtsp;
mod s3;
mod secret_flags;
mod shared_process;
mod start_order;
mod stream;
mod volumes;

pub use own_program::own_program;
pub use plan::{Plan, plan};
pub use registered::RegisteredNode;
pub use shared_process::OneProcess;
