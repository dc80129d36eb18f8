//! Conversion from one colour to another, plane by plane, without RGB in between.
//!
//! All arithmetic uses 16 bits and loops without branches, which the compiler turns into vector instructions of the
//! baseline target (SSE2, NEON).

use crate::colour::{Colour, Range};
use crate::{Picture, Planes, PlanesMut};

impl Planes<'_> {
    /// Writes this picture into `picture` in another colour. It reads and writes each sample once.
    ///
    /// A change of the range rounds every sample to the nearest value; limited to full and back gives the original.
    /// A change of the matrix is exact to one value, with constant chroma in each 2x2 block. Values outside the
    /// limited range (superblack and superwhite) are clipped.
    pub fn convert_into(&self, colour: Colour, picture: &mut Picture) {
        picture.reset(self.size(), colour);
        if self.colour().matrix != colour.matrix {
            change_matrix(self, colour, picture);
        } else {
            match (self.colour().range, colour.range) {
                (Range::Limited, Range::Full) => map(self, picture, luma_to_full, chroma_to_full),
                (Range::Full, Range::Limited) => map(self, picture, luma_to_limited, chroma_to_limited),
                _ => copy(self, picture),
            }
        }
        picture.pad();
    }
}

impl Picture {
    /// Changes the range of this picture in place. The result is that of [`Planes::convert_into`], with half the memory
    /// traffic.
    pub fn change_range(&mut self, range: Range) {
        let from = std::mem::replace(&mut self.colour_mut().range, range);
        let to = self.planes_mut();
        // Padding is a copy of its neighbours, and remains one after the change.
        match (from, range) {
            (Range::Limited, Range::Full) => map_in_place(to, luma_to_full, chroma_to_full),
            (Range::Full, Range::Limited) => map_in_place(to, luma_to_limited, chroma_to_limited),
            _ => {}
        }
    }
}

// 16..=235 to 0..=255. Each function rounds the exact value. The compiler turns the division of a 16-bit number by a
// constant into a multiplication.
#[inline(always)]
fn luma_to_full(y: u8) -> u8 {
    let y = u16::from(y.clamp(16, 235)) - 16;
    ((y * 255 + 109) / 219) as u8
}

// 16..=240 around 128 to 0..=255 around 128. The middles differ by half a unit, so the rounding term is doubled. It is
// less by one so that the lowest value, 0.5, becomes 0.
#[expect(clippy::manual_div_ceil, reason = "div_ceil would divide twice")]
#[inline(always)]
fn chroma_to_full(c: u8) -> u8 {
    let c = u16::from(c.clamp(16, 240)) - 16;
    ((c * 255 + 223) / 224) as u8
}

#[inline(always)]
fn luma_to_limited(y: u8) -> u8 {
    16 + ((u16::from(y) * 219 + 127) / 255) as u8
}

// 128 - 128 * 224 / 255 is 128 * 31 / 255.
#[inline(always)]
fn chroma_to_limited(c: u8) -> u8 {
    ((u16::from(c) * 224 + 128 * 31 + 127) / 255) as u8
}

fn copy(from: &Planes<'_>, to: &mut Picture) {
    let [u, v] = from.uv_rows();
    let to = to.planes_mut();
    copy_rows(from.y_rows(), to.y, to.y_stride);
    copy_rows(u, to.u, to.uv_stride);
    copy_rows(v, to.v, to.uv_stride);
}

fn copy_rows<'a>(from: impl Iterator<Item = &'a [u8]>, to: &mut [u8], stride: usize) {
    for (from, to) in from.zip(to.chunks_exact_mut(stride)) {
        to[..from.len()].copy_from_slice(from);
    }
}

#[inline(always)]
fn map(
    from: &Planes<'_>,
    to: &mut Picture,
    luma: impl Fn(u8) -> u8 + Copy,
    chroma: impl Fn(u8) -> u8 + Copy,
) {
    let [u, v] = from.uv_rows();
    let to = to.planes_mut();
    map_rows(from.y_rows(), to.y, to.y_stride, luma);
    map_rows(u, to.u, to.uv_stride, chroma);
    map_rows(v, to.v, to.uv_stride, chroma);
}

#[inline(always)]
fn map_in_place(planes: PlanesMut<'_>, luma: impl Fn(u8) -> u8, chroma: impl Fn(u8) -> u8) {
    for sample in planes.y {
        *sample = luma(*sample);
    }
    // One plane after the other: the compiler does not vectorise a chained iterator.
    for plane in [planes.u, planes.v] {
        for sample in plane {
            *sample = chroma(*sample);
        }
    }
}

#[inline(always)]
fn map_rows<'a>(
    from: impl Iterator<Item = &'a [u8]>,
    to: &mut [u8],
    stride: usize,
    f: impl Fn(u8) -> u8 + Copy,
) {
    for (from, to) in from.zip(to.chunks_exact_mut(stride)) {
        for (from, to) in from.iter().zip(to) {
            *to = f(*from);
        }
    }
}

/// Coefficients of the correction that is added to each sample.
///
/// The matrices and ranges are so similar that every coefficient is below a quarter, and all sums fit into 16 bits.
/// Chroma does not depend on luma, because grey stays grey.
struct Coefficients {
    /// Applied to luma above 128; [`LUMA_BITS`] bits after the binary point.
    y_from_y: i16,
    /// Applied to chroma above 128; this and the next five have [`CHROMA_BITS`] bits after the binary point.
    y_from_u: i16,
    y_from_v: i16,
    u_from_u: i16,
    u_from_v: i16,
    v_from_u: i16,
    v_from_v: i16,
    /// Added to every luma sample; [`LUMA_BITS`] bits after the binary point. It includes half a unit, to round.
    y_constant: i16,
}

