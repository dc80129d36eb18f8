//! Keeps what is left of a broken frame from being taken for a whole one.

/// Leaves out the rest of a frame within which packets are missing. A JPEG would be put together without them
/// (RFC 2435 has no numbers of its own), and of H.264 nothing behind the hole is of use.
#[derive(Debug, Default)]
pub(super) struct WholeFrames {
    /// The RTP timestamp of a frame that has begun.
    open: Option<u32>,
    /// The RTP timestamp of a frame that is left out.
    broken: Option<u32>,
}

impl WholeFrames {
    /// Whether to pass on a packet; `after_gap`: packets before it are missing, `marker`: it is a frame's last.
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
    fn only_the_rest_of_the_frame_with_the_hole_is_left_out() {
        let mut frames = WholeFrames::default();
        let mut admit = |after_gap, timestamp, marker| frames.admit(after_gap, timestamp, marker);
        assert!(admit(false, 1, false));
        assert!(!admit(true, 1, false) && !admit(false, 1, false) && !admit(false, 1, true));
        assert!(admit(false, 2, false) && admit(false, 2, true));
        // A hole between frames: neither is known to be broken.
        assert!(admit(true, 3, false));
        // The end of the broken one is lost as well.
        assert!(!admit(true, 3, false) && admit(true, 4, false) && admit(false, 4, true));
        assert!(admit(false, 4, true), "two frames of the same time are two frames");
    }
}
