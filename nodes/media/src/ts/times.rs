//! The presentation times in a stream.

/// Times have so many different values: 33 bits.
const WRAP: i64 = 1 << 33;

/// Reads presentation times, one after the other: of one track, or of tracks that belong together.
#[derive(Clone, Copy, Debug, Default)]
pub struct PresentationTimes {
    last: Option<i64>,
}

impl PresentationTimes {
    /// The presentation time in the header of the packet of an elementary stream (2.4.3.6) with which a unit begins, in ticks
    /// of 90 kHz. After 26.5 hours, when the times of the stream begin anew, it goes on. `None` if the header states no time.
    pub fn next(&mut self, packet: &[u8]) -> Option<i64> {
        let has_time = packet.starts_with(&[0, 0, 1]) && packet.get(7)? & 0x80 != 0;
        let [a, b, c, d, e] = packet
            .get(9..14)
            .filter(|_| has_time)?
            .try_into()
            .ok()
            .map(|bytes: [u8; 5]| bytes.map(i64::from))?;
        let time = (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1;
        // The nearest time of those with these 33 bits.
        let time = self.last.map_or(time, |last| last + (time - last + WRAP / 2).rem_euclid(WRAP) - WRAP / 2);
        self.last = Some(time);
        Some(time)
    }
}
