//! Values of flags: counts, sizes, times, addresses and secrets.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::ops::Deref;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use msight_bus::Overflow;

use crate::argparse;

/// Text that `Debug` does not print, such as a URL with a password. It dereferences to `str`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Deref for Secret {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Reads an address to listen on. A port alone stands for 127.0.0.1, so that opening it to the network is a decision.
///
/// # Errors
/// The address is invalid: the message has the reason and the syntax.
pub fn listen_addr(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    let unusable =
        |reason: &str| format!("invalid address: '{text}': {reason}; use PORT, IP:PORT or [IPV6]:PORT");
    match text.to_socket_addrs() {
        Ok(mut found) => found.next().ok_or_else(|| unusable("the name has no address")),
        Err(error) => Err(unusable(&error.to_string())),
    }
}

/// Reads a name, which must not be empty.
pub(super) fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("the name is empty".to_owned()),
        name => Ok(name.to_owned()),
    }
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    let count = argparse::int(text)?;
    usize::try_from(count)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("invalid count: '{text}'; use 1 or more"))
}

pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let size: ByteSize = text.trim().parse().map_err(|_| {
        format!("invalid size: '{text}'; use a number of bytes such as 64MiB, 500kB or 1000000")
    })?;
    usize::try_from(size.as_u64())
        .ok()
        .filter(|size| *size > 0)
        .ok_or_else(|| format!("size out of range: '{text}'; use 1 byte or more"))
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = argparse::float(text)?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("invalid number of seconds: '{text}'; use 0 or more"))
}

pub(super) fn overflow() -> impl TypedValueParser<Value = Overflow> {
    PossibleValuesParser::new(["drop-oldest", "drop-newest"]).map(|policy| match policy.as_str() {
        "drop-newest" => Overflow::DropNewest,
        _ => Overflow::DropOldest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("500 kB"), Ok(500_000));
        assert_eq!(bytes("1000000"), Ok(1_000_000));
        for text in ["", "0", "-1", "64 parsecs", "MiB"] {
            assert!(bytes(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn counts_and_seconds() {
        assert_eq!(count("1_0"), Ok(10));
        assert!(count("0").is_err() && count("-1").is_err() && count("1.5").is_err());
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("-1").is_err() && seconds("inf").is_err() && seconds("nan").is_err());
    }

    #[test]
    fn a_port_alone_stays_on_this_machine() {
        assert_eq!(listen_addr("9100").unwrap().to_string(), "127.0.0.1:9100");
        assert_eq!(listen_addr("0.0.0.0:0").unwrap().to_string(), "0.0.0.0:0");
        assert_eq!(listen_addr("[::1]:9100").unwrap().to_string(), "[::1]:9100");
        assert!(listen_addr("localhost:1").unwrap().ip().is_loopback());
        for text in ["", ":", "127.0.0.1", "127.0.0.1:", "::1", "127.0.0.1:70000", "70000"] {
            assert!(listen_addr(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::from("redis://:word@host")), "***");
    }
}
