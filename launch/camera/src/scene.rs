//! The test picture: a street with traffic, the time of day to the millisecond and a frame counter.

use std::time::{Duration, SystemTime};

use super::backdrop::{self, Street};
use super::canvas::{Canvas, Colour};

/// Draws the pictures. Equal [`Moment`]s yield equal pictures.
pub(super) struct Scene {
    backdrop: Canvas,
    canvas: Canvas,
    street: Street,
    /// Sensor noise to add to luma, wrapping (254 is -2); each frame uses a different part of it.
    sensor_noise: Vec<u8>,
}

/// The time of a picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The time since the camera started; moves the traffic.
    pub(super) elapsed: Duration,
    /// The time of day in the caption.
    pub(super) wall: SystemTime,
    /// The number in the caption.
    pub(super) frame: u64,
}

/// A car that drives up or down the street in a loop.
struct Car {
    /// The middle of its lane; the right half of the road drives away from the camera.
    across: f32,
    /// Its position at the start, 0 to 1.
    phase: f32,
    /// The seconds that it needs for the street.
    period: f32,
    paint: [f32; 3],
    /// The ratio of height to width: about 0.75 for cars, more for lorries.
    tallness: f32,
}

const CARS: [Car; 9] = [
    Car { across: -0.75, phase: 0.10, period: 9.0, paint: [196.0, 44.0, 38.0], tallness: 0.74 },
    Car { across: -0.75, phase: 0.62, period: 9.0, paint: [232.0, 232.0, 228.0], tallness: 1.25 },
    Car { across: -0.25, phase: 0.35, period: 6.5, paint: [40.0, 78.0, 150.0], tallness: 0.70 },
    Car { across: -0.25, phase: 0.80, period: 6.5, paint: [226.0, 178.0, 40.0], tallness: 0.78 },
    Car { across: 0.25, phase: 0.05, period: 7.0, paint: [52.0, 56.0, 62.0], tallness: 0.72 },
    Car { across: 0.25, phase: 0.55, period: 7.0, paint: [168.0, 174.0, 180.0], tallness: 0.74 },
    Car { across: 0.75, phase: 0.25, period: 10.0, paint: [44.0, 120.0, 84.0], tallness: 1.30 },
    Car { across: 0.75, phase: 0.55, period: 10.0, paint: [214.0, 108.0, 40.0], tallness: 0.76 },
    Car { across: 0.75, phase: 0.90, period: 10.0, paint: [150.0, 32.0, 60.0], tallness: 0.72 },
];

/// Depths between which cars drive: far away, and just out of the picture in front.
const FAR: f32 = 16.0;
const NEAR: f32 = 0.8;

/// The number of noise patterns.
const NOISE_PATTERNS: usize = 4096;

