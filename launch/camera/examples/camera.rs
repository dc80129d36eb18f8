//! The built-in camera alone, for trying players and sources: `cargo run --example camera -- 0.0.0.0:8554`.

#![expect(clippy::print_stderr, reason = "it is a program")]

use msight_camera::{Camera, CameraConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bind = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8554".into()).parse()?;
    let camera = Camera::start(CameraConfig { bind, ..CameraConfig::default() }).await?;
    eprintln!("ffplay -rtsp_transport tcp {}    (Ctrl-C stops the camera)", camera.url());
    tokio::signal::ctrl_c().await?;
    eprintln!("{:?}", camera.stats());
    Ok(())
}
