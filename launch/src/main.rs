//! `msight`: nodes put together, and what runs on a bus.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use msight::catalog::BUILT_IN;
use msight::cmd::{self, bench, camera, check, demo, graph, nodes, reset, status, store, up};
use msight_node::allocation;

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
    Up(up::Args),
    Check(check::Args),
    Graph(graph::Args),
    Nodes(nodes::Args),
    Camera(camera::Args),
    Store(store::Args),
    Bench(Box<bench::Args>),
    #[command(hide = true)]
    BenchHost(bench::HostArgs),
    Status(status::Args),
    Reset(reset::Args),
}

fn main() -> ExitCode {
    // By the name of a node it is that node: one file can be all programs of a small box or image.
    let called = std::env::args_os().next().map(PathBuf::from);
    let called = called.as_deref().and_then(Path::file_name);
    if let Some(entry) = BUILT_IN.iter().find(|entry| called.is_some_and(|name| name == entry.program())) {
        return entry.main();
    }
    allocation::limit();
    match Cli::parse().command {
        Command::Demo(args) => cmd::run(demo::run(*args)),
        Command::Up(args) => cmd::run(up::run(args)),
        Command::Check(args) => cmd::run(check::run(args)),
        Command::Graph(args) => cmd::run(graph::run(args)),
        Command::Nodes(args) => cmd::run(nodes::run(args)),
        Command::Camera(args) => cmd::run(camera::run(args)),
        Command::Store(args) => cmd::run(store::run(args)),
        Command::Bench(args) => cmd::run(bench::run(*args)),
        // Nodes in one process wait far more than they compute, as one alone does.
        Command::BenchHost(args) => cmd::run_on(1, bench::host(args)),
        Command::Status(args) => cmd::run(status::run(args)),
        Command::Reset(args) => cmd::run(reset::run(args)),
    }
}
