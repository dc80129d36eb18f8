//! MSight's `msight_reset_redis` as a program of its own.

fn main() -> std::process::ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    msight::msight_reset_redis(&args)
}
