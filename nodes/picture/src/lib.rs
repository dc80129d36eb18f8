//! Pixels without I/O: planes and their colour, JPEG and other still images, scaling.
//!
//! A frame goes through a pipeline as planes of luma and chroma (I420). Video decoders return them, JPEG and H.264 encode
//! them, and they take half the bytes of RGB:
//!
//! ```text
//! H.264 decoder ─▶ Planes ─▶ JpegEncoder ─▶ ImageData ─▶ ImageDecoder ─▶ Picture ─▶ H.264 encoder
//! ```
//!
//! Within one process the path is shorter. [`DecodedImages`] makes messages with the decoder's picture, and
//! [`DecodedPicture`] gets that picture from the message. It becomes JPEG only if a node needs its bytes. A deferred picture
//! ([`DecodedImages::deferred`]) is decoded only when a node asks for it.
//!
//! [`Planes`] are borrowed; a [`Picture`] owns its planes and is reused for the next frame. Both have a [`Colour`]: video
//! is mostly limited range, JPEG is full range, and a picture shown in the wrong range looks washed out or too dark.
//! [`Planes::convert_into`] converts between them.
//!
//! A node that draws, or reads single pixels:
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
//! The size of every input is checked against [`MAX_SIDE`] and [`MAX_PIXELS`] before memory is allocated.
//!
//! Chroma is placed in the middle of its 2x2 block, as in JPEG. H.264 places it on the left column. The difference of a
//! quarter of a chroma sample is not corrected, as in swscale and OpenCV.

mod colour;
mod convert;
mod decoded;
mod error;
mod image_encoder;
mod jpeg;
mod limits;
mod message;
mod picture;
mod planes;
mod rgb;
mod scale;
mod shared_picture;
mod size;
mod still;

pub use colour::{Colour, Matrix, Range};
pub use decoded::{DecodedImages, DecodedPicture, WireForm};
pub use error::Error;
/// The crate of [`RgbImage`](image::RgbImage).
pub use image;
pub use image_encoder::ImageEncoder;
pub use jpeg::{DEFAULT_JPEG_QUALITY, JpegDecoder, JpegEncoder};
pub use limits::{MAX_PIXELS, MAX_SIDE};
pub use message::ImageDecoder;
pub use picture::{Picture, PlanesMut};
pub use planes::Planes;
pub use scale::Scaler;
pub use shared_picture::PendingPicture;
pub use size::{Size, scaled_size};
