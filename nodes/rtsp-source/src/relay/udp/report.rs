//! Receiver reports tell the camera what arrived (RFC 3550, section 6.4.2). Cameras use them as keepalives.

use std::time::Instant;

/// RTCP packet types (RFC 3550 section 12.1).
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
/// The item of a source description that every report must have.
const CNAME: u8 = 1;

/// Reception statistics of a stream.
#[derive(Debug)]
pub(super) struct Reception {
    ssrc: u32,
    /// Ticks of timestamps a second.
    clock_rate: f64,
    first: u64,
    /// Extended beyond 16 bits.
    highest: u64,
    received: u64,
    /// Expected and received at the last report.
    reported: (u64, u64),
    /// In units of the RTP clock.
    jitter: f64,
    /// The arrival of the last packet, and its RTP timestamp.
    last: (Instant, u32),
    /// The middle 32 bits of the last sender report's NTP time, and when it came.
    sender_report: Option<(u32, Instant)>,
}

impl Reception {
    /// Statistics that begin with the first packet of the stream.
    pub(super) fn new(clock_rate: u32, ssrc: u32, number: u16, timestamp: u32, now: Instant) -> Self {
        let first = u64::from(number);
        let (highest, last) = (first, (now, timestamp));
        Self {
            ssrc,
            clock_rate: clock_rate.into(),
            first,
            highest,
            received: 1,
            reported: (0, 0),
            jitter: 0.0,
            last,
            sender_report: None,
        }
    }

    pub(super) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Counts a packet of the stream, in order of arrival.
    pub(super) fn packet(&mut self, number: u16, timestamp: u32, now: Instant) {
        self.received += 1;
        let ahead = number.wrapping_sub(self.highest as u16).cast_signed();
        self.highest += u64::try_from(ahead).unwrap_or(0);
        let (before, earlier) = std::mem::replace(&mut self.last, (now, timestamp));
        let elapsed = now.saturating_duration_since(before).as_secs_f64() * self.clock_rate;
        let late = elapsed - f64::from(timestamp.wrapping_sub(earlier).cast_signed());
        self.jitter += (late.abs() - self.jitter) / 16.0;
    }

    /// Records the sender report in a compound packet of the camera.
    pub(super) fn control(&mut self, compound: &[u8], now: Instant) {
        if let [_, SENDER_REPORT, _, _, rest @ ..] = compound
            && let Some(middle) = rest.get(6..10)
            && let Ok(middle) = middle.try_into()
        {
            self.sender_report = Some((u32::from_be_bytes(middle), now));
        }
    }

    /// A compound packet from the SSRC `own`, with a report on the time since the last one.
    pub(super) fn report(&mut self, own: u32, name: &str, now: Instant) -> Vec<u8> {
        let expected = self.highest - self.first + 1;
        let (expected_before, received_before) =
            std::mem::replace(&mut self.reported, (expected, self.received));
        let span = expected - expected_before;
        let lost = span.saturating_sub(self.received - received_before);
        let fraction = (lost * 256).checked_div(span).map_or(0, |fraction| fraction.min(255));
        // A signed number of 24 bits: duplicates make it negative.
        let total = (expected.cast_signed() - self.received.cast_signed()).clamp(-0x80_0000, 0x7f_ffff);
        let (last_report, delay) = self.sender_report.map_or((0, 0), |(middle, came)| {
            (middle, (now.saturating_duration_since(came).as_secs_f64() * 65_536.0) as u32)
        });
        let mut out = Vec::with_capacity(64);
        let mut words = |all: &[u32]| all.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
        words(&[
            0x8100_0007 | (u32::from(RECEIVER_REPORT) << 16),
            own,
            self.ssrc,
            (fraction as u32) << 24 | (total as u32 & 0xff_ffff),
            self.highest as u32,
            self.jitter as u32,
            last_report,
            delay,
        ]);
        // One item, terminated by at least one zero and padded to whole words.
        let item_words = (2 + name.len() + 1).div_ceil(4);
        words(&[0x8100_0000 | (u32::from(SOURCE_DESCRIPTION) << 16) | (1 + item_words as u32), own]);
        let end = out.len() + item_words * 4;
        out.extend_from_slice(&[CNAME, name.len() as u8]);
        out.extend_from_slice(name.as_bytes());
        out.resize(end, 0);
        out
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use retina::rtcp::PacketRef;

    use super::*;

    #[test]
    fn a_report_has_losses_and_the_time_of_the_cameras_report() {
        let start = Instant::now();
        let mut stream = Reception::new(90_000, 7, 65_530, 0, start);
        // 30 packets across the wrap, in time; every tenth is lost.
        for i in 1..30u32 {
            if i % 10 != 0 {
                let number = 65_530u16.wrapping_add(i as u16);
                stream.packet(number, i * 9000, start + Duration::from_millis(100) * i);
            }
        }
        let mut report = vec![0x80, SENDER_REPORT, 0, 6];
        report.extend_from_slice(&[0; 4]);
        report.extend_from_slice(&0x0011_2233_4455_6677u64.to_be_bytes());
        report.resize(28, 0);
        let heard = start + Duration::from_secs(3);
        stream.control(&report, heard);
        let out = stream.report(0xabcd, "name", heard + Duration::from_millis(1500));
        let word = |index: usize| u32::from_be_bytes(out[index * 4..][..4].try_into().unwrap());
        assert_eq!((word(1), word(2)), (0xabcd, 7));
        assert_eq!(word(3), (2 * 256 / 30) << 24 | 2);
        assert_eq!(word(4), 65_530 + 29, "the wrap is counted in the upper half");
        assert_eq!((word(5), word(6), word(7)), (0, 0x2233_4455, 98_304));
        // Another library reads it as a report and a name, without trailing bytes.
        let (first, rest) = PacketRef::parse(&out).unwrap();
        let (second, rest) = PacketRef::parse(rest).unwrap();
        assert_eq!((first.payload_type(), first.count()), (RECEIVER_REPORT, 1));
        assert_eq!((second.payload_type(), second.count()), (SOURCE_DESCRIPTION, 1));
        assert!(rest.is_empty() && out.ends_with(b"\x01\x04name\0\0"));
        // No packet since the last report: no new loss, and the same total.
        let again = stream.report(0xabcd, "name", heard);
        assert_eq!(again[12..16], [0, 0, 0, 2]);
    }

    #[test]
    fn jitter_is_the_variation_of_arrival() {
        let start = Instant::now();
        for clock_rate in [8000, 48_000, 90_000] {
            let mut stream = Reception::new(clock_rate, 7, 0, 0, start);
            for i in 1..200u32 {
                let late = Duration::from_millis(if i % 2 == 0 { 10 } else { 0 });
                stream.packet(i as u16, i * clock_rate / 10, start + Duration::from_millis(100) * i + late);
            }
            let expected = f64::from(clock_rate) / 100.0;
            assert!((stream.jitter - expected).abs() < 1.0, "10 ms at {clock_rate} Hz: {}", stream.jitter);
        }
    }
}
