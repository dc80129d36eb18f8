//! Reduces a stream to a target frame rate, evenly by capture time.

/// Selects at most a target rate of frames, evenly by capture time.
///
/// It selects the frame nearest to each due time, so a camera that sends at the target rate loses no frame to jitter.
#[derive(Debug)]
pub struct TargetRate {
    /// Seconds between two frames.
    interval: f64,
    /// When the next frame is due.
    due: Option<f64>,
    last: Option<f64>,
    /// Seconds between incoming frames, smoothed.
    spacing: Option<f64>,
}

impl TargetRate {
    /// At most `fps` frames a second; `fps` is above 0.
    #[must_use]
    pub fn new(fps: f64) -> Self {
        let interval = fps.recip();
        Self { interval, due: None, last: None, spacing: None }
    }

    /// Whether to keep the frame captured at `captured` (seconds).
    pub fn keep(&mut self, captured: f64) -> bool {
        let last = self.last.replace(captured);
        if let Some(since) = last.map(|last| captured - last)
            && (0.0..self.interval * 2.0).contains(&since)
        {
            let spacing = self.spacing.get_or_insert(since);
            *spacing += (since - *spacing) * 0.2;
        }
        let Some(due) = self.due else {
            self.due = Some(captured + self.interval);
            return true;
        };
        // Time went back (a clock was set) or ahead by more than an interval (a gap): restart from this frame.
        if captured < due - 2.0 * self.interval || captured > due + self.interval {
            self.due = Some(captured + self.interval);
            return true;
        }
        let keep = captured >= due - (self.spacing.unwrap_or_default() / 2.0).min(self.interval / 2.0);
        if keep {
            self.due = Some(due + self.interval);
        }
        keep
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept_at(fps: f64, times: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut rate = TargetRate::new(fps);
        times.into_iter().filter(|&t| rate.keep(t)).collect()
    }

    #[test]
    fn ten_fps_keep_every_third_frame_of_thirty() {
        let kept = kept_at(10.0, (0..300).map(|i| f64::from(i) / 30.0));
        assert_eq!(kept.len(), 100);
        assert!(kept.windows(2).all(|w| (w[1] - w[0] - 0.1).abs() < 1e-6));
    }

    #[test]
    fn a_slower_camera_keeps_all_frames_and_a_gap_or_a_clock_step_restarts() {
        assert_eq!(kept_at(10.0, (0..50).map(|i| f64::from(i) / 8.0)).len(), 50);
        let kept = kept_at(10.0, (0..30).map(|i| f64::from(i) / 10.0 + if i < 15 { 0.0 } else { -3600.0 }));
        assert_eq!(kept.len(), 30);
        let kept = kept_at(10.0, (0..30).map(|i| f64::from(i) / 10.0 + if i < 15 { 0.0 } else { 3600.0 }));
        assert_eq!(kept.len(), 30);
    }

    proptest! {
        #[test]
        fn the_target_rate_is_met_evenly(camera in 10.5f64..120.0, fps in 1.0f64..10.0, jitter in 0.0f64..0.2, seed in any::<u64>()) {
            let mut state = seed | 1;
            let frames = 1000;
            let kept = kept_at(fps, (0..frames).map(|i| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let noise = (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5;
                (f64::from(i) + jitter * noise) / camera
            }));
            let wanted = f64::from(frames) / camera * fps;
            prop_assert!((kept.len() as f64 - wanted).abs() <= 2.0 + wanted * 0.01, "{} for {wanted}", kept.len());
            let most = 1.0 / fps + 1.5 / camera;
            prop_assert!(kept.windows(2).all(|w| w[1] - w[0] < most));
        }

        #[test]
        fn a_camera_at_the_target_rate_keeps_its_frames(fps in 1.0f64..60.0, jitter in 0.0f64..0.4, seed in any::<u64>()) {
            let mut state = seed | 1;
            let kept = kept_at(fps, (0..500).map(|i| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let noise = (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5;
                (f64::from(i) + jitter * noise) / fps
            }));
            prop_assert!(kept.len() >= 499, "{}", kept.len());
        }
    }
}
