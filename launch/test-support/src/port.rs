//! Ports for servers that must be told theirs.

use std::net::TcpListener;

/// A free port, below the range of ephemeral ports, and with the port of a Redis cluster's bus (10,000 higher) free as
/// well.
pub fn free_port() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..100)
        .map(|_| fastrand::u16(20_000..32_000))
        .find(|port| is_free(*port) && is_free(port + 10_000))
        .expect("a free port")
}
