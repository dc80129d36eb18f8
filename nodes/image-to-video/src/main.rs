//! The program `msight_launch_image_to_video_aggregator`; what it does is in the library.

fn main() -> std::process::ExitCode {
    msight_image_to_video::ENTRY.main()
}
