//! Opens the bus and the registry of a URL.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::bus::Bus;
use crate::error::Error;
use crate::memory::{MemoryBus, MemoryRegistry};
use crate::redis::{self, RedisConfig};
use crate::registry::Registry;

/// A bus and a registry to use together. Cloning is cheap.
#[derive(Clone)]
pub struct Connection {
    /// Carries the messages.
    pub bus: Arc<dyn Bus>,
    /// Holds the records of nodes and topics.
    pub registry: Arc<dyn Registry>,
}

impl Connection {
    /// A new bus and a new registry in the memory of this process.
    pub fn memory() -> Self {
        Self { bus: Arc::new(MemoryBus::new()), registry: Arc::new(MemoryRegistry::new()) }
    }

    /// A bus and a registry on one Redis. Reads the certificate files and connects.
    ///
    /// # Errors
    /// [`Error::Invalid`] for invalid settings, [`Error::Unavailable`] while Redis is unreachable (retry),
    /// [`Error::Refused`] if Redis rejects the user.
    pub async fn redis(config: RedisConfig) -> Result<Self, Error> {
        let (bus, registry) = redis::connect(config).await?;
        Ok(Self { bus: Arc::new(bus), registry: Arc::new(registry) })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("bus", &self.bus.describe())
            .field("registry", &self.registry.describe())
            .finish()
    }
}

/// Opens the bus and the registry of `url`, or without a URL those of the Redis in the environment
/// ([`RedisConfig::from_env`]).
///
/// `redis://`, `rediss://` and `unix://` URLs are those of [`RedisConfig::from_url`]; `memory://` is the bus that the
/// whole process shares, with its registry.
///
/// # Errors
/// [`Error::Invalid`] for an invalid URL or variable, [`Error::Unavailable`] while Redis is unreachable (retry),
/// [`Error::Refused`] if Redis rejects the user.
pub async fn connect(url: Option<&str>) -> Result<Connection, Error> {
    static OF_PROCESS: OnceLock<Connection> = OnceLock::new();
    let config = match url {
        Some("memory:" | "memory://") => return Ok(OF_PROCESS.get_or_init(Connection::memory).clone()),
        Some(url) => RedisConfig::from_url(url)?,
        None => RedisConfig::from_env()?,
    };
    Connection::redis(config).await
}
