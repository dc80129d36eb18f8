//! Reports to the supervisor of a program, such as systemd or `msight up`, by the protocol of sd_notify(3): both ends.
//!
//! Sending waits for room in the supervisor's socket, and it waits in a task of its own: a supervisor that stands still
//! must not hold up a node. The crate `sd-notify` blocks its thread there, which is why it is not used.

use std::ffi::OsStr;
use std::fs::{Permissions, set_permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram as StdDatagram};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixDatagram;
use tracing::{debug, warn};

pub use msight_contract::{Notification, SOCKET};

/// Where a program, or a node that shares its process with others, reports how it stands.
#[derive(Clone, Default)]
pub struct Notifier {
    target: Target,
    watchdog: Option<Duration>,
}

#[derive(Clone, Default)]
enum Target {
    /// There is no supervisor.
    #[default]
    Nowhere,
    Socket(Arc<UnixDatagram>),
    Function(Arc<dyn Fn(&Notification) + Send + Sync>),
}

impl Notifier {
    /// The supervisor that `NOTIFY_SOCKET` names, if there is one. Needs a tokio runtime.
    pub fn from_environment() -> Self {
        let Some(address) = std::env::var_os(SOCKET).filter(|address| !address.is_empty()) else {
            return Self::default();
        };
        Self::to(&address, watchdog()).unwrap_or_else(|error| {
            warn!("cannot report to {SOCKET}={}: {error}", address.to_string_lossy());
            Self::default()
        })
    }

    fn to(address: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        Ok(Self { target: Target::Socket(Arc::new(connect(address)?)), watchdog })
    }

    /// A supervisor that is a part of this process. It expects a sign of life within each `watchdog`, if there is one.
    pub fn function(
        report: impl Fn(&Notification) + Send + Sync + 'static,
        watchdog: Option<Duration>,
    ) -> Self {
        Self { target: Target::Function(Arc::new(report)), watchdog }
    }

    /// How often the supervisor is to get a sign of life: twice as often as it asks for.
    pub fn watchdog_period(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2)
    }

    /// Reports, as soon as the supervisor has room for it. One that is gone is not an error: it has no use for reports.
    pub async fn send(&self, notification: &Notification) {
        match &self.target {
            Target::Nowhere => {}
            Target::Socket(socket) => log_failure(socket.send(notification.to_string().as_bytes()).await),
            Target::Function(report) => report(notification),
        }
    }

    /// Reports, unless that would have to wait; `false` then.
    pub fn try_send(&self, notification: &Notification) -> bool {
        match &self.target {
            Target::Nowhere => {}
            Target::Socket(socket) => match socket.try_send(notification.to_string().as_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                outcome => log_failure(outcome),
            },
            Target::Function(report) => report(notification),
        }
        true
    }
}

fn log_failure(outcome: io::Result<usize>) {
    if let Err(error) = outcome {
        debug!(%error, "the supervisor takes no report");
    }
}

/// The supervisor's socket: a path, or `@` and the name of an abstract one.
fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = StdDatagram::unbound()?;
    socket.connect_addr(&unix_address(address)?)?;
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}

#[cfg(target_os = "linux")]
fn unix_address(address: &OsStr) -> io::Result<UnixAddress> {
    use std::os::linux::net::SocketAddrExt as _;
    match address.as_bytes().strip_prefix(b"@") {
        Some(name) => UnixAddress::from_abstract_name(name),
        None => UnixAddress::from_pathname(address),
    }
}

#[cfg(not(target_os = "linux"))]
fn unix_address(address: &OsStr) -> io::Result<UnixAddress> {
    UnixAddress::from_pathname(address)
}

/// The time of `WATCHDOG_USEC`, if it is meant for this process (sd_watchdog_enabled(3)).
fn watchdog() -> Option<Duration> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_meant = std::env::var_os("WATCHDOG_PID").is_none()
        || number("WATCHDOG_PID") == Some(std::process::id().into());
    number("WATCHDOG_USEC").filter(|usec| is_meant && *usec > 0).map(Duration::from_micros)
}

/// The supervisor's end: a socket that one program reports to, in a folder that others cannot enter. Put its
/// [`path`](Self::path) into the program's environment as `NOTIFY_SOCKET`.
#[derive(Debug)]
pub struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl NotifySocket {
    /// Makes a socket in this folder, which nothing else uses, for this user alone. Needs a tokio runtime.
    ///
    /// # Errors
    /// The folder cannot be written, or its path is longer than that of a socket may be (about 100 bytes).
    pub fn bind(folder: &Path) -> io::Result<Self> {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path)?;
        set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { socket, path })
    }

    /// The socket's address.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next report. One that is too long is dropped.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn recv(&self) -> io::Result<Notification> {
        let mut datagram = [0; Notification::MAX_BYTES + 1];
        loop {
            let bytes = self.socket.recv(&mut datagram).await?;
            if bytes <= Notification::MAX_BYTES {
                return Ok(Notification::parse(&datagram[..bytes]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reports_arrive_at_a_socket_of_this_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let socket = NotifySocket::bind(folder.path()).unwrap();
        assert_eq!(socket.path().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let notifier = Notifier::to(socket.path().as_os_str(), Some(Duration::from_secs(10))).unwrap();
        assert_eq!(notifier.watchdog_period(), Some(Duration::from_secs(5)));
        let metrics = Some("127.0.0.1:9100".parse().unwrap());
        let ready = Notification { metrics, ..Notification::ready() };
        notifier.send(&ready).await;
        assert_eq!(socket.recv().await.unwrap(), ready);
    }

    #[tokio::test]
    async fn a_report_that_is_too_long_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let socket = NotifySocket::bind(folder.path()).unwrap();
        let sender = connect(socket.path().as_os_str()).unwrap();
        sender.send(&[b'x'; Notification::MAX_BYTES + 1]).await.unwrap();
        sender.send(b"STATUS=short").await.unwrap();
        assert_eq!(socket.recv().await.unwrap(), Notification::with_status("short"));
    }

    #[tokio::test]
    async fn a_supervisor_that_stands_still_or_is_gone_does_not_hold_up_a_node() {
        let folder = tempfile::tempdir().unwrap();
        let socket = NotifySocket::bind(folder.path()).unwrap();
        let notifier = Notifier::to(socket.path().as_os_str(), None).unwrap();
        // The kernel has room for a few datagrams (net.unix.max_dgram_qlen).
        notifier.send(&Notification::alive()).await;
        let mut sent = 1;
        while notifier.try_send(&Notification::alive()) {
            sent += 1;
            assert!(sent < 100_000, "the queue has an end");
        }
        drop(socket);
        notifier.send(&Notification::ready()).await;
        assert!(notifier.try_send(&Notification::ready()));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_abstract_address_is_one_too() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("msight-test-{}", std::process::id());
        let socket = StdDatagram::bind_addr(&UnixAddress::from_abstract_name(&name).unwrap()).unwrap();
        let notifier = Notifier::to(OsStr::new(&format!("@{name}")), None).unwrap();
        notifier.send(&Notification::stopping()).await;
        let mut datagram = [0; 64];
        let bytes = socket.recv(&mut datagram).unwrap();
        assert_eq!(&datagram[..bytes], b"STOPPING=1\n");
    }
}
