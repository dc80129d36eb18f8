//! A playing session: turns the camera's packets into access units with capture times.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::anyhow;
use bytes::Bytes;
use futures_util::StreamExt as _;
use msight_media::{
    AccessUnit, Arrival, ClockEvent, Codec, DropReason, ParameterSets, StreamTimes, TIMESCALE, Times,
};
use msight_node::logs::Repeated;
use retina::client::Demuxed;
use retina::codec::{CodecItem, ParametersRef, VideoFrame, VideoParametersCodec};
use retina::rtcp::ReceivedCompoundPacket;
use tokio::time::{Instant as Deadline, timeout_at};
use tracing::{info, warn};

use crate::counts::Counts;
use crate::relay::Relay;
use crate::settings::{Settings, Transport};
use crate::unit::{Offered, UnitSender};

/// Over UDP, up to this many errors in a row count as lost packets. The next error ends the session.
const MAX_BAD_PACKETS: u32 = 100;

/// A playing session.
pub(crate) struct Playing {
    session: Demuxed,
    stream: usize,
    codec: Codec,
    transport: Transport,
    relay: Relay,
    settings: Settings,
    /// RTP ticks per second.
    clock_rate: u32,
    times: StreamTimes,
    /// The parameter sets of the last frame.
    parameter_sets: Option<Arc<ParameterSets>>,
    counts: Arc<Counts>,
    /// The zero of the monotonic clock.
    started: Instant,
    loss: Repeated,
    /// Whether packets were lost since the last frame.
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
        let clock_rate = session.streams()[stream].clock_rate_hz();
        Self {
            session,
            stream,
            codec,
            transport,
            relay,
            clock_rate,
            times: StreamTimes::new(clock_rate, settings.max_skew),
            parameter_sets: None,
            settings,
            counts,
            started: Instant::now(),
            loss: Repeated::new(),
            lost: false,
        }
    }

    pub(crate) fn codec(&self) -> Codec {
        self.codec
    }

    /// Reads until the session ends, and returns why it ended. Never waits for the decoder.
    pub(crate) async fn read(mut self, mut units: UnitSender) -> anyhow::Error {
        let url = self.settings.url.clone();
        let mut deadline = Deadline::now() + self.settings.read_timeout;
        let mut bad_packets = 0;
        loop {
            let item = match timeout_at(deadline, self.session.next()).await {
                Ok(Some(Ok(item))) => item,
                Ok(Some(Err(_))) if self.transport == Transport::Udp && bad_packets < MAX_BAD_PACKETS => {
                    // A fragment does not continue the previous one, because a packet between them was lost.
                    bad_packets += 1;
                    self.lost = true;
                    continue;
                }
                Ok(Some(Err(error))) => return self.ended(&format!("session failed: {error}")),
                Ok(None) => return self.ended("the camera ended the stream"),
                Err(_) => return self.silence(),
            };
            match item {
                CodecItem::VideoFrame(frame) if frame.stream_id() == self.stream => {
                    bad_packets = 0;
                    self.relay.frame_completed();
                    deadline = Deadline::now() + self.settings.read_timeout;
                    let unit = self.unit(frame);
                    match units.offer(unit) {
                        Offered::Taken => {}
                        Offered::Dropped => self.counts.dropped(DropReason::DecoderSlow).inc(),
                        Offered::Closed => return anyhow!("the decoder of {url} ended"),
                    }
                }
                CodecItem::Rtcp(packet) if packet.stream_id() == self.stream => self.report(&packet),
                _ => {}
            }
        }
    }

    /// The error for the end of the session that retina reported. If the relay knows the cause, the error has that.
    fn ended(&self, reason: &str) -> anyhow::Error {
        let url = &self.settings.url;
        match self.relay.failure() {
            Some(failure) => anyhow!("{url}: session failed: {}", url.scrub(failure)),
            None => anyhow!("{url}: {}", url.scrub(reason)),
        }
    }

    fn silence(&self) -> anyhow::Error {
        let (url, seconds) = (&self.settings.url, self.settings.read_timeout.as_secs_f64());
        let hint = match self.transport {
            Transport::Udp => "; if a firewall blocks UDP, use --rtsp-transport tcp",
            Transport::Tcp => "",
        };
        anyhow!("{url}: no frame from the camera for {seconds} s{hint}")
    }

    fn unit(&mut self, frame: VideoFrame) -> AccessUnit {
        self.counts.received.inc();
        if frame.loss() > 0 {
            self.lose(frame.loss());
        }
        let context = frame.start_ctx();
        let arrival = self.arrival(context.received(), context.received_wall());
        let rtp = frame.timestamp().timestamp() as u32;
        let Times { pts, captured, event } = self.times.frame(rtp, arrival);
        self.log(event);
        let mut size = None;
        if let Some(ParametersRef::Video(video)) = self.session.streams()[self.stream].parameters() {
            size = Some(video.pixel_dimensions());
            if let VideoParametersCodec::H264 { sps, pps } = video.codec_params()
                && (frame.has_new_parameters() || self.parameter_sets.is_none())
            {
                self.parameter_sets = Some(Arc::new(ParameterSets::new(vec![sps.clone(), pps.clone()])));
            }
        }
        AccessUnit {
            codec: self.codec,
            key: self.codec == Codec::Jpeg || frame.is_random_access_point(),
            data: Bytes::from(frame.into_data()),
            parameter_sets: self.parameter_sets.clone(),
            pts: presentation_time(pts, self.clock_rate),
            captured,
            after_loss: std::mem::take(&mut self.lost),
            size,
        }
    }

    fn lose(&mut self, packets: u16) {
        self.lost = true;
        // Over UDP the relay counts the losses, including those of frames that are never completed.
        if self.transport == Transport::Udp {
            return;
        }
        self.counts.lost_packets.inc_by(packets.into());
        let url = self.settings.url.clone();
        self.loss.add(packets.into(), move |packets| warn!(%url, packets, "RTP packets missing"));
    }

    fn report(&mut self, packet: &ReceivedCompoundPacket) {
        let report = packet.pkts().next().and_then(|first| first.as_sender_report().ok().flatten());
        let (Some(report), Some(rtp)) = (report, packet.rtp_timestamp()) else { return };
        let since_1970 = report.ntp_timestamp().0.wrapping_sub(retina::UNIX_EPOCH.0);
        let wall = since_1970 as f64 / (1u64 << 32) as f64;
        let context = packet.ctx();
        let arrival = self.arrival(context.received(), context.received_wall());
        let event = self.times.report(wall, rtp.timestamp() as u32, arrival);
        self.log(event);
    }

    fn arrival(&self, received: Instant, wall: retina::WallTime) -> Arrival {
        let wall = SystemTime::from(wall).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Arrival {
            monotonic: received.saturating_duration_since(self.started).as_secs_f64(),
            wall: wall.as_secs_f64(),
        }
    }

    fn log(&self, event: Option<ClockEvent>) {
        let url = &self.settings.url;
        match event {
            None => {}
            Some(ClockEvent::CameraClock { ahead }) => {
                info!(%url, camera_clock = %relation(ahead), "capture times follow the camera's clock");
            }
            Some(ClockEvent::CameraClockOff { ahead }) => warn!(
                %url,
                camera_clock = %relation(ahead),
                "the camera's clock is too far off ours: capture times follow arrival; synchronise the camera's clock (NTP), \
                 or raise --max-clock-skew"
            ),
            Some(ClockEvent::Stepped { by }) => {
                warn!(%url, by = %format_args!("{by:+.3}s"), "a clock was set: capture times stepped");
            }
            Some(ClockEvent::RtpJump { by }) => {
                warn!(%url, by = %format_args!("{by:+.3}s"), "the camera's RTP timestamps jumped: capture times continue from arrival");
            }
            Some(ClockEvent::StampsUseless { fault }) => {
                warn!(%url, %fault, "the camera's RTP timestamps are useless: capture times follow arrival");
            }
            Some(ClockEvent::StampsUsable) => {
                info!(%url, "the camera's RTP timestamps are in order again: capture times follow them");
            }
        }
    }
}

/// The difference of the camera's clock from ours, as text.
fn relation(ahead: f64) -> String {
    format!("{:.3}s {}", ahead.abs(), if ahead < 0.0 { "behind" } else { "ahead" })
}

/// An RTP timestamp (unwrapped) in ticks of [`TIMESCALE`]; both have the same clock unless the camera violates RFC 6184.
fn presentation_time(rtp: i64, clock_rate: u32) -> i64 {
    if clock_rate == TIMESCALE.get() {
        return rtp;
    }
    let ticks = i128::from(rtp) * i128::from(TIMESCALE.get()) / i128::from(clock_rate.max(1));
    ticks.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}
