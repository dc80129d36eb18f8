//! MSight's `msight_status` as a program of its own.

fn main() -> std::process::ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    msight::msight_status(&args)
}
