//! `msight camera`: the built-in camera by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use msight_node::stop_on_signals;
use tokio_util::sync::CancellationToken;

use super::say_aside;
use msight_camera::{Camera, CameraConfig, LoopVideo};

/// Serves a test picture, or a recording in a loop, over RTSP
///
/// For trying out a graph without a camera. Everybody who reaches the address may watch.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 is any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8554")]
    listen: SocketAddr,

    /// The path of the stream's address
    #[arg(long, value_name = "PATH", default_value = "live.stream")]
    path: String,

    /// Show this MP4 file (H.264) in a loop instead of the test picture
    #[arg(long, value_name = "FILE")]
    stream: Option<PathBuf>,
}

/// Serves until a signal.
///
/// # Errors
/// The address cannot be listened on, or the file cannot be shown.
pub async fn run(args: Args) -> Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let config = CameraConfig { bind: args.listen, path: args.path, ..CameraConfig::default() };
    let camera = match args.stream {
        Some(file) => {
            let recording =
                LoopVideo::open(&file).with_context(|| format!("cannot show {}", file.display()))?;
            Camera::replay(config, Arc::new(recording)).await?
        }
        None => Camera::start(config).await?,
    };
    say_aside(format_args!("{}\n", camera.url()));
    stop.cancelled().await;
    Ok(())
}
