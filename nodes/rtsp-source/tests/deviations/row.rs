//! One row of the table: a deviation, and what may be lost by it.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::camera::Camera;
use crate::client::{Client, Received, Times};
use crate::film::FRAMES;

/// How far a capture time may be outside of the time from when the frame was due to when it was published, in seconds.
const NEAR: f64 = 0.5;

/// The same, of frames that are timed by their arrival: bursts are spread over the half second before it.
const NEAR_ARRIVAL: f64 = 1.0;

/// One deviation of the camera.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) change: fn(&mut Camera),
    /// The frames that cannot be shown after it.
    pub(crate) loses: Range<usize>,
    /// How far capture times may be off, in seconds.
    pub(crate) near: f64,
}

/// A row after which every frame is published.
pub(crate) fn whole(name: &'static str, change: fn(&mut Camera)) -> Row {
    Row { name, change, loses: 0..0, near: NEAR }
}

/// A row after which these frames are lost.
pub(crate) fn loses(name: &'static str, loses: Range<usize>, change: fn(&mut Camera)) -> Row {
    Row { name, change, loses, near: NEAR }
}

/// A row after which every frame is published, and timed by its arrival.
pub(crate) fn timed_by_arrival(name: &'static str, change: fn(&mut Camera)) -> Row {
    Row { near: NEAR_ARRIVAL, ..whole(name, change) }
}

/// A row after which every frame is published, and whose timestamps a burst of frames or B-frames may explain at first.
/// Capture times follow them up to `near` seconds until the source knows better.
pub(crate) fn mistimed(name: &'static str, near: f64, change: fn(&mut Camera)) -> Row {
    Row { near, ..whole(name, change) }
}

/// The result of a row.
pub(crate) struct Verdict {
    pub(crate) name: &'static str,
    /// The number of frames that each client showed as they were filmed.
    pub(crate) ffmpeg: usize,
    pub(crate) source: usize,
    /// What differs from what is expected.
    pub(crate) faults: Vec<String>,
}

impl Row {
    /// Shows the deviation to both clients.
    pub(crate) async fn run(&self) -> Verdict {
        let (ffmpeg, source) = tokio::join!(self.watch(Client::Ffmpeg), self.watch(Client::Source));
        let (shown_to_ffmpeg, by_ffmpeg, _) = ffmpeg;
        let (camera, by_source, received) = source;
        let mut faults = Vec::new();
        let expected: Vec<_> = (0..FRAMES).filter(|frame| !self.loses.contains(frame)).map(Some).collect();
        if by_source != expected {
            faults.push(format!("published {}, not {}", spans(&by_source), spans(&expected)));
        }
        let missing = |frame: &&Option<usize>| {
            frame.is_some_and(|number| !self.loses.contains(&number)) && !by_source.contains(frame)
        };
        let only_ffmpeg: Vec<_> = by_ffmpeg.iter().filter(missing).copied().collect();
        if !only_ffmpeg.is_empty() {
            faults.push(format!("ffmpeg shows {}", spans(&only_ffmpeg)));
        }
        if ![&camera, &shown_to_ffmpeg].iter().any(|camera| camera.deviated.load(Ordering::Relaxed)) {
            faults.push("the camera did not deviate".to_owned());
        }
        faults.extend(times(&camera, &by_source, &received, self.near));
        if !faults.is_empty() {
            faults.extend(received.log.first().map(|line| format!("log: {line}")));
        }
        let shown = |frames: &[Option<usize>]| frames.iter().flatten().count();
        Verdict { name: self.name, ffmpeg: shown(&by_ffmpeg), source: shown(&by_source), faults }
    }

    /// The frames that a client showed, by their number; `None` is a picture that was not filmed.
    async fn watch(&self, client: Client) -> (Arc<Camera>, Vec<Option<usize>>, Received) {
        let mut camera = Camera::default();
        (self.change)(&mut camera);
        let camera = Arc::new(camera);
        let filmed = camera.film.pictures(client).await;
        let received = client.watch(&camera).await;
        let number = |picture| filmed.iter().position(|filmed| filmed == picture);
        (camera, received.pictures.iter().map(number).collect(), received)
    }
}

/// What is wrong with the capture times.
fn times(camera: &Camera, frames: &[Option<usize>], received: &Received, near: f64) -> Option<String> {
    let back = received.times.windows(2).map(|pair| pair[1].captured - pair[0].captured);
    let back: Vec<_> = back.filter(|by| *by <= 0.0).collect();
    // A step is reported, and the consumers of frames begin a new segment there.
    let reported = received.log.iter().filter(|line| line.contains("stepped")).count();
    if back.len() > reported && near <= NEAR_ARRIVAL {
        return Some(format!("capture times go back by {back:.3?} s, with {reported} reports of a step"));
    }
    let due = camera.due.lock().unwrap();
    let off = |(frame, times): (&Option<usize>, &Times)| {
        let (frame, due) = ((*frame)?, *due.get((*frame)?)?);
        Some((times.captured - times.captured.clamp(due, times.published.max(due)), frame))
    };
    let offs = frames.iter().zip(&received.times).filter_map(off);
    let (worst, frame) = offs.max_by(|(a, _), (b, _)| a.abs().total_cmp(&b.abs()))?;
    (worst.abs() > near).then(|| format!("the capture time of frame {frame} is off by {worst:+.3} s"))
}

/// Numbers of frames, as in `0-9 11 ?`.
fn spans(frames: &[Option<usize>]) -> String {
    let mut text = String::new();
    for span in frames.chunk_by(|a, b| a.is_some() && a.map(|a| a + 1) == *b) {
        let _ = match (span[0], span[span.len() - 1]) {
            (Some(first), Some(last)) if first < last => write!(text, "{first}-{last} "),
            (Some(first), _) => write!(text, "{first} "),
            (None, _) => write!(text, "? "),
        };
    }
    if text.is_empty() { "nothing".to_owned() } else { text.trim_end().to_owned() }
}
