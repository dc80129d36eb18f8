//! What H.264 and H.265 have in common: what each NAL unit is to the picture that it belongs to.

/// What a NAL unit is to its picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A slice with a header: it states whether it is the first of its picture.
    Slice,
    /// A part of a picture without such a header, after a slice.
    Part,
    /// A parameter set.
    Set,
    /// What precedes the slices of its picture: access unit delimiters and most SEI.
    Before,
    /// What follows the slices of its picture.
    After,
    /// Filler data, which carries nothing.
    Filler,
    /// A type that the standard does not define, or not for this place.
    Undefined,
}

impl Class {
    /// Whether a picture cannot be decoded without it.
    pub(crate) fn is_needed(self) -> bool {
        matches!(self, Self::Slice | Self::Part)
    }
}

/// What the header of a slice states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    /// It is the first slice of the picture.
    pub(crate) first: bool,
    /// What it is decoded from.
    pub(crate) coding: Coding,
}

/// What a slice is decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Itself, and no later picture refers to one before it; or the standard names it a random access point.
    RandomAccess,
    /// Itself.
    Intra,
    /// Other pictures.
    Inter,
}

/// The NAL units of a codec. All functions take a unit with its header; shorter ones are allowed.
pub(crate) trait Syntax {
    /// Bytes of the header.
    const HEADER: usize;
    /// The type in the header.
    fn kind(header: u8) -> u8;
    /// What units of this type are.
    fn class(kind: u8) -> Class;
    /// Reads the start of a [`Class::Slice`].
    fn slice(nal: &[u8]) -> Slice;
    /// Rank and id of a [`Class::Set`]: sets of lower rank come first. `None` if they cannot be read, or are out of range.
    fn set_id(nal: &[u8]) -> Option<(u8, u32)>;
    /// Number of ranks; pictures need at least one set of each.
    const RANKS: u8;
    /// Whether a set is a sequence parameter set.
    fn is_sps(nal: &[u8]) -> bool;
    /// Whether the sequence parameter set can be read.
    fn is_readable_sps(nal: &[u8]) -> bool;
    /// The number of pictures after which the decoder's output is right, when it starts with the picture of this unit:
    /// from a recovery point message.
    fn recovery_point(nal: &[u8]) -> Option<u32>;
    /// Whether `slice` begins the second field of the frame whose first field begins with `first`.
    fn is_second_field(first: &[u8], slice: &[u8], sets: &msight_media::ParameterSets) -> bool;
}