impl Scene {
    /// A scene of even `width` and `height`.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(0x6d73_6967_6874);
        let sensor_noise = (0..width * height + NOISE_PATTERNS)
            .map(|_| random.u8(0..3).wrapping_add(random.u8(0..3)).wrapping_sub(2))
            .collect();
        let backdrop = backdrop::draw(width, height);
        Self { canvas: backdrop.clone(), backdrop, street: Street::new(width, height), sensor_noise }
    }

    /// Draws the picture at a moment.
    pub(super) fn draw(&mut self, moment: &Moment) -> &Canvas {
        self.expose(moment);
        let mut cars: Vec<(f32, &Car)> = CARS.iter().map(|car| (car.depth(moment.elapsed), car)).collect();
        cars.sort_by(|one, other| other.0.total_cmp(&one.0));
        for (depth, car) in cars {
            car.draw(depth, &self.street, &mut self.canvas);
        }
        self.caption(moment);
        &self.canvas
    }

    /// Copies the backdrop as seen from a mast that sways in the wind, and adds sensor noise.
    ///
    /// The sway makes the encoder work as in reality: a camera on a mast never sends the same picture twice, and JPEG
    /// removes most of the noise. Chroma, which has half the resolution, does not move.
    fn expose(&mut self, moment: &Moment) {
        // Steps by a large prime, so that the pattern jumps and does not crawl over the picture.
        let pattern = (moment.frame.wrapping_mul(2_654_435_761) % NOISE_PATTERNS as u64) as usize;
        let Canvas { width, height, .. } = self.backdrop;
        let ((x, across), (y, down)) = sway(moment.elapsed);
        let place = |at: usize, by: i32, size: usize| at.saturating_add_signed(by as isize).min(size - 1);
        let rows =
            self.canvas.y.chunks_exact_mut(width).zip(self.sensor_noise[pattern..].chunks_exact(width));
        for (row, (exposed, noise)) in rows.enumerate() {
            let line = |by| {
                let begin = place(row, y + by, height) * width;
                &self.backdrop.y[begin..begin + width]
            };
            let (upper, lower) = (line(0), line(1));
            for (column, (exposed, noise)) in exposed.iter_mut().zip(noise).enumerate() {
                let (left, right) = (place(column, x, width), place(column, x + 1, width));
                let between =
                    |line: &[u8]| u32::from(line[left]) * (STEPS - across) + u32::from(line[right]) * across;
                let light = between(upper) * (STEPS - down) + between(lower) * down;
                *exposed = ((light + STEPS * STEPS / 2) / (STEPS * STEPS)) as u8;
                *exposed = exposed.wrapping_add(*noise);
            }
        }
        self.canvas.u.copy_from_slice(&self.backdrop.u);
        self.canvas.v.copy_from_slice(&self.backdrop.v);
    }

    /// Writes the time of day in UTC and the number of the frame along the upper edge.
    fn caption(&mut self, moment: &Moment) {
        const WHITE: u8 = 235;
        let time = jiff::Timestamp::try_from(moment.wall)
            .map_or_else(|_| "no time".into(), |time| time.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string());
        let frame = format!("frame {:06}", moment.frame);
        let Canvas { width, height, .. } = self.canvas;
        let dot = (height / 240).max(1);
        let (margin, line) = (4 * dot, 8 * dot);
        let frame_width = frame.len() * line;
        let is_one_line = time.len() * line + frame_width + 4 * margin <= width;
        let lines = if is_one_line { 1 } else { 2 };
        let bottom = (lines * (line + margin) + margin) as f32;
        let right = width as f32;
        self.canvas.shade(&[(0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom)], 35);
        self.canvas.text(&time, margin, margin, dot, WHITE);
        if is_one_line {
            self.canvas.text(&frame, width - margin - frame_width, margin, dot, WHITE);
        } else {
            self.canvas.text(&frame, margin, 2 * margin + line, dot, WHITE);
        }
    }
}

/// The steps per pixel of the sway.
const STEPS: u32 = 64;

/// The offset of the picture to the left and up, by the sway of the mast: whole pixels, and [`STEPS`] of a pixel.
fn sway(elapsed: Duration) -> ((i32, u32), (i32, u32)) {
    let seconds = elapsed.as_secs_f64();
    let swing = |pixels: f64, hertz: f64, phase: f64| {
        let by = pixels * (std::f64::consts::TAU * hertz * seconds + phase).sin();
        (by.floor() as i32, ((by - by.floor()) * f64::from(STEPS)) as u32)
    };
    (swing(1.6, 0.37, 0.0), swing(0.9, 0.53, 1.0))
}

impl Car {
    fn depth(&self, elapsed: Duration) -> f32 {
        let way = (elapsed.as_secs_f64() / f64::from(self.period)).fract() as f32 + self.phase;
        let way = if self.drives_away() { way.fract() } else { 1.0 - way.fract() };
        NEAR + way * (FAR - NEAR)
    }

    fn drives_away(&self) -> bool {
        self.across > 0.0
    }

