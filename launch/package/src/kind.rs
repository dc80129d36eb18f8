//! The kinds of packages.

use std::fmt;

use crate::image;
use crate::report;

/// A kind of package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// For Debian and Ubuntu
    Deb,
    /// For pip
    Wheel,
    /// For any other Linux
    Tarball,
    /// For Docker
    Image,
}

impl Kind {
    /// All kinds that this machine can make. What it cannot make is reported.
    pub(crate) fn possible() -> Vec<Self> {
        let mut kinds = vec![Self::Deb, Self::Wheel, Self::Tarball];
        match image::engine() {
            Ok(()) => kinds.push(Self::Image),
            Err(reason) => report(format_args!("left out: the image ({reason:#})")),
        }
        kinds
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deb => "Debian package",
            Self::Wheel => "Python wheel",
            Self::Tarball => "tarball",
            Self::Image => "image",
        })
    }
}
