//! A picture to draw on: I420 planes, limited range BT.709.

use font8x8::UnicodeFonts as _;

/// A colour as stored in the planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour {
    /// Luma, 16 (black) to 235 (white).
    pub(super) y: u8,
    /// Blue difference, 16 to 240.
    pub(super) u: u8,
    /// Red difference, 16 to 240.
    pub(super) v: u8,
}

impl Colour {
    /// Converts red, green and blue of 0 to 255 by ITU-R BT.709, limited range, with clipping.
    pub(super) fn rgb(r: f32, g: f32, b: f32) -> Self {
        let [r, g, b] = [r, g, b].map(|channel| channel.clamp(0.0, 255.0) / 255.0);
        let luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        Self {
            y: (16.0 + 219.0 * luma).round() as u8,
            u: (128.0 + 224.0 * (b - luma) / 1.8556).round() as u8,
            v: (128.0 + 224.0 * (r - luma) / 1.5748).round() as u8,
        }
    }
}

/// A point of the picture, in luma pixels from its upper left corner.
pub(super) type Point = (f32, f32);

/// The picture. Width and height are even: each chroma sample covers four luma pixels.
#[derive(Clone, Debug)]
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) y: Vec<u8>,
    pub(super) u: Vec<u8>,
    pub(super) v: Vec<u8>,
}

impl Canvas {
    /// A black picture.
    pub(super) fn new(width: usize, height: usize) -> Self {
        debug_assert!(width.is_multiple_of(2) && height.is_multiple_of(2));
        Self {
            width,
            height,
            y: vec![16; width * height],
            u: vec![128; width * height / 4],
            v: vec![128; width * height / 4],
        }
    }

    /// Colours one pixel, including its chroma sample.
    pub(super) fn put(&mut self, x: usize, y: usize, colour: Colour) {
        self.y[y * self.width + x] = colour.y;
        let chroma = y / 2 * (self.width / 2) + x / 2;
        self.u[chroma] = colour.u;
        self.v[chroma] = colour.v;
    }

    /// Fills a convex polygon. Parts outside the picture are clipped.
    pub(super) fn polygon(&mut self, corners: &[Point], colour: Colour) {
        let (width, height) = (self.width, self.height);
        for_each_span(corners, 1.0, width, height, |row, from, to| {
            self.y[row * width + from..row * width + to].fill(colour.y);
        });
        let width = width / 2;
        for_each_span(corners, 0.5, width, height / 2, |row, from, to| {
            self.u[row * width + from..row * width + to].fill(colour.u);
            self.v[row * width + from..row * width + to].fill(colour.v);
        });
    }

    /// Fills an upright rectangle given by its upper left and lower right corners.
    pub(super) fn rectangle(&mut self, (left, top): Point, (right, bottom): Point, colour: Colour) {
        self.polygon(&[(left, top), (right, top), (right, bottom), (left, bottom)], colour);
    }

    /// Darkens a convex polygon to `percent` of its luma: a shadow, or the background of a caption.
    pub(super) fn shade(&mut self, corners: &[Point], percent: u16) {
        let toward = |rest: u8, value: &mut u8| {
            let rest = i32::from(rest);
            *value = (rest + (i32::from(*value) - rest) * i32::from(percent) / 100) as u8;
        };
        let (width, height) = (self.width, self.height);
        for_each_span(corners, 1.0, width, height, |row, from, to| {
            self.y[row * width + from..row * width + to].iter_mut().for_each(|y| toward(16, y));
        });
        let width = width / 2;
        for_each_span(corners, 0.5, width, height / 2, |row, from, to| {
            let span = row * width + from..row * width + to;
            self.u[span.clone()].iter_mut().for_each(|u| toward(128, u));
            self.v[span].iter_mut().for_each(|v| toward(128, v));
        });
    }

