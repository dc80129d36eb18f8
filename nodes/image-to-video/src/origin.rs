//! Which process sends the frames of a sensor. Frames of two cameras under one sensor name make no video, so the frames of
//! the first one are used, and those of the second one are lost and reported.

use msight_proto::Head;
use std::fmt;
use std::time::{Duration, Instant};

/// A process that comes back within this time was not replaced by the other one: both run.
const RETURN: Duration = Duration::from_secs(10);
/// A process without a frame for this long no longer runs.
const SILENT: Duration = Duration::from_secs(5);
/// Most milliseconds between the time in a frame id and the time at which its message was made. Ids of another layout are
/// further off.
const MAX_ID_AGE: f64 = 3.6e6;

/// The process that made a frame's message, as far as the message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    device: Option<String>,
    /// The worker number in the frame's id: MSight's process id modulo 1024, or a random number of a Rust process.
    worker: Option<u16>,
}

impl Origin {
    /// Reads a frame's head.
    pub(crate) fn of(head: &Head) -> Self {
        let worker = head.frame_id.and_then(|id| {
            let id = u64::try_from(id.get()).ok()?;
            let age = (id >> 22) as f64 - head.creation_timestamp * 1e3;
            (age.abs() < MAX_ID_AGE).then_some((id >> 12 & 0x3ff) as u16)
        });
        Self { device: head.device_name.clone(), worker }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.device.as_deref().unwrap_or("(no device name)"))?;
        match self.worker {
            Some(worker) => write!(f, " worker {worker}"),
            None => Ok(()),
        }
    }
}

/// A process and the time of its last frame.
#[derive(Debug)]
struct Sender {
    origin: Origin,
    last: Instant,
}

/// Watches where a sensor's frames come from.
///
/// A process that takes the place of another one, as after a restart, is used at once. If the former one comes back, both
/// run: then the former one is used until it is silent.
#[derive(Debug, Default)]
pub(crate) struct OriginWatch {
    used: Option<Sender>,
    /// The one before it.
    former: Option<Sender>,
    /// When another process last sent a frame, if two run.
    conflict: Option<Instant>,
}

impl OriginWatch {
    /// A frame came from `origin`.
    ///
    /// # Errors
    /// Another process sends this sensor's frames; it is returned.
    pub(crate) fn check(&mut self, origin: &Origin, now: Instant) -> Result<(), Origin> {
        let is_recent = |time: Instant, limit| now.saturating_duration_since(time) < limit;
        if let Some(used) = self.used.as_mut().filter(|used| used.origin == *origin) {
            used.last = now;
            return Ok(());
        }
        let used = self.used.as_ref().filter(|used| is_recent(used.last, SILENT));
        if let Some(used) = used
            && self.conflict.is_some_and(|last| is_recent(last, RETURN))
        {
            self.conflict = Some(now);
            return Err(used.origin.clone());
        }
        let returns = (self.former.as_ref())
            .is_some_and(|former| former.origin == *origin && is_recent(former.last, RETURN));
        self.conflict = (returns && used.is_some()).then_some(now);
        self.former = self.used.replace(Sender { origin: origin.clone(), last: now });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use msight_proto::FrameId;

    fn origin(worker: u16) -> Origin {
        Origin { device: Some("edge".into()), worker: Some(worker) }
    }

    /// The tenths of a second at which a frame of the worker is lost.
    fn lost(frames: impl IntoIterator<Item = (u64, u16)>) -> Vec<(u64, u16)> {
        let (mut watch, start) = (OriginWatch::default(), Instant::now());
        let mut lost = Vec::new();
        for (tenth, worker) in frames {
            if watch.check(&origin(worker), start + Duration::from_millis(100 * tenth)).is_err() {
                lost.push((tenth, worker));
            }
        }
        lost
    }

    #[test]
    fn a_restarted_source_loses_no_frame() {
        assert_eq!(lost((0..50).map(|k| (k, 1)).chain((50..99).map(|k| (k, 2)))), []);
        assert_eq!(lost((0..90).map(|k| (k, (k / 30) as u16))), []);
    }

    #[test]
    fn of_two_sources_the_first_one_is_used() {
        let both = (0..50).flat_map(|k| [(k, 1), (k, 2)]);
        let lost = lost(both.chain((50..200).map(|k| (k, 2))));
        assert_eq!(lost[..49], (1..50).map(|k| (k, 2)).collect::<Vec<_>>(), "all but its first frame");
        assert_eq!(lost.len(), 49 + 49, "and until the first source is silent for five seconds");
    }

    #[test]
    fn only_ids_of_msights_layout_have_a_worker() {
        let mut head = Head::new("gate".to_owned(), 0.0);
        let mut id = |milliseconds: f64| {
            head.frame_id = Some(FrameId::from((milliseconds as u64) << 22 | 77 << 12 | 1));
            Origin::of(&head).worker
        };
        let now = msight_proto::unix_now() * 1e3;
        assert_eq!((id(now), id(now - 5e3)), (Some(77), Some(77)));
        assert_eq!((id(3.0), id(now / 2.0), id(now * 1.5)), (None, None, None));
        assert_eq!(origin(7).to_string(), r#""edge" worker 7"#);
    }
}
