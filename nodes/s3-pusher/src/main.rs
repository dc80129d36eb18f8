//! The program `msight_launch_aws_video_pusher`.

fn main() -> std::process::ExitCode {
    msight_s3_pusher::ENTRY.main()
}
