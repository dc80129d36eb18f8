//! `msight`: nodes put together, and what runs on a bus.

use std::process::ExitCode;

use clap::Parser;
use msight::cmd::{self, bench, demo, nodes, reset, status};

/// Video of roadside cameras, from RTSP to S3: see it run, and see what runs
#[derive(Parser)]
#[command(name = "msight", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Demo(Box<demo::Args>),
    Bench(Box<bench::Args>),
    Nodes(nodes::Args),
    Status(status::Args),
    Reset(reset::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(args) => cmd::run(demo::run(*args)),
        Command::Bench(args) => cmd::run(bench::run(*args)),
        Command::Nodes(args) => cmd::run(nodes::run(args)),
        Command::Status(args) => cmd::run(status::run(args)),
        Command::Reset(args) => cmd::run(reset::run(args)),
    }
}
