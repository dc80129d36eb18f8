//! Pixels in and out, without I/O: planes and what their numbers stand for, JPEG and other stills, scaling.
//!
//! A frame goes through a pipeline as planes of luma and chroma (I420), which is what video decoders give,
//! what JPEG and H.264 encode, and half the bytes of RGB:
//!
//! ```text
//! H.264 decoder ─▶ Planes ─▶ JpegEncoder ─▶ ImageData ─▶ ImageDecoder ─▶ Picture ─▶ H.264 encoder
//! ```
//!
//! Within one process the way is shorter: [`DecodedImages`] makes messages that hold the decoder's picture, which
//! [`DecodedPicture`] finds again, and which becomes JPEG only where somebody asks for bytes.
//!
//! [`Planes`] are borrowed from whoever made them, a [`Picture`] owns its planes and is used again for the
//! next frame. Both know their [`Colour`]: video is mostly limited range, JPEG full range, and a picture that
//! is taken for the other is washed out. [`Planes::convert_into`] goes from one to the other.
//!
//! For a node that draws or looks at single pixels:
//!
//! ```
//! use msight_picture::{DEFAULT_JPEG_QUALITY, Error, Picture, image::Rgb};
//! use msight_proto::ImageData;
//!
//! fn mark_the_corner(image: &ImageData) -> Result<ImageData, Error> {
//!     let mut rgb = Picture::from_image(image)?.to_rgb();
//!     rgb.put_pixel(0, 0, Rgb([255, 0, 0]));
//!     Picture::from_rgb(&rgb)?.to_image(DEFAULT_JPEG_QUALITY)
//! }
//! ```
//!
//! Whatever comes in is checked before memory is taken for it, against [`MAX_SIDE`] and [`MAX_PIXELS`].
//!
//! Chroma is treated as lying in the middle of its 2x2 block, as JPEG has it. H.264 puts it on the left
//! column; the quarter of a chroma sample between them is left uncorrected, as it is by swscale and OpenCV.

mod colour;
mod convert;
mod decoded;
mod error;
mod jpeg;
mod message;
mod picture;
mod planes;
mod rgb;
mod scale;
mod size;
mod still;

pub use colour::{Colour, Matrix, Range};
pub use decoded::{DecodedImages, DecodedPicture, WireForm};
pub use error::Error;
/// The crate whose [`RgbImage`](image::RgbImage) is given and taken.
pub use image;
pub use jpeg::{DEFAULT_JPEG_QUALITY, JpegDecoder, JpegEncoder};
pub use message::ImageDecoder;
pub use picture::{Picture, PlanesMut};
pub use planes::Planes;
pub use scale::Scaler;
pub use size::{MAX_PIXELS, MAX_SIDE, Size, scaled_size};
