//! Why something that a camera sent was discarded.

/// Why something that a camera sent was discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A packet whose header is invalid, or cut off.
    Malformed,
    /// A packet of another payload type than the track's.
    OtherPayloadType,
    /// A packet without payload, or one whose payload has no content.
    Empty,
    /// A NAL unit of a type that is not defined, or with the forbidden bit.
    BadNal,
    /// A fragment without those before it, or a unit whose last fragment did not come.
    Fragment,
    /// A payload whose own header or lengths are invalid, or one of too many frames.
    BadPayload,
    /// A unit of more than [`MAX_UNIT_BYTES`](crate::MAX_UNIT_BYTES).
    TooLong,
    /// A unit in which packets are missing.
    Incomplete,
    /// A JPEG picture whose size is neither in its packets nor in the description. RFC 2435 ends at 2040 pixels.
    UnknownSize,
}

impl Fault {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::OtherPayloadType,
        Self::Empty,
        Self::BadNal,
        Self::Fragment,
        Self::BadPayload,
        Self::TooLong,
        Self::Incomplete,
        Self::UnknownSize,
    ];

    /// The label of the reason in metrics and logs.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::OtherPayloadType => "other_payload_type",
            Self::Empty => "empty",
            Self::BadNal => "bad_nal",
            Self::Fragment => "fragment",
            Self::BadPayload => "bad_payload",
            Self::TooLong => "too_long",
            Self::Incomplete => "incomplete",
            Self::UnknownSize => "unknown_size",
        }
    }
}
