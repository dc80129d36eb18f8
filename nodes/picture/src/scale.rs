use crate::{Picture, Planes, Size};

/// Scales pictures, plane by plane.
///
/// It is bilinear when it enlarges. When it shrinks, it uses a triangle filter of two output pixels in width, so every
/// input pixel counts. MSight's `resize` (OpenCV, `INTER_LINEAR`) uses four neighbours for any ratio, which makes fine
/// patterns flicker.
#[derive(Debug, Default)]
pub struct Scaler {
    sums: Vec<u16>,
    row: Vec<u8>,
}

impl Scaler {
    /// A scaler. It reuses its intermediate row between pictures.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `planes` into `picture` with the size `to`, in the same colour.
    pub fn scale(&mut self, planes: &Planes<'_>, to: Size, picture: &mut Picture) {
        let from = planes.size();
        if from == to {
            return planes.convert_into(planes.colour(), picture);
        }
        picture.reset(to, planes.colour());
        let [y_stride, u_stride, v_stride] = planes.strides();
        let out = picture.planes_mut();
        let columns = Taps::new(from.width() as f64, from.width(), to.width());
        let rows = Taps::new(from.height() as f64, from.height(), to.height());
        self.plane(planes.y(), y_stride, out.y, out.y_stride, &columns, &rows);

        // With an odd side, the last chroma sample also covers a pixel outside the picture. Read the chroma of the
        // picture, and beyond it the share that the written plane extends beyond its picture.
        let (from_chroma, to_chroma) = (from.chroma(), to.chroma());
        let part = |from: usize, to: usize, limit: usize| {
            let beyond = (2 * to.div_ceil(2)) as f64 / to as f64;
            (from as f64 / 2.0 * beyond).min(limit as f64)
        };
        let width = part(from.width(), to.width(), from_chroma.width());
        let height = part(from.height(), to.height(), from_chroma.height());
        let columns = Taps::new(width, from_chroma.width(), to_chroma.width());
        let rows = Taps::new(height, from_chroma.height(), to_chroma.height());
        self.plane(planes.u(), u_stride, out.u, out.uv_stride, &columns, &rows);
        self.plane(planes.v(), v_stride, out.v, out.uv_stride, &columns, &rows);
        picture.pad();
    }

    /// Scales one plane. For each output row it combines the input rows into one, and scales that row in width.
    fn plane(
        &mut self,
        from: &[u8],
        stride: usize,
        to: &mut [u8],
        to_stride: usize,
        columns: &Taps,
        rows: &Taps,
    ) {
        let width = columns.inputs;
        for ((start, weights), to) in rows.iter().zip(to.chunks_exact_mut(to_stride)) {
            self.sums.clear();
            self.sums.resize(width, HALF);
            for (row, &weight) in from[start * stride..].chunks(stride).zip(weights) {
                // A weight may be zero at the edges, and if the ratio is not a whole number.
                if weight != 0 {
                    for (sum, sample) in self.sums.iter_mut().zip(&row[..width]) {
                        *sum += weight * u16::from(*sample);
                    }
                }
            }
            self.row.clear();
            self.row.extend(self.sums.iter().map(|sum| (sum / ONE) as u8));
            match columns.count {
                3 => along_row::<3>(&self.row, columns, to),
                4 => along_row::<4>(&self.row, columns, to),
                5 => along_row::<5>(&self.row, columns, to),
                6 => along_row::<6>(&self.row, columns, to),
                _ => {
                    for ((start, weights), to) in columns.iter().zip(to) {
                        *to = weigh(&self.row[start..start + weights.len()], weights);
                    }
                }
            }
        }
    }
}

/// Scales one row with a constant number of taps, which is several times faster: 3 taps if the picture grows, up to 6
/// if it shrinks to 0.4.
#[inline(never)]
fn along_row<const COUNT: usize>(row: &[u8], columns: &Taps, to: &mut [u8]) {
    let weights = columns.weights.as_chunks::<COUNT>().0;
    for ((&start, weights), to) in columns.starts.iter().zip(weights).zip(to) {
        if let Some(samples) = row[start..].first_chunk::<COUNT>() {
            *to = weigh(samples, weights);
        }
    }
}

#[inline(always)]
fn weigh(samples: &[u8], weights: &[u16]) -> u8 {
    let sum: u16 = samples.iter().zip(weights).map(|(sample, weight)| weight * u16::from(*sample)).sum();
    ((sum + HALF) / ONE) as u8
}

/// The sum of the weights of one output: the largest for which a sample of 255 and the rounding term fit into 16 bits.
const ONE: u16 = 256;
const HALF: u16 = ONE / 2;

/// The inputs and weights of each output along one side.
struct Taps {
    inputs: usize,
    /// Inputs for each output.
    count: usize,
    starts: Vec<usize>,
    weights: Vec<u16>,
}

impl Taps {
    /// Taps from the first `part` of `inputs` samples to `outputs` samples.
    fn new(part: f64, inputs: usize, outputs: usize) -> Self {
        let step = part / outputs as f64;
        let radius = step.max(1.0);
        let count = ((2.0 * radius).ceil() as usize + 1).min(inputs);
        let mut taps = Self { inputs, count, starts: Vec::new(), weights: Vec::new() };
        for output in 0..outputs {
            let centre = (output as f64 + 0.5) * step;
            let start = ((centre - radius).max(0.0) as usize).min(inputs - count);
            let weight = |input: usize| (1.0 - ((input as f64 + 0.5 - centre) / radius).abs()).max(0.0);
            let scale = f64::from(ONE) / (start..start + count).map(weight).sum::<f64>();
            // The running sums are rounded instead of the weights, so that all weights add up to one.
            let (mut sum, mut given) = (0.0, 0);
            taps.starts.push(start);
            taps.weights.extend((start..start + count).map(|input| {
                sum += weight(input) * scale;
                let weight = sum.round() as u16 - given;
                given += weight;
                weight
            }));
        }
        taps
    }

    /// For each output, its first input and its weights.
    fn iter(&self) -> impl Iterator<Item = (usize, &[u16])> {
        self.starts.iter().copied().zip(self.weights.chunks_exact(self.count))
    }
}
