//! What the kit does for every node: its command line, its runner, its topics within a process, and a real Redis server.

mod acknowledgements;
mod argparse;
mod examples;
mod local;
mod metrics;
mod optional_topic;
mod ports;
mod publishing;
mod redis;
mod runner;
mod running;
mod several_types;
