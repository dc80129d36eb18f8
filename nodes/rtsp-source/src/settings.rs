//! How to reach the camera.

use std::fmt;
use std::time::Duration;

use crate::url::CameraUrl;

/// How RTP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// Interleaved in the RTSP connection
    Tcp,
    /// As datagrams
    Udp,
}

impl Transport {
    /// The one to try where the camera refuses this one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Tcp => Self::Udp,
            Self::Udp => Self::Tcp,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// The camera, and how long to wait for it.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) url: CameraUrl,
    /// The transport to try first.
    pub(crate) transport: Transport,
    /// Time-out of DESCRIBE, SETUP and PLAY together.
    pub(crate) connect_timeout: Duration,
    /// Time-out between two frames.
    pub(crate) read_timeout: Duration,
    /// How far the camera's clock may be off ours, seconds; `None` ignores the camera's clock.
    pub(crate) max_skew: Option<f64>,
}