    /// Writes a line of text in an 8x8 font, with dots of `dot` by `dot` pixels.
    ///
    /// Only luma is written, so the background should be shaded. Characters that are not in the font stay blank.
    pub(super) fn text(&mut self, text: &str, left: usize, top: usize, dot: usize, luma: u8) {
        for (place, letter) in text.chars().enumerate() {
            let Some(glyph) = font8x8::BASIC_FONTS.get(letter) else { continue };
            let rows = glyph.iter().enumerate();
            for (row, column) in rows.flat_map(|(row, bits)| {
                (0..8).filter(move |column| bits >> column & 1 == 1).map(move |column| (row, column))
            }) {
                let from = left + (place * 8 + column) * dot;
                let to = (from + dot).min(self.width);
                for line in (top + row * dot..top + (row + 1) * dot).take_while(|line| *line < self.height) {
                    if from < to {
                        self.y[line * self.width + from..line * self.width + to].fill(luma);
                    }
                }
            }
        }
    }
}

/// Calls `fill(row, from, to)` for each run of samples whose centres lie in the convex polygon, on a plane of
/// `width` by `height` samples that is `scale` times the size of the picture.
fn for_each_span(
    corners: &[Point],
    scale: f32,
    width: usize,
    height: usize,
    mut fill: impl FnMut(usize, usize, usize),
) {
    let rows = corners.iter().map(|corner| corner.1 * scale);
    let top = rows.clone().fold(f32::INFINITY, f32::min).round().max(0.0) as usize;
    let bottom = (rows.fold(0.0, f32::max).round() as usize).min(height);
    for row in top..bottom {
        let centre = row as f32 + 0.5;
        let (mut left, mut right) = (f32::INFINITY, f32::NEG_INFINITY);
        for (index, &from) in corners.iter().enumerate() {
            let to = corners[(index + 1) % corners.len()];
            let (y0, y1) = (from.1 * scale, to.1 * scale);
            if (y0 <= centre) != (y1 <= centre) {
                let x = scale * (from.0 + (to.0 - from.0) * (centre - y0) / (y1 - y0));
                left = left.min(x);
                right = right.max(x);
            }
        }
        // A float cast saturates: coordinates left of the picture become 0.
        let (from, to) = (left.round() as usize, (right.round() as usize).min(width));
        if left <= right && from < to {
            fill(row, from, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_limited_range_bt709() {
        assert_eq!(Colour::rgb(0.0, 0.0, 0.0), Colour { y: 16, u: 128, v: 128 });
        assert_eq!(Colour::rgb(255.0, 255.0, 255.0), Colour { y: 235, u: 128, v: 128 });
        assert_eq!(Colour::rgb(255.0, 0.0, 0.0), Colour { y: 63, u: 102, v: 240 });
        assert_eq!(Colour::rgb(-9.0, 0.0, 999.0), Colour { y: 32, u: 240, v: 118 });
    }

    #[test]
    fn a_rectangle_covers_its_pixels_and_no_others() {
        let mut canvas = Canvas::new(16, 8);
        let white = Colour::rgb(255.0, 255.0, 255.0);
        canvas.rectangle((4.0, 2.0), (10.0, 6.0), white);
        for (index, luma) in canvas.y.iter().enumerate() {
            let inside = (4..10).contains(&(index % 16)) && (2..6).contains(&(index / 16));
            assert_eq!(*luma == white.y, inside, "pixel {index}");
        }
    }

    #[test]
    fn shapes_are_clipped_to_the_picture() {
        let mut canvas = Canvas::new(16, 8);
        let red = Colour::rgb(255.0, 0.0, 0.0);
        canvas.polygon(&[(-50.0, -50.0), (90.0, -20.0), (40.0, 70.0), (-60.0, 20.0)], red);
        assert!(canvas.y.iter().all(|luma| *luma == red.y));
        canvas.polygon(&[(f32::NAN, 1.0), (f32::INFINITY, 5.0), (f32::NEG_INFINITY, 9e9)], red);
        canvas.shade(&[(-3.0, -3.0), (3e9, -3.0), (2.0, 3e9)], 40);
        canvas.text("clipped", 12, 4, 3, 235);
    }

    #[test]
    fn text_is_drawn_dot_by_dot() {
        let mut canvas = Canvas::new(16, 16);
        canvas.text("|", 0, 0, 2, 235);
        let lit = canvas.y.iter().filter(|luma| **luma == 235).count();
        let glyph: u32 =
            font8x8::BASIC_FONTS.get('|').expect("in the font").iter().map(|row| row.count_ones()).sum();
        assert_eq!(lit, glyph as usize * 4);
    }
}
