//! A camera that plays: from its packets to access units with capture times.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::anyhow;
use futures_util::StreamExt as _;
use msight_node::logs::Repeated;
use retina::client::Demuxed;
use retina::codec::{CodecItem, ParametersRef, VideoFrame};
use retina::rtcp::ReceivedCompoundPacket;
use tokio::time::{Instant as Deadline, timeout_at};
use tracing::{info, warn};

use crate::clock::{Arrival, CaptureClock, Event};
use crate::counts::Counts;
use crate::decode::Codec;
use crate::gate::Reason;
use crate::relay::Relay;
use crate::session::{Settings, Transport};
use crate::unit::{AccessUnit, Offered, UnitSender};

/// Over UDP so many errors in a row are taken as packets lost; then the session is given up.
const MOST_BAD_PACKETS: u32 = 100;

/// A camera that plays.
pub(crate) struct Playing {
    session: Demuxed,
    stream: usize,
    codec: Codec,
    transport: Transport,
    relay: Relay,
    settings: Settings,
    clock: CaptureClock,
    counts: Arc<Counts>,
    /// The zero of the monotonic clock.
    started: Instant,
    loss: Repeated,
    /// Something was lost since the last frame.
    lost: bool,
}

impl Playing {
    /// The stream at index `stream` of a session after PLAY.
    pub(crate) fn new(
        session: Demuxed,
        stream: usize,
        codec: Codec,
        transport: Transport,
        relay: Relay,
        settings: Settings,
        counts: Arc<Counts>,
    ) -> Self {
        let clock = CaptureClock::new(session.streams()[stream].clock_rate_hz(), settings.max_skew);
        Self {
            session,
            stream,
            codec,
            transport,
            relay,
            settings,
            clock,
            counts,
            started: Instant::now(),
            loss: Repeated::new(),
            lost: false,
        }
    }

    pub(crate) fn codec(&self) -> Codec {
        self.codec
    }

    /// Reads until the session ends, and says why it ended. Never waits for the decoder.
    pub(crate) async fn read(mut self, mut units: UnitSender) -> anyhow::Error {
        let url = self.settings.url.clone();
        let mut deadline = Deadline::now() + self.settings.read_timeout;
        let mut bad_packets = 0;
        loop {
            let item = match timeout_at(deadline, self.session.next()).await {
                Ok(Some(Ok(item))) => item,
                Ok(Some(Err(_))) if self.transport == Transport::Udp && bad_packets < MOST_BAD_PACKETS => {
                    // A fragment that does not fit to what came before: its neighbour was lost.
                    bad_packets += 1;
                    self.lost = true;
                    continue;
                }
                Ok(Some(Err(error))) => return self.ended(&format!("broke off: {error}")),
                Ok(None) => return self.ended("ended the stream"),
                Err(_) => return self.silence(),
            };
            match item {
                CodecItem::VideoFrame(frame) if frame.stream_id() == self.stream => {
                    bad_packets = 0;
                    self.relay.frame_came_out();
                    deadline = Deadline::now() + self.settings.read_timeout;
                    let unit = self.unit(frame);
                    match units.offer(unit) {
                        Offered::Taken => {}
                        Offered::Dropped => self.counts.dropped(Reason::DecoderSlow).inc(),
                        Offered::Closed => return anyhow!("the decoder of {url} ended"),
                    }
                }
                CodecItem::Rtcp(packet) if packet.stream_id() == self.stream => self.report(&packet),
                _ => {}
            }
        }
    }

    /// The session has ended, as the library sees it; a relay between may know better.
    fn ended(&self, said: &str) -> anyhow::Error {
        let url = &self.settings.url;
        match self.relay.failure() {
            Some(why) => anyhow!("{url} broke off: {}", url.scrub(why)),
            None => anyhow!("{url} {}", url.scrub(said)),
        }
    }

    fn silence(&self) -> anyhow::Error {
        let (url, seconds) = (&self.settings.url, self.settings.read_timeout.as_secs_f64());
        let hint = match self.transport {
            Transport::Udp => "; if a firewall stands between, try --rtsp-transport tcp",
            Transport::Tcp => "",
        };
        anyhow!("no frame from {url} for {seconds} s{hint}")
    }

    fn unit(&mut self, frame: VideoFrame) -> AccessUnit {
        self.counts.received.inc();
        if frame.loss() > 0 {
            self.lose(frame.loss());
        }
        let context = frame.start_ctx();
        let arrival = self.arrival(context.received(), context.received_wall());
        let rtp = frame.timestamp().timestamp();
        let (captured, event) = self.clock.capture_time(rtp, arrival);
        self.tell(event);
        let size = match self.session.streams()[self.stream].parameters() {
            Some(ParametersRef::Video(video)) => Some(video.pixel_dimensions()),
            _ => None,
        };
        AccessUnit {
            rtp,
            captured,
            key: self.codec == Codec::Jpeg || frame.is_random_access_point(),
            after_loss: std::mem::take(&mut self.lost),
            size,
            data: frame.into_data(),
        }
    }

    fn lose(&mut self, packets: u16) {
        self.lost = true;
        // The relay counts its own losses, also those within frames that never come out.
        if self.transport == Transport::Udp {
            return;
        }
        self.counts.lost_packets.inc_by(packets.into());
        let url = self.settings.url.clone();
        self.loss.add(packets.into(), move |lost| warn!("{url}: the camera left out {lost} RTP packets"));
    }

    fn report(&mut self, packet: &ReceivedCompoundPacket) {
        let report = packet.pkts().next().and_then(|first| first.as_sender_report().ok().flatten());
        let (Some(report), Some(rtp)) = (report, packet.rtp_timestamp()) else { return };
        let since_1970 = report.ntp_timestamp().0.wrapping_sub(retina::UNIX_EPOCH.0);
        let wall = since_1970 as f64 / (1u64 << 32) as f64;
        let context = packet.ctx();
        let arrival = self.arrival(context.received(), context.received_wall());
        let event = self.clock.report(wall, rtp.timestamp(), arrival);
        self.tell(event);
    }

    fn arrival(&self, received: Instant, wall: retina::WallTime) -> Arrival {
        let wall = SystemTime::from(wall).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Arrival {
            monotonic: received.saturating_duration_since(self.started).as_secs_f64(),
            wall: wall.as_secs_f64(),
        }
    }

    fn tell(&self, event: Option<Event>) {
        let url = &self.settings.url;
        match event {
            None => {}
            Some(Event::CameraClock { ahead }) => {
                info!("capture times of {url} are the camera's: {:.3} s before arrival", -ahead);
            }
            Some(Event::CameraClockOff { ahead }) => warn!(
                "the clock of {url} is {ahead:.1} s off ours: capture times are those of arrival; set the camera's time \
                 (NTP), or allow more with --max-clock-skew"
            ),
            Some(Event::Stepped { by }) => {
                warn!("a clock was set: capture times of {url} moved by {by:.3} s");
            }
            Some(Event::RtpJump { by }) => warn!("the RTP timestamps of {url} jumped by {by:.3} s"),
        }
    }
}
