//! Reports of a running node to its supervisor, by the protocol of systemd's sd_notify(3).
//!
//! The supervisor opens a datagram socket and puts its address into [`SOCKET`]. Each datagram is a list of `KEY=VALUE`
//! lines; a reader ignores keys that it does not know. Two keys are this project's own: `X_MSIGHT_METRICS` is the
//! address that `/metrics` is served on, and `X_MSIGHT_READY=0` revokes `READY=1`, which the protocol itself cannot
//! express.

use std::fmt;
use std::net::SocketAddr;

/// The environment variable with the address of the supervisor's socket: a path, or `@` and an abstract name.
pub const SOCKET: &str = "NOTIFY_SOCKET";

/// One datagram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// `READY=1`: the node is ready.
    pub ready: bool,
    /// `X_MSIGHT_READY=0`: the node is not ready, or no longer ready.
    pub unready: bool,
    /// `STOPPING=1`: the node shuts down.
    pub stopping: bool,
    /// `WATCHDOG=1`: the node is alive.
    pub alive: bool,
    /// `STATUS=`: one line for the user, such as what the node waits for.
    pub status: Option<String>,
    /// `X_MSIGHT_METRICS=`: where `/metrics`, `/healthz` and `/readyz` are served.
    pub metrics: Option<SocketAddr>,
}

const READY: &str = "READY";
const UNREADY: &str = "X_MSIGHT_READY";
const STOPPING: &str = "STOPPING";
const WATCHDOG: &str = "WATCHDOG";
const STATUS: &str = "STATUS";
const METRICS: &str = "X_MSIGHT_METRICS";

/// Maximum length of a status; a longer one is cut.
const MAX_STATUS_CHARS: usize = 1024;

impl Notification {
    /// Maximum bytes of a datagram to read. Datagrams of our nodes are far shorter.
    pub const MAX_BYTES: usize = 8192;

    /// The datagram that reports the node as ready.
    pub fn ready() -> Self {
        Self { ready: true, ..Self::default() }
    }

    /// The datagram that reports the node as alive.
    pub fn alive() -> Self {
        Self { alive: true, ..Self::default() }
    }

    /// The datagram that reports that the node is stopping.
    pub fn stopping() -> Self {
        Self { stopping: true, ..Self::default() }
    }

    /// The datagram with a new status.
    pub fn with_status(status: impl Into<String>) -> Self {
        Self { status: Some(status.into()), ..Self::default() }
    }

    /// Parses a datagram with any content. Removes control characters, and cuts a long status.
    pub fn parse(datagram: &[u8]) -> Self {
        let mut notification = Self::default();
        for line in String::from_utf8_lossy(datagram).lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            match key {
                READY => notification.ready = value == "1",
                UNREADY => notification.unready = value == "0",
                STOPPING => notification.stopping = value == "1",
                WATCHDOG => notification.alive = value == "1",
                STATUS => notification.status = Some(printable(value)),
                METRICS => notification.metrics = value.parse().ok(),
                _ => {}
            }
        }
        notification
    }
}

/// The datagram's text.
impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [(READY, self.ready), (STOPPING, self.stopping), (WATCHDOG, self.alive)];
        for (key, _) in flags.iter().filter(|(_, set)| *set) {
            writeln!(f, "{key}=1")?;
        }
        if self.unready {
            writeln!(f, "{UNREADY}=0")?;
        }
        if let Some(status) = &self.status {
            writeln!(f, "{STATUS}={}", printable(status))?;
        }
        if let Some(address) = self.metrics {
            writeln!(f, "{METRICS}={address}")?;
        }
        Ok(())
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_STATUS_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_datagram_is_parsed_as_it_was_written() {
        let all = Notification {
            ready: true,
            unready: true,
            stopping: true,
            alive: true,
            status: Some("waiting for the camera".to_owned()),
            metrics: Some("[::1]:9100".parse().unwrap()),
        };
        for one in [all, Notification::ready(), Notification::with_status(""), Notification::default()] {
            assert_eq!(Notification::parse(one.to_string().as_bytes()), one);
        }
        assert_eq!(Notification::ready().to_string(), "READY=1\n");
    }

    #[test]
    fn datagrams_of_other_programs_are_parsed() {
        let text = b"MAINPID=4711\nREADY=1\nX_OTHER=a=b\nno key\nSTATUS=a=b\nX_MSIGHT_METRICS=nowhere";
        let expected = Notification { status: Some("a=b".to_owned()), ..Notification::ready() };
        assert_eq!(Notification::parse(text), expected);
        // systemd's WATCHDOG=trigger reports a failure, and READY=0 is no report at all.
        assert_eq!(Notification::parse(b"WATCHDOG=trigger\nREADY=0\n"), Notification::default());
    }

    #[test]
    fn a_status_is_one_line_of_limited_length() {
        let forged = Notification::with_status("a\nREADY=1\x1b[2J").to_string();
        assert!(!Notification::parse(forged.as_bytes()).ready);
        let long = Notification::parse(format!("STATUS={}", "é".repeat(5000)).as_bytes());
        assert_eq!(long.status.unwrap().chars().count(), MAX_STATUS_CHARS);
    }

    proptest! {
        #[test]
        fn any_datagram_is_parsed(bytes: Vec<u8>) {
            let read = Notification::parse(&bytes);
            prop_assert_eq!(Notification::parse(read.to_string().as_bytes()), read);
        }
    }
}
