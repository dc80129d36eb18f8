use crate::limits::{MAX_PIXELS, MAX_SIDE};

/// Why a picture cannot be made, decoded or encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size outside the limits, from a false header or of a picture that is too large.
    #[error(
        "invalid picture size {width}x{height}: a side has 1 to {MAX_SIDE} pixels, a picture at most {MAX_PIXELS}"
    )]
    Size {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A resize to no pixels or too many.
    #[error(
        "cannot resize {width}x{height} by {ratio}: the result has no pixels or too many; use a positive ratio such as 0.5"
    )]
    Ratio {
        /// The ratio.
        ratio: f64,
        /// Pixels in a row, before the resize.
        width: usize,
        /// Rows, before the resize.
        height: usize,
    },
    /// A plane that is too short for its size and stride.
    #[error(
        "the {plane} plane is too short: {len} bytes with a stride of {stride}, for {rows} rows of {width} bytes"
    )]
    Plane {
        /// `Y`, `U` or `V`.
        plane: char,
        /// Bytes given.
        len: usize,
        /// Bytes from one row to the next.
        stride: usize,
        /// Rows needed.
        rows: usize,
        /// Bytes needed in each row.
        width: usize,
    },
    /// A JPEG quality outside 1 to 100.
    #[error("invalid JPEG quality {0}: expected 1 to 100")]
    Quality(u8),
    /// The codec failed to start or to encode.
    #[error("cannot encode JPEG: {0}")]
    Encode(String),
    /// A damaged or truncated file, or a variant that the decoder does not support.
    #[error("cannot decode a {format} file of {len} bytes: {reason}")]
    Decode {
        /// The format of the file: `JPEG`, `PNG` …
        format: &'static str,
        /// Bytes given.
        len: usize,
        /// The message of the decoder.
        reason: String,
    },
    /// A picture of a stream that was to be decoded when a node asks for it.
    #[error("cannot decode the picture: {0}")]
    Deferred(String),
    /// A file in an unknown format.
    #[error("unknown image format: {len} bytes that begin with {start:02x?}")]
    UnknownFormat {
        /// Bytes given.
        len: usize,
        /// The first eight, or fewer.
        start: Vec<u8>,
    },
    /// A message without an image.
    #[error("the message has no image")]
    Missing,
    /// A raw frame whose `size` is not `[height, width, 3]`, `[height, width, 1]` or `[height, width]`.
    #[error(
        "invalid size {0:?} of a raw frame: expected [height, width, 3] (BGR), [height, width, 1] or [height, width] (grey)"
    )]
    RawShape(Option<Vec<u64>>),
    /// A raw frame whose number of bytes does not match its size.
    #[error(
        "invalid raw frame of {width}x{height} with {channels} channels: {len} bytes, expected {expected}"
    )]
    RawLength {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Bytes of a pixel.
        channels: usize,
        /// Bytes given.
        len: usize,
        /// Bytes needed.
        expected: usize,
    },
}
