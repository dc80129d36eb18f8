//! `msight camera`: the built-in camera as a program.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use msight_node::flags::listen_addr;
use msight_node::stop_on_signals;
use tokio_util::sync::CancellationToken;

use super::print_err;
use msight_camera::{Camera, CameraConfig, LoopVideo};

/// Stream a test picture, or an MP4 file in a loop, over RTSP
///
/// For trying a graph without a camera. The stream needs no password.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Address to listen on, or a port of 127.0.0.1; port 0 picks a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8554", value_parser = listen_addr)]
    listen: SocketAddr,

    /// Path of the stream's URL
    #[arg(long, value_name = "PATH", default_value = "live.stream")]
    path: String,

    /// MP4 file (H.264) to stream in a loop instead of the test picture
    #[arg(long, value_name = "FILE")]
    stream: Option<PathBuf>,
}

/// Streams until a signal.
///
/// # Errors
/// The camera cannot listen on the address, or cannot stream the file.
pub async fn run(args: Args) -> Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let config = CameraConfig { bind: args.listen, path: args.path, ..CameraConfig::default() };
    let camera = match args.stream {
        Some(file) => {
            let recording =
                LoopVideo::open(&file).with_context(|| format!("cannot stream {}", file.display()))?;
            Camera::replay(config, Arc::new(recording)).await?
        }
        None => Camera::start(config).await?,
    };
    print_err(format_args!("{}\n", camera.url()));
    stop.cancelled().await;
    Ok(())
}
