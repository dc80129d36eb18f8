/// The longest side of a picture, in pixels.
pub const MAX_SIDE: usize = 16_384;

/// The most pixels in a picture: one frame of 8K cinema (8192 x 4320), which takes 53 MB as planes.
pub const MAX_PIXELS: usize = 8192 * 4320;
