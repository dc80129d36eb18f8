//! The static part of the test picture: a street that runs to the horizon, drawn once.
//!
//! It has the detail of a real scene (grain, foliage, windows, clouds). Flat test cards would be too easy for an
//! encoder.

use super::canvas::{Canvas, Colour};

/// The street in perspective. Depth 1 is the lower edge of the picture and twice the depth is half the size;
/// across, -1 and 1 are the edges of the road.
#[derive(Clone, Copy, Debug)]
pub(super) struct Street {
    centre: f32,
    horizon: f32,
    drop: f32,
    half_width: f32,
}

impl Street {
    pub(super) fn new(width: usize, height: usize) -> Self {
        let (width, height) = (width as f32, height as f32);
        let horizon = 0.34 * height;
        Self { centre: 0.5 * width, horizon, drop: height - horizon, half_width: 0.44 * width }
    }

    /// The pixel of a point on the ground.
    pub(super) fn place(&self, across: f32, depth: f32) -> (f32, f32) {
        (self.centre + across * self.half_width / depth, self.horizon + self.drop / depth)
    }

    /// The pixels of one unit across at a depth.
    pub(super) fn unit(&self, depth: f32) -> f32 {
        self.half_width / depth
    }

    /// The point on the ground at a pixel; `None` above the horizon.
    fn ground(&self, x: f32, y: f32) -> Option<(f32, f32)> {
        let nearness = (y - self.horizon) / self.drop;
        (nearness > 0.0).then(|| ((x - self.centre) / (self.half_width * nearness), 1.0 / nearness))
    }
}

/// Draws the street with its surroundings, and a strip of colour bars and greys along the lower edge.
pub(super) fn draw(width: usize, height: usize) -> Canvas {
    let street = Street::new(width, height);
    let mut canvas = Canvas::new(width, height);
    for row in 0..height {
        for column in 0..width {
            let (x, y) = (column as f32 + 0.5, row as f32 + 0.5);
            let [r, g, b] = match street.ground(x, y) {
                Some((across, depth)) => ground(across, depth, x, y),
                None => sky(x / width as f32, y / street.horizon),
            };
            canvas.put(column, row, Colour::rgb(r, g, b));
        }
    }
    for depth in [9.0, 6.0, 4.2, 3.0, 2.2, 1.65] {
        for across in [-1.62, 1.62] {
            tree(&mut canvas, &street, across, depth);
        }
    }
    bars(&mut canvas);
    canvas
}

/// Sky, hills and a skyline; `x` and `y` are 0 to 1.
fn sky(x: f32, y: f32) -> [f32; 3] {
    let hill = 0.86 + 0.07 * (cloud(x * 5.0, 3.0) - 0.5) - 0.1 * (x - 0.5).abs();
    let block = (x * 26.0).floor();
    let roof = 0.99 - (0.34 * grain(block as i32, 11)) * (2.2 * (x - 0.5).abs()).min(1.0);
    if y > roof {
        let (pane_x, pane_y) = ((x * 26.0).fract() * 7.0, y * 46.0);
        let is_window = pane_x.fract() > 0.4 && pane_y.fract() > 0.45;
        let is_lit = grain((block * 7.0 + pane_x.floor()) as i32, pane_y.floor() as i32) > 0.7;
        let wall = 96.0 + 60.0 * grain(block as i32, 5);
        return match (is_window, is_lit) {
            (true, true) => [228.0, 205.0, 150.0],
            (true, false) => [wall * 0.5, wall * 0.56, wall * 0.66],
            _ => [wall, wall * 0.93, wall * 0.86],
        };
    }
    if y > hill {
        let leaf = 0.75 + 0.5 * cloud(x * 180.0, y * 60.0);
        return [70.0 * leaf, 98.0 * leaf, 92.0 * leaf];
    }
    let white = ((cloud(x * 6.0, y * 3.2) - 0.45) * 2.6).clamp(0.0, 1.0) * (0.4 + 0.6 * y);
    let mix = |clear: f32, cloudy: f32| clear + (cloudy - clear) * white;
    [mix(96.0 + 84.0 * y, 240.0), mix(146.0 + 62.0 * y, 240.0), mix(205.0 + 22.0 * y, 244.0)]
}

