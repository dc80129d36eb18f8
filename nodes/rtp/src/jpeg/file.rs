//! JFIF files from what packets carry.

use std::collections::HashMap;

use super::header::Header;
use super::segments::{EOI, Frame, SOI, Segments};
use super::tables::{Tables, write_huffman};
use crate::fault::Fault;

/// The first segment of a JFIF file: version 1.1, pixels of equal width and height, no preview.
const JFIF: [u8; 18] = *b"\xff\xe0\x00\x10JFIF\0\x01\x01\x00\x00\x01\x00\x01\x00\x00";

/// How far before its end the end-of-image marker of a picture is looked for. Cameras pad their pictures to multiples of
/// up to 1024 bytes.
const MAX_PADDING: usize = 1024;

/// Writes the segments before the entropy-coded data of pictures, and remembers what later pictures refer to.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// Width and height in the description.
    described: Option<(u32, u32)>,
    /// The quantization tables that were sent for each `q`.
    sent: HashMap<u8, Tables>,
    /// The quantization tables of the previous picture.
    tables: Tables,
    /// The frame header of the last picture whose extension has one.
    frame: Vec<u8>,
    /// The Huffman tables of the last picture whose extension has some.
    huffman: Vec<u8>,
}

/// The segments before the entropy-coded data of a picture.
#[derive(Debug)]
pub(super) struct Head {
    /// From the start of the file to the end of SOS.
    pub(super) bytes: Vec<u8>,
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
}

impl Heads {
    /// `described`: width and height in the description.
    pub(super) fn new(described: Option<(u32, u32)>) -> Self {
        Self { described, ..Self::default() }
    }

    /// The segments for a picture with this header. `extension`: what the header extensions of its first packets contain
    /// (ONVIF Streaming Specification, section 5.1.3.2). It takes precedence.
    pub(super) fn write(&mut self, header: &Header<'_>, extension: Option<&[u8]>) -> Result<Head, Fault> {
        let given = extension.map(Segments::read);
        let tables = self.tables(header, given.as_ref())?;
        let given = given.unwrap_or_default();
        let own;
        let frame = match given.frame {
            Some(frame) => {
                self.frame = frame.bytes.to_vec();
                frame
            }
            None => match self.size(header) {
                Some(size) => {
                    own = write_frame(header.kind, size, &tables)?;
                    Frame::read(&own).ok_or(Fault::UnknownSize)?
                }
                None => Frame::read(&self.frame).ok_or(Fault::UnknownSize)?,
            },
        };

        let mut bytes = SOI.to_vec();
        if given.others.is_empty() {
            bytes.extend(JFIF);
        }
        bytes.extend(given.others.concat());
        tables.write(&mut bytes);
        bytes.extend(frame.bytes);
        write_huffman(&mut bytes);
        if extension.is_some() {
            if !given.huffman.is_empty() {
                self.huffman = given.huffman.concat();
            }
            bytes.extend(&self.huffman);
        }
        match (given.restart, header.restart_interval) {
            (Some(segment), _) => bytes.extend(segment),
            (None, Some(interval)) => {
                bytes.extend([0xff, 0xdd, 0, 4]);
                bytes.extend(interval.to_be_bytes());
            }
            (None, None) => {}
        }
        match given.scan {
            Some(segment) => bytes.extend(segment),
            None => write_scan(&frame, &mut bytes),
        }
        self.tables = tables;
        Ok(Head { bytes, size: frame.size })
    }

    fn tables(&mut self, header: &Header<'_>, given: Option<&Segments<'_>>) -> Result<Tables, Fault> {
        let (precision, in_band) = header.tables;
        let of_header = match header.q {
            0 if given.is_some() && !self.tables.is_empty() => Ok(self.tables),
            q @ 0..128 => Tables::of_quality(q),
            255 => Tables::in_band(precision, in_band),
            q if in_band.is_empty() => self.sent.get(&q).copied().ok_or(Fault::BadPayload),
            q => Tables::in_band(precision, in_band).inspect(|tables| {
                self.sent.insert(q, *tables);
            }),
        };
        let Some(given) = given.filter(|given| !given.quantization.is_empty()) else { return of_header };
        let mut tables = of_header.unwrap_or_default();
        given.quantization.iter().for_each(|segment| tables.replace(segment));
        Ok(tables)
    }

    /// The size, unless only the frame header of an earlier picture states it.
    fn size(&self, header: &Header<'_>) -> Option<(u32, u32)> {
        // Cameras write larger pictures modulo 2048, and round sizes up to 8 pixels. The description is then exact.
        let block = |pixels: u32| pixels.div_ceil(8) as u8;
        let exact = self.described.filter(|(width, height)| (block(*width), block(*height)) == header.blocks);
        let described = || self.described.filter(|_| self.frame.is_empty());
        exact.or(header.size()).or_else(described)
    }
}

/// SOF for one of the two types of RFC 2435: 4:2:2 and 4:2:0.
fn write_frame(kind: u8, (width, height): (u32, u32), tables: &Tables) -> Result<Vec<u8>, Fault> {
    let sampling = match kind {
        0 => 0x21,
        1 => 0x22,
        _ => return Err(Fault::BadPayload),
    };
    let (Ok(width), Ok(height)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(Fault::UnknownSize);
    };
    let ([h1, h2], [w1, w2]) = (height.to_be_bytes(), width.to_be_bytes());
    // Only the extended process has values of two bytes in quantization tables.
    let process = if tables.are_wide() { 0xc1 } else { 0xc0 };
    let chroma = tables.chroma();
    let components = [1, sampling, 0, 2, 0x11, chroma, 3, 0x11, chroma];
    Ok([&[0xff, process, 0, 17, 8, h1, h2, w1, w2, 3][..], &components].concat())
}

/// SOS for all components of a frame. The first one is luma.
fn write_scan(frame: &Frame<'_>, file: &mut Vec<u8>) {
    let components = frame.components();
    let count = components.len() as u8;
    file.extend([0xff, 0xda, 0, 6 + count * 2, count]);
    for (index, id) in components.enumerate() {
        file.extend([id, if index == 0 { 0x00 } else { 0x11 }]);
    }
    file.extend([0, 63, 0]);
}

/// Completes a picture that was sent as a whole file, with SOI or without, and maybe without the standard Huffman tables.
/// Also returns its size.
pub(super) fn complete(mut file: Vec<u8>) -> Result<(Vec<u8>, (u32, u32)), Fault> {
    if !file.starts_with(&SOI) {
        file.splice(..0, SOI);
    }
    let segments = Segments::read(&file);
    let (Some(frame), Some(_), false) = (segments.frame, segments.scan, segments.quantization.is_empty())
    else {
        return Err(Fault::BadPayload);
    };
    let (size, scan) = (frame.size, segments.length);
    if segments.huffman.is_empty() {
        let mut tables = Vec::new();
        write_huffman(&mut tables);
        file.splice(scan..scan, tables);
    }
    Ok((file, size))
}

/// Ends a file with EOI, and removes padding behind it.
pub(super) fn end(file: &mut Vec<u8>) {
    match end_marker(file) {
        Some(at) => file.truncate(at + EOI.len()),
        None => file.extend(EOI),
    }
}

/// Where the last EOI is, if only padding may follow it.
pub(super) fn end_marker(file: &[u8]) -> Option<usize> {
    let from = file.len().saturating_sub(MAX_PADDING);
    file[from..].array_windows().rposition(|marker| *marker == EOI).map(|at| from + at)
}
