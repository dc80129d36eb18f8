//! MSight's `msight_reset_redis`: deletes the registry without confirmation.

use clap::Parser as _;
use msight::cmd::{self, reset};

fn main() -> std::process::ExitCode {
    cmd::run(reset::run_as_msight(reset::MsightArgs::parse()))
}
