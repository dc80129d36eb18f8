//! The pusher from segments to objects: through every fault of a bucket and of the way to it, and as a program.

mod certificates;
mod durable;
mod faults;
mod node;
mod peers;
mod probe;
mod program;
mod spool;
mod spool_program;
mod support;
mod upload;
