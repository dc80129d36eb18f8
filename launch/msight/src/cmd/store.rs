//! `msight store`: the built-in S3 server by itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use msight_node::flags::Secret;
use msight_node::stop_on_signals;
use tokio_util::sync::CancellationToken;

use super::say_aside;
use msight_store::{Access, Keys, Store, StoreConfig};

/// Serves a folder as an S3 server: each bucket is a folder in it, each object a file
///
/// For trying out a graph without AWS. Without keys everybody who reaches the address may use it with requests that are
/// not signed, as `aws --no-sign-request` and the pusher's `--no-sign-request` send them.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 is any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,

    /// The folder; created if missing
    #[arg(long, value_name = "DIR", default_value = "msight-store")]
    folder: PathBuf,

    /// A bucket to create
    #[arg(long, value_name = "NAME")]
    bucket: Vec<String>,

    /// The access key that may use it
    #[arg(
        long,
        value_name = "KEY",
        env = "MSIGHT_STORE_ACCESS_KEY",
        hide_env_values = true,
        requires = "secret_key"
    )]
    access_key: Option<Secret>,

    /// Its secret key; the variable keeps it from whoever lists processes
    #[arg(
        long,
        value_name = "KEY",
        env = "MSIGHT_STORE_SECRET_KEY",
        hide_env_values = true,
        requires = "access_key"
    )]
    secret_key: Option<Secret>,
}

/// Serves until a signal.
///
/// # Errors
/// The address cannot be listened on, or the folder cannot be used.
pub async fn run(args: Args) -> Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let access = match (args.access_key, args.secret_key) {
        (Some(access_key), Some(secret_key)) => {
            Access::Keys(Keys { access_key: access_key.to_string(), secret_key: secret_key.to_string() })
        }
        _ => Access::Anyone,
    };
    let config = StoreConfig { bind: args.listen, root: args.folder, buckets: args.bucket, access };
    let store = Store::start(config).await?;
    say_aside(format_args!("{}\n", store.endpoint()));
    stop.cancelled().await;
    Ok(())
}
