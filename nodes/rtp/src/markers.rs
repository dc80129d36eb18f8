//! Whether the marker bit of a stream ends its pictures.

/// Pictures that end where they should before the marker is trusted again.
const PROBATION: u32 = 100;

/// Whether the marker bit of a stream ends its pictures (RFC 6184 and RFC 7798, section 4.1).
///
/// Some cameras set it on every packet or NAL unit. So the first picture of a stream ends where the next one begins, and
/// shows whether the marker was right. After that a right marker ends each picture, without delay.
#[derive(Debug)]
pub(crate) struct Markers {
    /// Pictures in a row whose marker was right.
    right: u32,
    /// How many it takes.
    needed: u32,
}

impl Default for Markers {
    fn default() -> Self {
        Self { right: 0, needed: 1 }
    }
}

impl Markers {
    /// Whether a marker ends the picture.
    pub(crate) fn are_trusted(&self) -> bool {
        self.right >= self.needed
    }

    /// Whether no picture has shown yet whether they are right.
    pub(crate) fn are_unproven(&self) -> bool {
        (self.right, self.needed) == (0, 1)
    }

    /// A picture ended after its marker.
    pub(crate) fn confirm(&mut self) {
        self.right = self.right.saturating_add(1);
    }

    /// A picture went on after a marker.
    pub(crate) fn refute(&mut self) {
        *self = Self { right: 0, needed: PROBATION };
    }
}
