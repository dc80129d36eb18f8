//! `msight`: nodes put together, and what runs on a bus.

use std::process::ExitCode;

fn main() -> ExitCode {
    msight::main(msight::BUILT_IN)
}
