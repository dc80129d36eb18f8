//! Opens connections to one server or a cluster, by TCP, TLS or Unix socket.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, TlsCertificates, Value,
};

use super::config::{Address, Endpoint, RedisConfig, TlsFiles};
use crate::error::Error;

/// Time-out for connecting, handshakes and log-in included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle time after which the kernel probes the other host.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Time without acknowledgement of sent data after which the kernel closes the connection.
const USER_TIMEOUT: Duration = Duration::from_secs(15);

/// Opens connections with the settings of a [`RedisConfig`].
pub(super) struct Dialer {
    /// The server, or the configured nodes of the cluster.
    clients: Vec<Client>,
    cluster: Option<ClusterClient>,
    epoch: AtomicUsize,
}

/// The purpose of a connection for commands. Publishing and registry have one each, so that a heartbeat never waits
/// behind pictures. In a cluster they also lead to different nodes. The registry is on the node with its slot, while
/// any node accepts a message. Clients by default publish through the node that owns the channel's slot; publishing
/// would then fail with that node. Publishing through changing nodes would not keep the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Publishing,
    Registry,
}

/// A connection for commands.
#[derive(Clone)]
pub(super) enum Link {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    pub(super) async fn query(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Self::Server(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }
}

impl Dialer {
    /// Reads the certificate files. Does not connect yet.
    pub(super) fn new(config: &RedisConfig) -> Result<Self, Error> {
        let (addresses, tls) = match &config.endpoint {
            Endpoint::Socket(path) => (vec![ConnectionAddr::Unix(path.clone())], &None),
            Endpoint::Server { address, tls } => (vec![tcp(address, tls.is_some())], tls),
            Endpoint::Cluster { nodes, tls } => {
                (nodes.iter().map(|node| tcp(node, tls.is_some())).collect(), tls)
            }
        };
        let certificates = tls.as_ref().map(read_certificates).transpose()?;
        let nodes = addresses.into_iter().map(|address| info(config, address)).collect::<Result<Vec<_>, _>>();
        let nodes = nodes.map_err(|error| invalid(&error))?;

        let clients = nodes.iter().map(|node| match &certificates {
            Some(certificates) => Client::build_with_tls(node.clone(), certificates.clone()),
            None => Client::open(node.clone()),
        });
        let clients = clients.collect::<Result<Vec<_>, _>>().map_err(|error| invalid(&error))?;
        let cluster = match config.endpoint {
            Endpoint::Cluster { .. } => Some(cluster_client(config, nodes, certificates)?),
            _ => None,
        };
        Ok(Self { clients, cluster, epoch: AtomicUsize::new(0) })
    }

    /// Opens a connection for commands; the caller limits the time of each command. Publishing in a cluster uses the
    /// first node that responds, beginning with number `first`.
    pub(super) async fn link(&self, purpose: Purpose, first: usize) -> Result<Link, RedisError> {
        match (&self.cluster, purpose) {
            (Some(cluster), Purpose::Registry) => {
                self.within_timeout(cluster.get_async_connection()).await.map(Link::Cluster)
            }
            _ => self.within_timeout(self.any_node(first)).await.map(Link::Server),
        }
    }

    async fn any_node(&self, first: usize) -> Result<MultiplexedConnection, RedisError> {
        let settings = settings();
        let mut connection = self.client(first).get_multiplexed_async_connection_with_config(&settings).await;
        for other in 1..self.nodes() {
            if connection.is_ok() {
                break;
            }
            let client = self.client(first.wrapping_add(other));
            connection = client.get_multiplexed_async_connection_with_config(&settings).await;
        }
        connection
    }

    /// Opens a connection to one node, for a subscription. Messages from the server go directly from the task that
    /// reads the socket to `push`, without a queue in between.
    pub(super) async fn pushes(
        &self,
        node: usize,
        push: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, RedisError> {
        let settings = settings().set_push_sender(push);
        let client = self.client(node);
        self.within_timeout(client.get_multiplexed_async_connection_with_config(&settings)).await
    }

    fn client(&self, node: usize) -> &Client {
        &self.clients[node % self.clients.len()]
    }

    async fn within_timeout<T>(
        &self,
        connecting: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RedisError> {
        tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| {
            let mut reason = format!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
            // A Redis without TLS does not answer the TLS handshake.
            if matches!(self.clients[0].get_connection_info().addr(), ConnectionAddr::TcpTls { .. }) {
                reason.push_str("; does this port speak TLS?");
            }
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, reason).into())
        })
    }

