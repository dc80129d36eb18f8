//! MSight's `msight_status`: the nodes and topics of the bus. Arguments that `msight status` does not have are ignored,
//! as MSight does, but not in silence.

use std::ffi::OsString;

use clap::Parser;
use msight::cmd::{self, status};

/// Shows the nodes and topics of the bus that the MSIGHT_REDIS_MESSAGE_BROKER_* variables name, as MSight does; the
/// same as `msight status`
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
        // Not which: there may be a password among them.
        let count = ignored.len();
        cmd::say_aside(format_args!(
            "msight_status: arguments that it does not have are ignored, the last {count}\n"
        ));
    }
    cmd::run(status::run(status))
}
