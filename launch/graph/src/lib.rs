//! The graph of a project: its nodes, the topics between them, and the servers they need.
//!
//! A service is a node if the first word of its command line is a node program. The program's description tells which
//! topics it reads and writes. Two nodes are connected if they name the same topic.

pub mod catalog;
mod check;
mod draw;
mod exposed_secrets;
mod far_ends;
mod graph;
mod host_ports;
pub mod machine;
mod message_types;
mod read;
mod server;
mod server_use;
mod spelling;
mod spool_folders;
#[cfg(test)]
mod tutorial;

pub use draw::{Format, draw};
pub use graph::{Graph, GraphContext, Node};
pub use read::read;
pub use server::{Server, ServerKind};