const LUMA_BITS: u32 = 8;
const CHROMA_BITS: u32 = 9;

impl Coefficients {
    fn new(from: Colour, to: Colour) -> Self {
        let ((from_luma, from_chroma), (to_luma, to_chroma)) = (from.range.swing(), to.range.swing());
        let ((from_kr, from_kb), (to_kr, to_kb)) = (from.matrix.weights(), to.matrix.weights());
        // Red, green and blue relative to luma, from U and V: R - Y = 2 (1 - Kr) V, B - Y = 2 (1 - Kb) U, and
        // Kr R + Kg G + Kb B = Y gives green.
        let from_kg = 1.0 - from_kr - from_kb;
        let (red_v, blue_u) = (2.0 * (1.0 - from_kr), 2.0 * (1.0 - from_kb));
        let (green_u, green_v) = (-from_kb * blue_u / from_kg, -from_kr * red_v / from_kg);
        // Luma of the target matrix, relative to luma of the source matrix.
        let to_kg = 1.0 - to_kr - to_kb;
        let luma_u = to_kg * green_u + to_kb * blue_u;
        let luma_v = to_kr * red_v + to_kg * green_v;

        let fixed = |coefficient: f64, bits: u32| (coefficient * f64::from(1 << bits)).round() as i16;
        let luma_gain = to_luma / from_luma;
        let chroma_gain = to_chroma / from_chroma;
        let to_y = |above: f64| fixed(above * to_luma / from_chroma, CHROMA_BITS);
        let to_u =
            |above: f64, own: f64| fixed(above / (2.0 * (1.0 - to_kb)) * chroma_gain - own, CHROMA_BITS);
        let to_v =
            |above: f64, own: f64| fixed(above / (2.0 * (1.0 - to_kr)) * chroma_gain - own, CHROMA_BITS);
        let at_128 = (128.0 - f64::from(from.black())) * luma_gain + f64::from(to.black()) - 128.0;
        Self {
            y_from_y: fixed(luma_gain - 1.0, LUMA_BITS),
            y_from_u: to_y(luma_u),
            y_from_v: to_y(luma_v),
            u_from_u: to_u(blue_u - luma_u, 1.0),
            u_from_v: to_u(-luma_v, 0.0),
            v_from_u: to_v(-luma_u, 0.0),
            v_from_v: to_v(red_v - luma_v, 1.0),
            y_constant: fixed(at_128 + 0.5, LUMA_BITS),
        }
    }

    /// Converts one row of chroma. `luma_add` receives the correction of luma for each pixel.
    // As a function of its own its slices cannot overlap, so the compiler vectorises it.
    #[inline(never)]
    fn chroma_row(&self, u: &[u8], v: &[u8], u_to: &mut [u8], v_to: &mut [u8], luma_add: &mut [i16]) {
        // The compiler sees equal lengths and leaves out the bounds checks in the loop.
        let len = u.len();
        let (v, u_to, v_to) = (&v[..len], &mut u_to[..len], &mut v_to[..len]);
        let luma_add = &mut luma_add.as_chunks_mut::<2>().0[..len];
        for i in 0..len {
            let (u, v) = (above_128(u[i]), above_128(v[i]));
            u_to[i] = sample(u, u * self.u_from_u + v * self.u_from_v);
            v_to[i] = sample(v, u * self.v_from_u + v * self.v_from_v);
            let add = (u * self.y_from_u + v * self.y_from_v) >> (CHROMA_BITS - LUMA_BITS);
            luma_add[i] = [add + self.y_constant; 2];
        }
    }

    #[inline(never)]
    fn luma_row(&self, y: &[u8], add: &[i16], y_to: &mut [u8]) {
        for ((y, add), y_to) in y.iter().zip(add).zip(y_to) {
            let add = (above_128(*y) * self.y_from_y + add) >> LUMA_BITS;
            *y_to = (i16::from(*y) + add).clamp(0, 255) as u8;
        }
    }
}

#[inline(always)]
fn above_128(sample: u8) -> i16 {
    i16::from(sample) - 128
}

/// A chroma sample, relative to 128, with its correction.
#[inline(always)]
fn sample(above_128: i16, add: i16) -> u8 {
    let half = 1 << (CHROMA_BITS - 1);
    (above_128 + 128 + ((add + half) >> CHROMA_BITS)).clamp(0, 255) as u8
}

fn change_matrix(from: &Planes<'_>, colour: Colour, to: &mut Picture) {
    let coefficients = Coefficients::new(from.colour(), colour);
    let to = to.planes_mut();
    let mut luma_add = vec![0_i16; to.y_stride];
    let [u_rows, v_rows] = from.uv_rows();
    let chroma_to = to.u.chunks_exact_mut(to.uv_stride).zip(to.v.chunks_exact_mut(to.uv_stride));
    let mut y_rows = from.y_rows();
    let y_to = to.y.chunks_exact_mut(2 * to.y_stride);
    for (((u, v), (u_to, v_to)), y_to) in u_rows.zip(v_rows).zip(chroma_to).zip(y_to) {
        coefficients.chroma_row(u, v, u_to, v_to, &mut luma_add);
        for y_to in y_to.chunks_exact_mut(to.y_stride) {
            // With an odd height, the last row has no partner.
            let Some(y) = y_rows.next() else { break };
            coefficients.luma_row(y, &luma_add, y_to);
        }
    }
}
