//! Marker segments of JPEG (ITU-T T.81, annex B), which cameras send in a header extension or before the entropy-coded
//! data.

/// Start of image.
pub(super) const SOI: [u8; 2] = [0xff, 0xd8];
/// End of image.
pub(super) const EOI: [u8; 2] = [0xff, 0xd9];

/// Maximum number of segments that are read. A file of a camera has about ten.
const MAX_SEGMENTS: usize = 256;

/// Maximum number of components of a picture.
const MAX_COMPONENTS: usize = 4;

/// The segments up to the start of the first scan, each with its marker and its length.
#[derive(Debug, Default)]
pub(super) struct Segments<'a> {
    /// Application data and comments, in their order.
    pub(super) others: Vec<&'a [u8]>,
    /// DQT.
    pub(super) quantization: Vec<&'a [u8]>,
    /// DHT.
    pub(super) huffman: Vec<&'a [u8]>,
    /// SOF, if its size is valid.
    pub(super) frame: Option<Frame<'a>>,
    /// DRI.
    pub(super) restart: Option<&'a [u8]>,
    /// SOS.
    pub(super) scan: Option<&'a [u8]>,
    /// Number of bytes before SOS, or before the first byte outside of a segment.
    pub(super) length: usize,
}

/// A frame header with a known size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// With marker and length.
    pub(super) bytes: &'a [u8],
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
}

impl<'a> Segments<'a> {
    /// Reads segments, with SOI before them or without.
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let mut segments = Self::default();
        let mut rest = bytes.strip_prefix(&SOI).unwrap_or(bytes);
        for _ in 0..MAX_SEGMENTS {
            segments.length = bytes.len() - rest.len();
            let Some((segment, behind)) = split(rest) else { break };
            match segment[1] {
                0xda => {
                    segments.scan = Some(segment);
                    break;
                }
                0xdb => segments.quantization.push(segment),
                0xc4 => segments.huffman.push(segment),
                0xdd => segments.restart = Some(segment),
                0xc0..=0xcf => segments.frame = Frame::read(segment),
                _ => segments.others.push(segment),
            }
            rest = behind;
        }
        segments
    }
}

impl<'a> Frame<'a> {
    /// Reads a SOF segment.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[_, _, _, _, _, h1, h2, w1, w2, count], components) = bytes.split_first_chunk()?;
        let (width, height) = (u16::from_be_bytes([w1, w2]), u16::from_be_bytes([h1, h2]));
        let count = usize::from(count);
        let valid =
            width > 0 && height > 0 && (1..=MAX_COMPONENTS).contains(&count) && components.len() >= count * 3;
        valid.then_some(Self { bytes, size: (width.into(), height.into()) })
    }

    /// The identifiers of its components.
    pub(super) fn components(&self) -> impl ExactSizeIterator<Item = u8> {
        let count = usize::from(self.bytes[9]);
        self.bytes[10..10 + count * 3].as_chunks::<3>().0.iter().map(|component| component[0])
    }
}

/// Whether the entropy-coded data of a picture begins with segments instead.
pub(super) fn begins_with_segment(data: &[u8]) -> bool {
    // Entropy-coded data may begin with a stuffed byte, but with no marker.
    matches!(data, [0xff, 0xc0..=0xc7 | 0xc9..=0xcf | 0xd8 | 0xda..=0xdd | 0xe0..=0xef | 0xfe, ..])
}

/// Splits the first segment off, without the fill bytes before its marker.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let fill = bytes.iter().take_while(|&&byte| byte == 0xff).count();
    let bytes = bytes.get(fill.checked_sub(1)?..)?;
    let &[_, marker, l1, l2] = bytes.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([l1, l2]));
    let has_length = matches!(marker, 0xc0..=0xcf | 0xda..=0xef | 0xfe);
    if !has_length || length < 2 {
        return None;
    }
    bytes.split_at_checked(2 + length)
}
