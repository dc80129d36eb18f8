use crate::size::{MAX_PIXELS, MAX_SIDE};

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size outside the limits: a lying header, or a picture larger than this crate is made for.
    #[error(
        "no picture can be {width}x{height}: a side has 1 to {MAX_SIDE} pixels, a picture at most {MAX_PIXELS}"
    )]
    Size {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A resize that leaves no picture, or one too large.
    #[error(
        "resizing {width}x{height} by {ratio} leaves no usable picture; the ratio is a positive number, such as 0.5"
    )]
    Ratio {
        /// The ratio asked for.
        ratio: f64,
        /// Pixels in a row before.
        width: usize,
        /// Rows before.
        height: usize,
    },
    /// A plane that is shorter than its size and stride say.
    #[error("the {plane} plane has {len} bytes in rows of {stride}, too few for {rows} rows of {width}")]
    Plane {
        /// `Y`, `U` or `V`.
        plane: char,
        /// Bytes given.
        len: usize,
        /// Bytes from a row to the next.
        stride: usize,
        /// Rows needed.
        rows: usize,
        /// Bytes needed in each row.
        width: usize,
    },
    /// A JPEG quality outside 1 to 100.
    #[error("JPEG quality {0} is not within 1 to 100")]
    Quality(u8),
    /// The codec could not be set up or refused to encode.
    #[error("cannot encode JPEG: {0}")]
    Encode(String),
    /// A file that is broken, cut short, or of a kind that its decoder does not know.
    #[error("cannot decode {format} of {len} bytes: {reason}")]
    Decode {
        /// What the file says it is: `JPEG`, `PNG` …
        format: &'static str,
        /// Bytes given.
        len: usize,
        /// What the decoder said.
        reason: String,
    },
    /// Bytes that no decoder claims.
    #[error("image is {len} bytes of unknown format, starts with {start:02x?}")]
    UnknownFormat {
        /// Bytes given.
        len: usize,
        /// The first eight, or fewer.
        start: Vec<u8>,
    },
    /// A message without an image.
    #[error("the message holds no image")]
    Missing,
    /// A raw frame whose `size` is not `[height, width, 3]`, `[height, width, 1]` or `[height, width]`.
    #[error(
        "raw frame with size {0:?}; [height, width, 3] (BGR), [height, width, 1] or [height, width] (grey) is needed"
    )]
    RawShape(Option<Vec<u64>>),
    /// A raw frame whose bytes are not what its size makes.
    #[error("raw frame of {width}x{height} with {channels} channels has {len} bytes, not {expected}")]
    RawLength {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Bytes in a pixel.
        channels: usize,
        /// Bytes given.
        len: usize,
        /// Bytes needed.
        expected: usize,
    },
}
