//! MSight's `msight_status`: the nodes and topics of the bus. Arguments are ignored, as MSight does.

use msight::cmd::{self, status};

fn main() -> std::process::ExitCode {
    cmd::run(status::run(status::Args::default()))
}
