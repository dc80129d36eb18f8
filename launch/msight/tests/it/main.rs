//! The programs as their users run them, against real servers.

mod background;
mod catalog;
mod check;
mod containers;
mod demo;
mod graph;
mod guides;
mod healthy;
mod manual;
mod messages;
mod monitoring;
mod nodes;
mod one_process;
mod pipeline;
mod processes;
mod programs;
mod python_reader;
mod recording_graphs;
mod recordings;
mod redis_faults;
mod sensor_names;
mod slow_consumers;
mod status;
mod systemd;
mod tutorial;
mod up;