    /// The host of the first node; empty for a Unix socket.
    pub(super) fn seed(&self) -> &str {
        match self.clients[0].get_connection_info().addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
            _ => "",
        }
    }

    /// Increases when earlier connections may be dead or lead to the wrong server.
    pub(super) fn epoch(&self) -> usize {
        self.epoch.load(Relaxed)
    }

    /// Makes all connections for commands reconnect before their next use, because the server has closed one or has
    /// become a replica.
    pub(super) fn begin_epoch(&self) {
        self.epoch.fetch_add(1, Relaxed);
    }

    /// Whether the nodes form a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    /// Number of nodes that a subscription can use.
    pub(super) fn nodes(&self) -> usize {
        self.clients.len()
    }
}

/// Disables the client's time-outs, because this crate sets its own. The client's default is half a second for every
/// operation.
fn settings() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None)
}

fn tcp(address: &Address, tls: bool) -> ConnectionAddr {
    let Address { host, port } = address.clone();
    if tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

fn info(config: &RedisConfig, address: ConnectionAddr) -> Result<ConnectionInfo, RedisError> {
    let mut login = RedisConnectionInfo::default()
        .set_db(config.db)
        // RESP3 distinguishes pushed messages from answers, so a subscription can send PING.
        .set_protocol(ProtocolVersion::RESP3)
        // Saves a command that an ACL would have to allow.
        .set_skip_set_lib_name();
    if let Some(username) = &config.username {
        login = login.set_username(username);
    }
    if let Some(password) = &config.password {
        login = login.set_password(password);
    }
    Ok(address.into_connection_info()?.set_redis_settings(login).set_tcp_settings(tcp_settings()))
}

fn tcp_settings() -> TcpSettings {
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))
        .set_user_timeout(USER_TIMEOUT)
}

fn cluster_client(
    config: &RedisConfig,
    nodes: Vec<ConnectionInfo>,
    certificates: Option<TlsCertificates>,
) -> Result<ClusterClient, Error> {
    let mut builder = ClusterClient::builder(nodes)
        .use_protocol(ProtocolVersion::RESP3)
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(Duration::from_secs(60))
        .retries(2)
        .tcp_settings(tcp_settings());
    if let Some(username) = &config.username {
        builder = builder.username(username);
    }
    if let Some(password) = &config.password {
        builder = builder.password(password);
    }
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates);
    }
    builder.build().map_err(|error| invalid(&error))
}

fn invalid(error: &RedisError) -> Error {
    Error::Invalid(format!("invalid Redis settings: {error}"))
}

fn read_certificates(files: &TlsFiles) -> Result<TlsCertificates, Error> {
    // Several crates of a program may install a cryptography provider. The first one applies.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client_tls = match &files.client {
        Some((certificate, key)) => Some(ClientTlsConfig {
            client_cert: read_pem("TLS_CERT_FILE", certificate)?,
            client_key: read_pem("TLS_KEY_FILE", key)?,
        }),
        None => None,
    };
    let root_cert = files.ca.as_deref().map(|file| read_pem("TLS_CA_CERT_FILE", file)).transpose()?;
    Ok(TlsCertificates { client_tls, root_cert })
}

fn read_pem(variable: &str, file: &Path) -> Result<Vec<u8>, Error> {
    let error = |reason: &str| {
        Error::Invalid(format!("MSIGHT_REDIS_MESSAGE_BROKER_{variable} is {:?}: {reason}", file.display()))
    };
    let pem = std::fs::read(file)
        .map_err(|reason| error(&format!("{reason}; correct the variable or the file")))?;
    // An empty list of authorities would reject every server with a confusing error.
    if !pem.windows(10).any(|window| window == b"-----BEGIN") {
        return Err(error("expected a file in PEM format; correct the variable or the file"));
    }
    Ok(pem)
}
