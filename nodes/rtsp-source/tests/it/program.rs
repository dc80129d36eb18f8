//! The program itself, on a bus of its own.

use std::process::Command;

use msight_test_support::Program;

/// Starts `msight_launch_rtsp` for this camera.
pub(crate) fn start(url: &str, flags: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msight_launch_rtsp"));
    command
        .args(["-n", "test", "-pt", "frames", "-sn", "sensor", "--redis-url", "memory://"])
        .args(flags)
        .env("MSIGHT_RTSP_URL", url)
        .env("MSIGHT_EDGE_DEVICE_NAME", "test");
    Program::start("msight_launch_rtsp", command)
}
