//! `msight store`: the built-in S3 server as a program.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use msight_node::flags::{Secret, listen_addr};
use msight_node::{logs, stop_on_signals};
use tokio_util::sync::CancellationToken;

use super::print_err;
use msight_store::{Access, Keys, Store, StoreConfig};

/// Run an S3 server over a folder: buckets are its folders, objects are files
///
/// For trying a graph without AWS. Without keys every client has access, with unsigned requests and with requests signed by
/// any key.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Address to listen on, or a port of 127.0.0.1; port 0 picks a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000", value_parser = listen_addr)]
    listen: SocketAddr,

    /// Folder of the buckets; created if missing
    #[arg(long, value_name = "DIR", default_value = "msight-store")]
    folder: PathBuf,

    /// Bucket to create
    #[arg(long, value_name = "NAME")]
    bucket: Vec<String>,

    /// Access key ID that clients must use
    #[arg(
        long,
        value_name = "KEY",
        env = "MSIGHT_STORE_ACCESS_KEY",
        hide_env_values = true,
        requires = "secret_key"
    )]
    access_key: Option<Secret>,

    /// Secret access key; set the variable instead to hide it from process listings
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
/// The server cannot listen on the address, or cannot use the folder.
pub async fn run(args: Args) -> Result<()> {
    // A full disk is logged, and a folder that cannot be used.
    let _logs = logs::init("-", "store", logs::Level::Warning, logs::Format::Text)?;
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
    print_err(format_args!("{}\n", store.endpoint()));
    stop.cancelled().await;
    Ok(())
}
