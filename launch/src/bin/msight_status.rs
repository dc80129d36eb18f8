//! MSight's `msight_status`: the nodes and topics of the bus. Other arguments than `--help` and `--version` are
//! ignored, as MSight does.

use std::ffi::OsString;

use clap::Parser;
use msight::cmd::{self, status};

/// Shows the nodes and topics of the bus that the MSIGHT_REDIS_MESSAGE_BROKER_* variables name, as MSight does;
/// `msight status` can do more
#[derive(Parser)]
#[command(name = "msight_status", version)]
struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _ignored: Vec<OsString>,
}

fn main() -> std::process::ExitCode {
    Args::parse();
    cmd::run(status::run(status::Args::default()))
}
