//! The command line of `msight`.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};
use msight_node::{Entry, allocation};

use crate::cmd::{
    self, camera, check, completions, demo, down, graph, healthy, inspect, links, logs, man, nodes, ps,
    repair, reset, restart, shared_process, status, store, up,
};
use crate::programs::Program;

/// Run and check camera pipelines from RTSP to S3
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
    Ps(ps::Args),
    Logs(logs::Args),
    Restart(restart::Args),
    Down(down::Args),
    Check(check::Args),
    Graph(graph::Args),
    Nodes(nodes::Args),
    Inspect(inspect::Args),
    Repair(repair::Args),
    Camera(camera::Args),
    Store(store::Args),
    Links(links::Args),
    Completions(completions::Args),
    Man(man::Args),
    /// Run the nodes of `up --one-process`
    #[command(hide = true)]
    SharedProcess,
    Status(status::Args),
    Healthy(healthy::Args),
    Reset(reset::Args),
}

/// The program `msight` with these built-in nodes. They can run in `msight up --one-process` and are listed by
/// `msight nodes`. If the program is called by the name of a node, or with that name as its first argument, it is that
/// node, so that a small box or image needs only one file. The same holds for MSight's `msight_status` and
/// `msight_reset_redis`.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     msight::main(msight::BUILT_IN)
/// }
/// ```
pub fn main(entries: &[Entry]) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    // A link has the program's name. A package that cannot contain links passes the name as the first argument.
    for (at, name) in args.iter().take(2).enumerate() {
        let name = Path::new(name).file_name().and_then(OsStr::to_str);
        if let Some(program) = name.and_then(|name| Program::find(name, entries)) {
            return program.run(&args[at + 1..]);
        }
    }
    allocation::limit();
    match Cli::parse_from(with_plain_help(args)).command {
        Command::Demo(args) => cmd::run(demo::run(*args, entries)),
        Command::Up(args) => cmd::run(up::run(args, entries)),
        Command::Ps(args) => cmd::run(ps::run(args)),
        Command::Logs(args) => cmd::run(logs::run(args)),
        Command::Restart(args) => cmd::run(restart::run(args)),
        Command::Down(args) => cmd::run(down::run(args)),
        Command::Check(args) => cmd::run(check::run(args, entries)),
        Command::Graph(args) => cmd::run(graph::run(args, entries)),
        Command::Nodes(args) => cmd::run(nodes::run(args, entries)),
        Command::Inspect(args) => cmd::run(inspect::run(args)),
        Command::Repair(args) => cmd::run(repair::run(args)),
        Command::Camera(args) => cmd::run(camera::run(args)),
        Command::Store(args) => cmd::run(store::run(args)),
        Command::Links(args) => cmd::run(links::run(args, entries)),
        Command::Completions(args) => cmd::run(completions::run(args, Cli::command(), entries)),
        Command::Man(args) => cmd::run(man::run(args, Cli::command(), entries)),
        Command::SharedProcess => cmd::run_on(shared_process::threads(entries), shared_process::run(entries)),
        Command::Status(args) => cmd::run(status::run(args)),
        Command::Healthy(args) => cmd::run_on(1, healthy::run(args)),
        Command::Reset(args) => cmd::run(reset::run(args)),
    }
}

/// The arguments, with `help --help` as `--help`: clap's `help` takes no flags.
fn with_plain_help(mut args: Vec<OsString>) -> Vec<OsString> {
    let is_help =
        |at: usize, words: &[&str]| args.get(at).is_some_and(|arg| words.iter().any(|word| arg == word));
    if args.len() == 3 && is_help(1, &["help"]) && is_help(2, &["--help", "-h"]) {
        args.remove(1);
    }
    args
}
