//! MSight's `msight_status`: lists nodes and topics. As in MSight, unknown arguments are ignored, but with a warning.

use std::ffi::OsString;

use clap::Parser;
use msight::cmd::{self, status};

/// Show the registered nodes and topics, as `msight status` does, on the Redis server of the
/// MSIGHT_REDIS_MESSAGE_BROKER_* variables
#[derive(Parser)]
#[command(name = "msight_status", version)]
struct Cli {
    #[command(flatten)]
    status: status::Args,

    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    ignored: Vec<OsString>,
}

fn main() -> std::process::ExitCode {
    let Cli { status, ignored } = Cli::parse();
    if !ignored.is_empty() {
        // The arguments are not printed: they may contain a password.
        let count = ignored.len();
        cmd::print_err(format_args!("msight_status: ignored unknown arguments: the last {count}\n"));
    }
    cmd::run(status::run(status))
}
