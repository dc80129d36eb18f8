//! A source that publishes the frames of an RTSP camera.
//!
//! ```text
//! camera ─▶ relay ─▶ track ─▶ queue of access units ─▶ gate ─▶ decoder ─▶ order ─▶ outlet ─▶ frames
//!             (one task)      (bounded, drops to the          (one thread, in order)      (bounded,
//!                              next key frame)                                             waits)
//! ```
//!
//! The tasks read the network in bounded pieces, and never wait for the decoder. The JPEG encoder reads the decoder's
//! planes in place, on the same thread. Pictures that stay in this process pass the thread undecoded; the nodes that look at
//! them decode them. When the session or the decoder ends, [`Source::next`] returns the frames before
//! the end and then the error, and the kit opens a new instance.

mod counts;
mod decoding;
mod flags;
#[cfg(fuzzing)]
pub mod fuzz;
mod labels;
pub mod metrics;
mod outlet;
mod packets;
mod playing;
mod progress;
mod relay;
mod session;
mod settings;
pub mod steps;
mod track;
mod unit;
mod url;

use std::sync::{Arc, Once};
use std::time::Duration;

use msight_node::metrics::Metric;
use msight_node::{Context, Entry, Gap, Node, Port, Result, Source, anyhow, is_refused};
use msight_proto::{ImageData, Sample};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{Instrument as _, warn};

use crate::counts::{Counts, LeftOut};
pub use crate::flags::{Flags, Parsed};
use crate::outlet::{Form, Frame, Outlet};
pub use crate::packets::OUTPUT as PACKETS;
use crate::packets::Packets;
use crate::playing::Pictures;
use crate::session::Demand;
use crate::settings::Settings;

/// The program `msight_launch_rtsp`.
pub const ENTRY: Entry = msight_node::source::<RtspSource>();

/// Maximum number of frames between the decoder and the publisher. Further frames wait as access units, which are
/// small.
const MAX_FRAMES: usize = 2;

/// Publishes the frames of one camera.
pub struct RtspSource {
    settings: Settings,
    form: Form,
    gap: Gap,
    cx: Context,
    counts: Arc<Counts>,
    /// The relays that still have to send TEARDOWN to their camera.
    relays: TaskTracker,
    /// With `--packet-topic`.
    packets: Option<Packets>,
    running: Option<Running>,
}

/// A running session. Dropping it ends the session, and the thread at its next frame.
struct Running {
    /// `None` if nothing is decoded.
    frames: Option<mpsc::Receiver<Result<Frame>>>,
    counts: Arc<Counts>,
    /// The task of the session. It returns the reason why the session ended.
    session: AbortOnDropHandle<anyhow::Error>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(frames) = &mut self.frames else { return };
        frames.close();
        while let Ok(frame) = frames.try_recv() {
            if frame.is_ok() {
                self.counts.left_out(LeftOut::Stopped).inc();
            }
        }
    }
}

impl Node for RtspSource {
    const NAME: &'static str = "msight_launch_rtsp";
    const CLASS: &'static str = "RTSPSourceNode";
    const METRICS: &'static [Metric] = metrics::ALL;
    const PORTS: &'static [Port] = &[packets::OUTPUT.port()];
    type Args = Parsed;

    async fn open(args: Parsed, cx: &Context) -> Result<Self> {
        static NO_GPU: Once = Once::new();
        static LARGER: Once = Once::new();
        static WITHOUT_FRAMES: Once = Once::new();
        let Parsed { settings, form, gpu } = args;
        let form = Form { handed_over: cx.hands_over(), deferred: cx.stays_in_process(), ..form };
        let with_access_units = settings.with_access_units || cx.stays_in_process();
        let settings = Settings { with_access_units, ..settings };
        if let Some(ratio) = form.resize.filter(|ratio| *ratio > 1.0) {
            LARGER.call_once(|| {
                warn!(
                    "-r {ratio} makes the frames larger than the camera's: they cost more and show no more; \
                     a ratio below 1 makes them smaller"
                );
            });
        }
        if let Some(index) = gpu {
            NO_GPU.call_once(|| {
                warn!("-g {index}: there is no GPU decoder in this build; decoding on the CPU");
            });
        }
        if !cx.has_publish_topic() && (settings.key_frames_only || settings.with_access_units) {
            WITHOUT_FRAMES.call_once(|| {
                warn!(
                    "--keyframes-only and --with-access-units are for the frames of -pt, which is not given"
                );
            });
        }
        let counts = Arc::new(Counts::new(cx.metrics()));
        Ok(Self {
            settings,
            form,
            gap: cx.take_gap(),
            cx: cx.clone(),
            counts,
            relays: TaskTracker::new(),
            packets: Packets::start(cx),
            running: None,
        })
    }
}

