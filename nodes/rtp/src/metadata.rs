//! Metadata (ONVIF Streaming Specification, section 5.1.2.1.1): documents that may extend over several packets. The marker
//! is on the last one.

use crate::fragments::Fragments;
use crate::key_units::KeyUnits;
use crate::output::Output;
use crate::packet::Packet;

/// Maximum length of a document, bytes.
const MAX_DOCUMENT: usize = 1 << 20;

/// The state of a track of metadata.
#[derive(Debug)]
pub(crate) struct Metadata {
    document: Fragments,
    /// A packet with content has come.
    has_begun: bool,
    units: KeyUnits,
}

impl Metadata {
    pub(crate) fn new() -> Self {
        Self { document: Fragments::new(MAX_DOCUMENT), has_begun: false, units: KeyUnits::default() }
    }

    pub(crate) fn push(&mut self, packet: &Packet<'_>, after_gap: bool, out: &mut Output) {
        // Behind a gap, and at the start of a session, other packets are in the middle of a document.
        let is_first = !self.has_begun && !packet.payload.is_empty();
        self.has_begun |= is_first;
        let begins = (after_gap || is_first) && begins(packet.payload);
        let after_gap = after_gap || (is_first && !begins);
        let documents = self.document.push(packet, after_gap, begins, &mut self.units, out);
        for (timestamp, document) in documents.into_iter().flatten() {
            self.units.emit(timestamp, document, out);
        }
    }
}

/// Whether a packet begins a document: with the declaration of XML, with the root element in any namespace, or with the
/// first bytes of a compressed document (gzip, EXI).
fn begins(payload: &[u8]) -> bool {
    if payload.starts_with(b"\x1f\x8b") || payload.starts_with(b"$EXI") {
        return true;
    }
    let text = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload).trim_ascii_start();
    let root = text.split(|byte| byte.is_ascii_whitespace() || *byte == b'>').next().unwrap_or_default();
    text.starts_with(b"<?xml")
        || (root.starts_with(b"<") && root.ends_with(b"MetadataStream") && root[1] != b'/')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fault::Fault;
    use crate::testing::{Received, Sent, gap, packet, receive, seen, with_marker};

    /// The start of a document.
    const START: &[u8] = b"<MetadataStream>";

    fn come(packets: &[Sent]) -> Received {
        let mut metadata = Metadata::new();
        seen(receive(packets, |packet, after_gap, out| metadata.push(packet, after_gap, out)))
    }

    #[test]
    fn documents_end_with_the_marker_or_the_timestamp() {
        let packets = [
            packet(1, START),
            with_marker(1, b"</a>"),
            with_marker(1, b"<b/>"),
            packet(2, b"<c/>"),
            packet(3, b"<d/>"),
            with_marker(3, b""),
        ];
        let document = |timestamp, text: &str| (timestamp, text.into(), false);
        let expected = vec![
            document(1, "<MetadataStream></a>"),
            document(1, "<b/>"),
            document(2, "<c/>"),
            document(3, "<d/>"),
        ];
        assert_eq!(come(&packets), (expected, vec![(Fault::Empty, 1)]));
    }

    #[test]
    fn documents_with_a_gap_are_discarded() {
        let rest = [with_marker(1, b"<rest/>"), with_marker(2, b"<next/>")];
        let next = vec![(2, b"<next/>".to_vec(), true)];
        for packets in [
            [&[packet(1, START), gap(packet(1, b"<b/>"))][..], &rest].concat(),
            [&[packet(0, START), gap(packet(1, b"<b/>"))][..], &rest].concat(),
            [&[packet(0, START), gap(packet(1, b"</tt:MetadataStream>"))], &rest[1..]].concat(),
        ] {
            assert_eq!(come(&packets), (next.clone(), vec![(Fault::Incomplete, 1), (Fault::Fragment, 1)]));
        }
        for text in ["<?xml version=\"1.0\"?>", "\u{feff}\n<tt:MetadataStream xmlns", "<MetadataStream>"] {
            assert_eq!(come(&[gap(with_marker(1, text.as_bytes()))]), (vec![(1, text.into(), true)], vec![]));
        }
    }

    #[test]
    fn the_rest_of_a_document_at_the_start_is_discarded() {
        let next = with_marker(2, START);
        let start = |loss| (2, START.to_vec(), loss);
        for rest in [vec![packet(1, b"<rest/>"), with_marker(1, b"</a>")], vec![packet(1, b"<rest/>")]] {
            let packets = [rest, vec![next.clone()]].concat();
            assert_eq!(come(&packets), (vec![start(true)], vec![(Fault::Fragment, 1)]));
        }
        let empty = [packet(2, b""), next];
        assert_eq!(come(&empty), (vec![start(false)], vec![(Fault::Empty, 1)]));
        for whole in [&b"\x1f\x8b\x08"[..], b"$EXI\x80", b"<?xml version=\"1.0\"?>"] {
            assert_eq!(come(&[with_marker(1, whole)]), (vec![(1, whole.to_vec(), false)], vec![]));
        }
    }

    #[test]
    fn documents_are_bounded() {
        let mut packets = vec![packet(1, START)];
        packets.extend(vec![packet(1, &[b'a'; 60_000]); 100]);
        packets.extend([with_marker(1, b"<rest/>"), with_marker(2, b"<next/>")]);
        assert_eq!(come(&packets), (vec![(2, b"<next/>".to_vec(), true)], vec![(Fault::TooLong, 1)]));
    }

    proptest! {
        #[test]
        fn arbitrary_packets_are_accepted(mut packets in prop::collection::vec(any::<Sent>(), 0..40)) {
            packets.extend([with_marker(7, b"<last/>"), with_marker(8, b"<next/>")]);
            let documents = come(&packets).0;
            prop_assert_eq!(&documents[documents.len() - 1].1, b"<next/>");
        }
    }
}
