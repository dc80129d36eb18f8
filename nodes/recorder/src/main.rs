//! The program `msight_launch_recorder`.

fn main() -> std::process::ExitCode {
    msight_recorder::ENTRY.main()
}