impl Source for RtspSource {
    type Out = ImageData;
    const NEEDS_PUBLISH_TOPIC: bool = false;

    async fn next(&mut self) -> Result<Option<Sample<ImageData>>> {
        let running = match &mut self.running {
            Some(running) => running,
            None => {
                let running = self.start().await?;
                self.running.insert(running)
            }
        };
        let frame = match &mut running.frames {
            Some(frames) => frames.recv().await,
            None => return Err(ended(&mut running.session).await),
        };
        match frame {
            Some(Ok(frame)) => {
                self.counts.published.inc();
                let head = self.cx.head(self.cx.sensor_name().map(str::to_owned), frame.captured);
                Ok(Some(Sample::new(head, frame.image)))
            }
            Some(Err(error)) if is_refused(&error) && self.packets.is_some() => {
                warn!("{}: no frames on -pt, because {error:#}; --packet-topic goes on", self.settings.url);
                running.frames = None;
                Err(ended(&mut running.session).await)
            }
            Some(Err(error)) => Err(error),
            // The thread has ended, either with the session, whose reason is returned, or by a fault of its own.
            None => match timeout(Duration::from_secs(1), ended(&mut running.session)).await {
                Ok(reason) => Err(reason),
                Err(_) => Err(anyhow!("the decoding thread of {} failed", self.settings.url)),
            },
        }
    }

    async fn close(self) {
        drop(self.running);
        // The relays hand on their last units, and send TEARDOWN.
        self.relays.close();
        self.relays.wait().await;
        if let Some(packets) = self.packets {
            packets.close().await;
        }
    }
}

/// Why the session has ended, once it has.
async fn ended(session: &mut AbortOnDropHandle<anyhow::Error>) -> anyhow::Error {
    session.await.unwrap_or_else(|panic| anyhow!("the session's task failed: {panic}"))
}

impl RtspSource {
    async fn start(&self) -> Result<Running> {
        let demand = Demand { pictures: self.cx.has_publish_topic(), packets: self.packets.as_ref() };
        let mut playing = session::connect(&self.settings, demand, self.counts.clone(), &self.relays).await?;
        let frames = match playing.take_pictures() {
            Some(Pictures { codec, units }) => {
                let (sender, frames) = mpsc::channel(MAX_FRAMES);
                let outlet = Outlet::new(self.form.clone(), self.gap.clone(), self.counts.clone(), sender)?;
                let key_frames_only = self.settings.key_frames_only;
                decoding::spawn(codec, key_frames_only, units, outlet, self.counts.clone())?;
                Some(frames)
            }
            None => None,
        };
        let session = AbortOnDropHandle::new(tokio::spawn(playing.ended().in_current_span()));
        Ok(Running { frames, counts: self.counts.clone(), session })
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use msight_codec::PictureSink as _;
    use msight_media::PictureTimes;
    use msight_node::metrics::Metrics;
    use msight_node::testing::until;
    use msight_picture::{Picture, WireForm};

    use super::*;

    #[tokio::test]
    async fn pictures_that_wait_at_a_stop_are_counted() {
        let counts = Arc::new(Counts::new(&Metrics::default()));
        let form = Form { wire: WireForm::Raw, handed_over: false, deferred: false, resize: None, fps: None };
        let (sender, frames) = mpsc::channel(MAX_FRAMES);
        let mut outlet = Outlet::new(form, Gap::new(-1), counts.clone(), sender).unwrap();
        let decoding = std::thread::spawn(move || {
            let picture = Picture::from_image(&ImageData {
                image: Some(vec![0; 16 * 16 * 3].into()),
                is_encoded: false,
                detection_results: None,
                size: Some(vec![16, 16, 3]),
                access_unit: None,
            });
            let picture = picture.unwrap();
            // One more than there is room for.
            (0..=MAX_FRAMES)
                .all(|_| outlet.picture(&picture.planes(), PictureTimes { pts: 0, captured: 1.0 }).is_ok())
        });
        let session = AbortOnDropHandle::new(tokio::spawn(pending()));
        let running = Running { frames: Some(frames), counts: counts.clone(), session };
        until("all have a place but one", async || counts.decoded.get() == MAX_FRAMES as u64).await;
        drop(running);
        assert!(!decoding.join().unwrap(), "the last one has no receiver");
        let (decoded, stopped) = (counts.decoded.get(), counts.left_out(LeftOut::Stopped).get());
        assert_eq!((decoded, stopped), (MAX_FRAMES as u64 + 1, MAX_FRAMES as u64 + 1));
    }
}
