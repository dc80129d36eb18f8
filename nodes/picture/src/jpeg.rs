//! JPEG to planes and back, by libjpeg-turbo.

use turbojpeg::{
    Colorspace, Compressor, Decompressor, Image, OutputBuf, PixelFormat, Subsamp, YuvImage, YuvPlanesImage,
};

use crate::{Colour, Error, Picture, Planes, Size};

/// The JPEG quality of frames on the wire unless the user sets one. At MSight's 50, JPEG artefacts cost more bytes in
/// the segment than the smaller frames save. Above 80, frames grow faster than segments shrink.
pub const DEFAULT_JPEG_QUALITY: u8 = 80;

/// Limit of passes in a progressive file; real files have about ten. libjpeg-turbo's own fuzzers stop at 500.
const MAX_SCANS: u32 = 64;

/// Encodes JPEG: baseline, 4:2:0, with the standard Huffman tables.
///
/// Tables for each picture would save 4 to 7 % of the bytes and take more than twice the time.
#[derive(Debug)]
pub struct JpegEncoder {
    compressor: Compressor,
    in_jpeg_colour: Picture,
    /// Large enough for the worst picture of the largest size so far. Unwritten pages take no memory.
    output: Vec<u8>,
}

impl JpegEncoder {
    /// An encoder with a quality from 1 to 100, on the scale of libjpeg and OpenCV.
    ///
    /// # Errors
    /// [`Error::Quality`], or [`Error::Encode`] if memory is exhausted.
    pub fn new(quality: u8) -> Result<Self, Error> {
        if !(1..=100).contains(&quality) {
            return Err(Error::Quality(quality));
        }
        let mut compressor = Compressor::new().map_err(encode_error)?;
        compressor.set_quality(quality.into()).map_err(encode_error)?;
        compressor.set_subsamp(Subsamp::Sub2x2).map_err(encode_error)?;
        Ok(Self { compressor, in_jpeg_colour: Picture::default(), output: Vec::new() })
    }

    /// Encodes a picture of any colour. The file stays in the encoder's memory until the next call.
    ///
    /// Planes in full range BT.601 are read in place; others are converted in one pass.
    ///
    /// # Errors
    /// [`Error::Encode`], only if memory is exhausted.
    pub fn encode(&mut self, planes: &Planes<'_>) -> Result<&[u8], Error> {
        let size = planes.size();
        let planes = if planes.colour() == Colour::JPEG && planes.is_padded() {
            *planes
        } else {
            planes.convert_into(Colour::JPEG, &mut self.in_jpeg_colour);
            self.in_jpeg_colour.planes()
        };
        let room = self.compressor.buf_len(size.width(), size.height()).map_err(encode_error)?;
        if self.output.len() < room {
            self.output = vec![0; room];
        }
        let [y_stride, u_stride, v_stride] = planes.strides();
        let image = YuvPlanesImage {
            y_plane: planes.y(),
            u_plane: planes.u(),
            v_plane: planes.v(),
            width: size.width(),
            height: size.height(),
            y_stride,
            u_stride,
            v_stride,
            subsamp: Subsamp::Sub2x2,
        };
        let len = {
            let mut output = OutputBuf::borrowed(&mut self.output);
            self.compressor.compress_yuv_planes(&image, &mut output).map_err(encode_error)?;
            output.len()
        };
        Ok(&self.output[..len])
    }
}

#[expect(clippy::needless_pass_by_value, reason = "map_err passes the error by value")]
fn encode_error(error: turbojpeg::Error) -> Error {
    Error::Encode(error.to_string())
}

/// Decodes every kind of JPEG that cameras and image libraries write.
#[derive(Debug)]
pub struct JpegDecoder {
    decompressor: Decompressor,
    bgr: Vec<u8>,
}

impl JpegDecoder {
    /// A decoder.
    ///
    /// # Errors
    /// [`Error::Decode`] if memory is exhausted.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { decompressor: decompressor()?, bgr: Vec::new() })
    }

    /// Decodes into `picture`, which becomes full range BT.601 of the file's size.
    ///
    /// A 4:2:0 or grey file is decoded straight into the planes. Other files are converted to 4:2:0 through RGB. The
    /// orientation in EXIF data is ignored.
    ///
    /// # Errors
    /// [`Error::Size`] before memory is allocated; [`Error::Decode`] if the file is damaged, truncated or
    /// unsupported. The content of the picture is then undefined.
    pub fn decode(&mut self, jpeg: &[u8], picture: &mut Picture) -> Result<(), Error> {
        let result = self.decode_by_kind(jpeg, picture);
        if result.is_err() {
            // After a rejected header libjpeg-turbo 3.1.0 keeps its state (`tj3DecompressHeader` returns without an
            // abort), and would continue there with the next file.
            self.decompressor = decompressor()?;
        }
        result
    }

    fn decode_by_kind(&mut self, jpeg: &[u8], picture: &mut Picture) -> Result<(), Error> {
        let header = self.decompressor.read_header(jpeg).map_err(|error| decode_error(jpeg, error))?;
        let size = Size::new(header.width, header.height)?;
        match (header.colorspace, header.subsamp) {
            (Colorspace::YCbCr, Subsamp::Sub2x2) => {
                picture.reset(size, Colour::JPEG);
                self.decode_planes(jpeg, size, Subsamp::Sub2x2, 1, picture)
            }
            (Colorspace::Gray, _) => {
                picture.reset(size, Colour::JPEG);
                // Rows aligned to two bytes have the stride of the picture.
                self.decode_planes(jpeg, size, Subsamp::Gray, 2, picture)?;
                picture.make_grey();
                picture.pad();
                Ok(())
            }
            // libjpeg-turbo does not convert CMYK to YUV.
            (Colorspace::CMYK | Colorspace::YCCK, _) => {
                crate::still::decode(jpeg, image::ImageFormat::Jpeg, picture)
            }
            _ => {
                self.decode_bgr(jpeg, size)?;
                picture.read_bgr(size, &self.bgr);
                Ok(())
            }
        }
    }

    fn decode_planes(
        &mut self,
        jpeg: &[u8],
        size: Size,
        subsamp: Subsamp,
        align: usize,
        picture: &mut Picture,
    ) -> Result<(), Error> {
        let (width, height) = (size.width(), size.height());
        let image = YuvImage { pixels: picture.buffer_mut(), width, align, height, subsamp };
        self.decompressor.decompress_to_yuv(jpeg, image).map_err(|error| decode_error(jpeg, error))
    }

    fn decode_bgr(&mut self, jpeg: &[u8], size: Size) -> Result<(), Error> {
        let pitch = 3 * size.width();
        self.bgr.resize(pitch * size.height(), 0);
        let (width, height, format) = (size.width(), size.height(), PixelFormat::BGR);
        let image = Image { pixels: &mut self.bgr[..], width, pitch, height, format };
        self.decompressor.decompress(jpeg, image).map_err(|error| decode_error(jpeg, error))
    }
}

fn decompressor() -> Result<Decompressor, Error> {
    let failed = |error| decode_error(&[], error);
    let mut decompressor = Decompressor::new().map_err(failed)?;
    decompressor.set_scan_limit(MAX_SCANS).map_err(failed)?;
    Ok(decompressor)
}

// libjpeg-turbo reports a warning, such as for a truncated file, as an error too.
#[expect(clippy::needless_pass_by_value, reason = "map_err passes the error by value")]
fn decode_error(jpeg: &[u8], error: turbojpeg::Error) -> Error {
    Error::Decode { format: "JPEG", len: jpeg.len(), reason: error.to_string() }
}
