//! One RTP packet (RFC 3550, section 5.1).

/// Why a packet cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is shorter than its header states.
    #[error("the packet is cut off")]
    Short,
    /// It is of another version than 2.
    #[error("not a packet of RTP version 2")]
    Version,
}

/// Bytes of the fixed header.
const FIXED: usize = 12;

/// One packet. Contributing sources are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The marker bit: for video, the last packet of a picture.
    pub marker: bool,
    /// The payload type.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// When the unit in the payload was sampled, in ticks of the track's clock.
    pub timestamp: u32,
    /// The synchronisation source.
    pub ssrc: u32,
    /// The header extension: its profile and its bytes (section 5.3.1).
    pub extension: Option<(u16, &'a [u8])>,
    /// The payload, without padding.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet.
    ///
    /// Padding that is longer than the payload is an error of the sender. The payload then counts as unpadded: most formats
    /// state where their content ends.
    ///
    /// # Errors
    /// It is not of version 2, or ends in its header.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (fixed, mut rest) = bytes.split_first_chunk::<FIXED>().ok_or(Malformed::Short)?;
        let [first, second, n1, n2, t1, t2, t3, t4, s1, s2, s3, s4] = *fixed;
        if first >> 6 != 2 {
            return Err(Malformed::Version);
        }
        let sources = usize::from(first & 0x0f) * 4;
        rest = rest.get(sources..).ok_or(Malformed::Short)?;
        let mut extension = None;
        if first & 0x10 != 0 {
            let ([p1, p2, l1, l2], behind) = rest.split_first_chunk().ok_or(Malformed::Short)?;
            let words = usize::from(u16::from_be_bytes([*l1, *l2]));
            let (body, behind) = behind.split_at_checked(words * 4).ok_or(Malformed::Short)?;
            extension = Some((u16::from_be_bytes([*p1, *p2]), body));
            rest = behind;
        }
        if first & 0x20 != 0
            && let Some(&padding) = rest.last()
            && let Some(length) = rest.len().checked_sub(padding.into())
            && padding > 0
        {
            rest = &rest[..length];
        }
        Ok(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([n1, n2]),
            timestamp: u32::from_be_bytes([t1, t2, t3, t4]),
            ssrc: u32::from_be_bytes([s1, s2, s3, s4]),
            extension,
            payload: rest,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: [u8; 11] = [0xe0, 1, 2, 0, 0, 0, 3, 0, 0, 0, 4];

    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        [&[first][..], &HEADER, rest].concat()
    }

    #[test]
    fn sources_extension_and_padding_are_no_payload() {
        let bytes = packet(0xb2, &[9, 9, 9, 9, 8, 8, 8, 8, 0xab, 0xac, 0, 1, 7, 7, 7, 7, 5, 6, 0, 0, 3]);
        let read = Packet::parse(&bytes).unwrap();
        assert_eq!((read.extension, read.payload), (Some((0xabac, &[7; 4][..])), &[5, 6][..]));
        assert_eq!((read.marker, read.payload_type, read.sequence), (true, 96, 0x102));
        assert_eq!((read.timestamp, read.ssrc), (3, 4));
    }

    #[test]
    fn padding_longer_than_the_packet_is_ignored() {
        for padding in [0, 9] {
            let bytes = packet(0xa0, &[5, 6, padding]);
            assert_eq!(Packet::parse(&bytes).unwrap().payload, &[5, 6, padding]);
        }
        assert_eq!(Packet::parse(&packet(0xa0, &[0, 0, 3])).unwrap().payload, &[0; 0]);
        assert_eq!(Packet::parse(&packet(0xa0, &[])).unwrap().payload, &[0; 0]);
    }

    #[test]
    fn cut_packets_and_other_protocols_are_errors() {
        let short = Err(Malformed::Short);
        assert_eq!(Packet::parse(&packet(0x80, &[])[..11]), short);
        assert_eq!(Packet::parse(&packet(0x81, &[1, 2, 3])), short);
        assert_eq!(Packet::parse(&packet(0x90, &[1, 2, 0, 1, 5])), short);
        assert_eq!(Packet::parse(&packet(0x40, &[])), Err(Malformed::Version));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_accepted(mut bytes in prop::collection::vec(any::<u8>(), 0..80), ours in any::<bool>()) {
            if let (true, Some(first)) = (ours, bytes.first_mut()) {
                *first = 0x80 | (*first & 0x3f);
            }
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.payload.len() + FIXED <= bytes.len());
            }
        }
    }
}
