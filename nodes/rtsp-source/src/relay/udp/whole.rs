//! Drops the rest of a broken frame, so that it does not count as a whole one.

/// Drops the rest of a frame in which packets are missing. A JPEG would be assembled without them (RFC 2435 has no
/// packet numbers of its own), and of H.264 nothing after the gap can be decoded.
#[derive(Debug, Default)]
pub(super) struct WholeFrames {
    /// The RTP timestamp of the current frame.
    open: Option<u32>,
    /// The RTP timestamp of the frame to drop.
    broken: Option<u32>,
}

impl WholeFrames {
    /// Whether to forward a packet. `after_gap`: packets before it are missing. `marker`: it is the last one of its
    /// frame.
    pub(super) fn admit(&mut self, after_gap: bool, timestamp: u32, marker: bool) -> bool {
        if after_gap && self.open == Some(timestamp) {
            self.broken = Some(timestamp);
        }
        let whole = self.broken != Some(timestamp);
        if whole || marker {
            self.broken = None;
        }
        self.open = (!marker).then_some(timestamp);
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rest_of_the_frame_with_the_gap_is_dropped() {
        let mut frames = WholeFrames::default();
        let mut admit = |after_gap, timestamp, marker| frames.admit(after_gap, timestamp, marker);
        assert!(admit(false, 1, false));
        assert!(!admit(true, 1, false) && !admit(false, 1, false) && !admit(false, 1, true));
        assert!(admit(false, 2, false) && admit(false, 2, true));
        // A gap between frames: neither is known to be broken.
        assert!(admit(true, 3, false));
        // The end of the broken frame is lost as well.
        assert!(!admit(true, 3, false) && admit(true, 4, false) && admit(false, 4, true));
        assert!(admit(false, 4, true), "two frames of the same time are two frames");
    }
}
