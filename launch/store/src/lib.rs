//! A local S3 server that stores objects as files in a folder.
//!
//! It implements the S3 protocol and checks signatures, so a client that works with it works with AWS. Bucket `b` and
//! key `a/c.mp4` are the file `<root>/b/a/c.mp4`. What is not an object is in the hidden folder `<root>/.msight-store`.
//! An object is on the disk when its upload is acknowledged, and survives a power cut.

mod answer;
mod disk;
mod durable;
mod fence;
mod home;
mod listing;
mod objects;
mod put;
mod server;
mod unsigned;
mod videos;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use fence::Fence;
use home::Home;
use msight_listener::Listener;
use msight_segment::{InvalidBucketName, check_bucket_name};
use objects::Objects;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use unsigned::NoKeys;

pub use videos::videos;

/// Where the objects are, and who may store them.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The address to listen on; port 0 picks a free port.
    pub bind: SocketAddr,
    /// The folder of the buckets; created if missing.
    pub root: PathBuf,
    /// Buckets to create at the start, each a folder in `root`.
    pub buckets: Vec<String>,
    /// Who has access.
    pub access: Access,
}

impl StoreConfig {
    /// A store in `root` on a free port of the loopback address, without buckets, with random keys.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            bind: (Ipv4Addr::LOCALHOST, 0).into(),
            root: root.into(),
            buckets: Vec::new(),
            access: Access::RandomKeys,
        }
    }
}

/// Who has access to a store.
#[derive(Clone, Debug)]
pub enum Access {
    /// Clients with these keys.
    Keys(Keys),
    /// Clients with the random keys that [`Store::keys`] returns.
    RandomKeys,
    /// Every client; requests need no signature, and one that they have does not count.
    Anyone,
}

/// A pair of AWS keys. `Debug` hides the secret key.
#[derive(Clone)]
pub struct Keys {
    /// The access key ID.
    pub access_key: String,
    /// The secret access key, which signs requests.
    pub secret_key: String,
}

impl Keys {
    fn random() -> Result<Self, Error> {
        let mut bytes = [0; 30];
        getrandom::fill(&mut bytes).map_err(Error::Random)?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let (access_key, secret_key) = hex.split_at(20);
        Ok(Self { access_key: access_key.into(), secret_key: secret_key.into() })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// Why a store cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket name is not allowed in S3.
    #[error(transparent)]
    Bucket(#[from] InvalidBucketName),
    /// A folder cannot be created or opened.
    #[error("store cannot use folder {}: {reason}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The address is in use or not one of this machine.
    #[error("store cannot listen on {address}; choose another port, or 0 for a free one")]
    Bind {
        /// The requested address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The system provided no random numbers for the keys.
    #[error("cannot generate random keys for the store")]
    Random(#[source] getrandom::Error),
}

/// A store that runs until it is dropped.
#[derive(Debug)]
pub struct Store {
    address: SocketAddr,
    root: PathBuf,
    keys: Keys,
    _stop: DropGuard,
}

impl Store {
    /// Creates the folders and starts to listen.
    ///
    /// # Errors
    /// [`Error`] tells what to change.
    pub async fn start(config: StoreConfig) -> Result<Self, Error> {
        let StoreConfig { bind, root, buckets, access } = config;
        for bucket in &buckets {
            check_bucket_name(bucket)?;
        }
        for folder in buckets.iter().map(|bucket| root.join(bucket)).chain([root.clone()]) {
            tokio::fs::create_dir_all(&folder)
                .await
                .map_err(|error| Error::Folder { path: folder, reason: error.to_string() })?;
        }
        let is_open = matches!(access, Access::Anyone);
        let keys = match access {
            Access::Keys(keys) => keys,
            Access::RandomKeys | Access::Anyone => Keys::random()?,
        };
        let unusable = |reason: String| Error::Folder { path: root.clone(), reason };
        let home = Home::open(&root).map_err(|error| unusable(error.to_string()))?;
        durable::sync_folder(&root).map_err(|error| unusable(error.to_string()))?;
        let files = FileSystem::new(home.folder()).map_err(|error| unusable(format!("{error:?}")))?;
        let mut service = S3ServiceBuilder::new(Objects::new(home.clone(), files));
        if is_open {
            service.set_auth(NoKeys);
        } else {
            service.set_auth(SimpleAuth::from_single(keys.access_key.as_str(), keys.secret_key.as_str()));
        }
        service.set_access(Fence { home, is_open });

        let bind_error = |source| Error::Bind { address: bind, source };
        let listener = TcpListener::bind(bind).await.map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        let stop = CancellationToken::new();
        let listener = Listener::new("store", listener, server::LIMITS);
        tokio::spawn(server::serve(listener, service.build(), is_open, stop.clone()));
        Ok(Self { address, root, keys, _stop: stop.drop_guard() })
    }

    /// The endpoint URL for S3 clients, `http://127.0.0.1:9000`. Clients must use path-style addressing.
    pub fn endpoint(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}")
    }

    /// The keys of the store. They also work where requests need no signature.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The folder of the buckets.
    pub fn root(&self) -> &std::path::Path {
        &self.root
    }
}
