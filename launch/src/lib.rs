//! How nodes are composed: the program `msight`, with a camera and a store of its own for where there are none.

pub mod camera;
pub mod catalog;
mod cli;
pub mod cmd;
pub mod compose;
pub mod graph;
mod handoff;
pub mod host;
mod near;
mod running;
mod scrape;
pub mod store;
pub mod supervise;

pub use cli::main;