    /// Draws the car as it appears from behind or from the front, slightly from above.
    fn draw(&self, depth: f32, street: &Street, canvas: &mut Canvas) {
        let (x, ground) = street.place(self.across, depth);
        let half = 0.17 * street.unit(depth);
        let tall = 2.0 * half * self.tallness;
        // Coordinates on the car: -1 to 1 across, 0 (ground) to 1 (roof) up.
        let at = |across: f32, up: f32| (x + across * half, ground - up * tall);
        let paint = |light: f32| {
            let [r, g, b] = self.paint;
            Colour::rgb(r * light, g * light, b * light)
        };
        let grey = |level: f32| Colour::rgb(level, level, level + 4.0);

        canvas.shade(&[at(-1.25, 0.1), at(1.25, 0.1), at(1.1, -0.12), at(-1.1, -0.12)], 45);
        for side in [-1.0_f32, 1.0] {
            let (outer, inner) = (at(side * 0.92, 0.22), at(side * 0.6, -0.03));
            canvas.rectangle((outer.0.min(inner.0), outer.1), (outer.0.max(inner.0), inner.1), grey(24.0));
        }
        canvas.polygon(&[at(-1.0, 0.12), at(-0.98, 0.55), at(0.98, 0.55), at(1.0, 0.12)], paint(0.9));
        canvas.polygon(&[at(-0.96, 0.55), at(-0.72, 0.92), at(0.72, 0.92), at(0.96, 0.55)], paint(0.78));
        canvas.polygon(&[at(-0.72, 0.92), at(-0.6, 1.0), at(0.6, 1.0), at(0.72, 0.92)], paint(1.2));
        canvas.polygon(&[at(-0.84, 0.57), at(-0.64, 0.88), at(0.64, 0.88), at(0.84, 0.57)], grey(52.0));
        canvas.polygon(&[at(-0.5, 0.6), at(-0.36, 0.86), at(-0.16, 0.86), at(-0.3, 0.6)], grey(96.0));
        canvas.rectangle(at(-1.0, 0.24), at(1.0, 0.17), grey(44.0));
        let lamp = if self.drives_away() {
            Colour::rgb(226.0, 30.0, 26.0)
        } else {
            Colour::rgb(255.0, 250.0, 222.0)
        };
        for side in [-0.94, 0.62] {
            canvas.rectangle(at(side, 0.46), at(side + 0.32, 0.34), lamp);
        }
        canvas.rectangle(at(-0.24, 0.4), at(0.24, 0.3), grey(226.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(millis: u64, frame: u64) -> Moment {
        Moment {
            elapsed: Duration::from_millis(millis),
            wall: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + millis),
            frame,
        }
    }

    #[test]
    fn equal_moments_yield_equal_pictures_and_others_differ() {
        let mut scene = Scene::new(320, 180);
        let first = scene.draw(&moment(0, 0)).clone();
        let second = scene.draw(&moment(100, 1)).clone();
        assert_ne!(first.y, second.y);
        assert_ne!(first.u, second.u, "something coloured must move");
        assert_eq!(scene.draw(&moment(0, 0)).y, first.y);
    }

    #[test]
    fn the_picture_is_in_limited_range() {
        for (width, height) in [(320, 180), (640, 480), (180, 320)] {
            let mut scene = Scene::new(width, height);
            for step in 0..20 {
                let canvas = scene.draw(&moment(step * 613, step));
                assert!(canvas.y.iter().all(|luma| (14..=237).contains(luma)));
                assert!(canvas.u.iter().chain(&canvas.v).all(|chroma| (16..=240).contains(chroma)));
            }
        }
    }

    #[test]
    fn the_mast_sways_to_both_sides_by_parts_of_a_pixel() {
        let places: Vec<_> = (0..200).map(|tenth| sway(Duration::from_millis(100 * tenth))).collect();
        assert!(places.iter().all(|((x, across), (y, down))| {
            (-2..2).contains(x) && (-1..1).contains(y) && *across < STEPS && *down < STEPS
        }));
        let far = |whole: i32| places.iter().filter(|((x, _), _)| *x == whole).count();
        assert!([-2, -1, 0, 1].iter().all(|whole| far(*whole) > 10), "it goes both ways");
        let mut scene = Scene::new(320, 180);
        let still = scene.draw(&moment(0, 7)).y[320 * 150..].to_vec();
        assert_ne!(scene.draw(&moment(700, 7)).y[320 * 150..], still, "the ground moves, whatever the noise");
    }

    #[test]
    fn the_caption_shows_the_frame_number() {
        let mut scene = Scene::new(640, 360);
        let caption = |canvas: &Canvas| canvas.y[..640 * 16].iter().filter(|y| **y == 235).count();
        let one = caption(scene.draw(&moment(0, 1)));
        let eight = caption(scene.draw(&moment(0, 8)));
        assert!(one > 0 && eight > one, "an 8 has more dots than a 1");
    }
}