/// The road with its markings, the pavement and the grass.
fn ground(across: f32, depth: f32, x: f32, y: f32) -> [f32; 3] {
    let speck = grain(x as i32, y as i32) - 0.5;
    let side = across.abs();
    // A marking is never thinner than about a pixel, or it would flicker into dots far away.
    let thin = 0.008 + 0.0012 * depth;
    let is_dash = (depth * 2.6).rem_euclid(1.0) < 0.45 && depth < 12.0;
    if side < 1.0 {
        let worn = cloud(across * 9.0, depth * 7.0);
        if (side - 0.018).abs() < thin {
            return [214.0 + 30.0 * speck, 172.0 + 30.0 * speck, 58.0];
        }
        if (side - 0.97).abs() < thin || ((side - 0.5).abs() < thin && is_dash) {
            return [222.0 + 40.0 * speck - 30.0 * worn; 3];
        }
        let wheel_track = 9.0 * ((side * 4.0).fract() - 0.5).abs();
        let grey = 74.0 + 22.0 * worn + wheel_track + 34.0 * speck / depth.sqrt();
        return [grey, grey + 1.0, grey + 4.0];
    }
    if side < 1.2 {
        let is_joint = (depth * 6.0).rem_euclid(1.0) < 0.06 || side < 1.02;
        let grey =
            if is_joint { 118.0 } else { 156.0 } + 26.0 * speck + 14.0 * cloud(across * 20.0, depth * 16.0);
        return [grey, grey - 3.0, grey - 9.0];
    }
    let blade =
        cloud(across * 46.0, depth * 46.0) * 0.6 + cloud(across * 8.0, depth * 6.0) * 0.6 + 0.4 * speck;
    [52.0 + 62.0 * blade, 86.0 + 74.0 * blade, 36.0 + 34.0 * blade]
}

/// A trunk and a crown of leaves, as tall as a tree is at that depth.
fn tree(canvas: &mut Canvas, street: &Street, across: f32, depth: f32) {
    let ((foot_x, foot_y), unit) = (street.place(across, depth), street.unit(depth));
    let bark = Colour::rgb(74.0, 58.0, 44.0);
    canvas.shade(
        &[
            (foot_x - 0.25 * unit, foot_y),
            (foot_x, foot_y - 0.04 * unit),
            (foot_x + 0.25 * unit, foot_y),
            (foot_x, foot_y + 0.04 * unit),
        ],
        62,
    );
    canvas.rectangle((foot_x - 0.02 * unit, foot_y - 0.5 * unit), (foot_x + 0.02 * unit, foot_y), bark);
    let (centre_y, radius) = (foot_y - 0.62 * unit, 0.26 * unit);
    let rows =
        (centre_y - radius).max(0.0) as usize..((centre_y + radius).max(0.0) as usize).min(canvas.height);
    for row in rows {
        let left = (foot_x - radius).max(0.0) as usize;
        let right = ((foot_x + radius).max(0.0) as usize).min(canvas.width);
        for column in left..right {
            let (x, y) = ((column as f32 - foot_x) / radius, (row as f32 - centre_y) / radius);
            let leaf = cloud(x * 7.0 + across * 50.0, y * 7.0 + depth * 50.0);
            if x * x + y * y < 0.55 + 0.5 * leaf {
                let light = 0.45 + 0.9 * leaf - 0.25 * y - 0.15 * x + 0.2 * grain(column as i32, row as i32);
                canvas.put(column, row, Colour::rgb(58.0 * light, 96.0 * light, 42.0 * light));
            }
        }
    }
}

/// The eight colours of a television test card at 75 % (SMPTE EG 1), then steps of grey.
fn bars(canvas: &mut Canvas) {
    const CORNERS: [[f32; 3]; 8] = [
        [191.0, 191.0, 191.0],
        [191.0, 191.0, 0.0],
        [0.0, 191.0, 191.0],
        [0.0, 191.0, 0.0],
        [191.0, 0.0, 191.0],
        [191.0, 0.0, 0.0],
        [0.0, 0.0, 191.0],
        [0.0, 0.0, 0.0],
    ];
    let greys = (0..8).map(|step| [step as f32 * 255.0 / 7.0; 3]);
    let step = canvas.width as f32 / 16.0;
    let (top, bottom) = (0.955 * canvas.height as f32, canvas.height as f32);
    for (place, [r, g, b]) in CORNERS.into_iter().chain(greys).enumerate() {
        let left = place as f32 * step;
        canvas.rectangle((left, top), (left + step, bottom), Colour::rgb(r, g, b));
    }
}

/// A pseudo-random number from 0 to 1 for a point.
fn grain(x: i32, y: i32) -> f32 {
    let mut bits = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2c1b_3c6d);
    bits = (bits ^ (bits >> 12)).wrapping_mul(0x297a_2d39);
    ((bits ^ (bits >> 15)) >> 8) as f32 / 16_777_216.0
}

/// Smooth noise of 0 to 1 in four octaves: clouds, foliage, worn asphalt.
fn cloud(x: f32, y: f32) -> f32 {
    let octave = |x: f32, y: f32| {
        let (left, top) = (x.floor(), y.floor());
        let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
        let (right, down) = (smooth(x - left), smooth(y - top));
        let at = |dx, dy| grain((left as i32).wrapping_add(dx), (top as i32).wrapping_add(dy));
        let upper = at(0, 0) + (at(1, 0) - at(0, 0)) * right;
        let lower = at(0, 1) + (at(1, 1) - at(0, 1)) * right;
        upper + (lower - upper) * down
    };
    0.53 * octave(x, y)
        + 0.27 * octave(2.0 * x + 17.0, 2.0 * y)
        + 0.13 * octave(4.0 * x, 4.0 * y + 31.0)
        + 0.07 * octave(8.0 * x, 8.0 * y)
}
