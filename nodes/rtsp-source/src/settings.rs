//! The connection settings of a camera.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::url::CameraUrl;

/// The transport of RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// Interleaved in the RTSP connection
    Tcp,
    /// As datagrams
    Udp,
}

impl Transport {
    /// The transport to try if the camera rejects this one.
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

/// What is trusted of a camera with `rtsps://`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    /// File of the certificates that may have signed the camera's; `None` trusts those of the system.
    pub(crate) ca_file: Option<PathBuf>,
    /// The camera's certificate is not checked.
    pub(crate) accepts_any: bool,
}

/// The camera and its time-outs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) url: CameraUrl,
    /// The transport to try first.
    pub(crate) transport: Transport,
    /// Time-out of DESCRIBE, SETUP and PLAY together.
    pub(crate) connect_timeout: Duration,
    /// Time-out between two frames.
    pub(crate) read_timeout: Duration,
    /// Largest accepted difference between the camera's clock and this machine's, seconds; `None` ignores the camera's
    /// clock.
    pub(crate) max_skew: Option<f64>,
    pub(crate) tls: Tls,
    /// Pictures carry the access units that they were decoded from.
    pub(crate) with_access_units: bool,
    /// Only key frames are decoded.
    pub(crate) key_frames_only: bool,
}
