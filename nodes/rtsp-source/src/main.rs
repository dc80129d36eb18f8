//! `msight_launch_rtsp`: see the library.

fn main() -> std::process::ExitCode {
    msight_rtsp_source::ENTRY.main()
}
