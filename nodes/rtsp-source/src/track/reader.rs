//! Reads the packets of one track.

use std::sync::Arc;
use std::time::Instant;

use msight_media::{
    AccessUnit, Arrival, DropReason, KeyFrameWait, Kind, ParameterSets, StreamTimes, VideoParameters,
    to_timescale,
};
use msight_node::logs::Repeated;
use msight_proto::AccessUnitData;
use msight_rtp::{Depacketizer, Fault, Output, Packet, Track, Unit};
use retina::rtcp::PacketRef;
use tracing::warn;

use super::clock_log;
use crate::counts::{Counts, Discard, LeftOut};
use crate::labels::TrackLabels;
use crate::packets::PacketSender;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::unit::{Encoded, Offered, UnitSender};

/// Where the units of a track go.
#[derive(Default)]
pub(crate) struct Sinks {
    /// To the decoding thread.
    pub(crate) pictures: Option<UnitSender>,
    /// To the topic of access units.
    pub(crate) packets: Option<PacketSender>,
    /// Makes the messages for that topic, and those that pictures carry.
    pub(crate) labels: Option<TrackLabels>,
}

/// The decoding thread has ended.
#[derive(Debug, thiserror::Error)]
#[error("the decoding thread has ended")]
pub(crate) struct DecoderGone;

/// Puts the packets of a track together to access units, gives them their times, and hands them on.
pub(crate) struct TrackReader {
    track: Track,
    payloads: Depacketizer,
    output: Output,
    times: StreamTimes,
    /// The parameter sets of the last unit.
    sets: Option<Arc<ParameterSets>>,
    /// What they state.
    video: Option<VideoParameters>,
    sinks: Sinks,
    settings: Settings,
    counts: Arc<Counts>,
    progress: Arc<Progress>,
    /// For a key frame, if nothing is decoded.
    wait: KeyFrameWait,
    lost: Repeated,
    discarded: [Repeated; Fault::ALL.len()],
}

impl TrackReader {
    pub(crate) fn new(
        track: Track,
        sinks: Sinks,
        settings: Settings,
        counts: Arc<Counts>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            payloads: Depacketizer::new(&track),
            times: StreamTimes::new(track.clock_rate, settings.max_skew),
            sets: None,
            video: None,
            track,
            output: Output::default(),
            sinks,
            settings,
            counts,
            progress,
            wait: KeyFrameWait::default(),
            lost: Repeated::new(),
            discarded: Default::default(),
        }
    }

    /// Takes the next packet in order. `after_gap`: packets before it are missing.
    ///
    /// # Errors
    /// The decoding thread has ended.
    pub(crate) fn packet(
        &mut self,
        after_gap: bool,
        bytes: &[u8],
        arrival: Arrival,
    ) -> Result<(), DecoderGone> {
        match Packet::parse(bytes) {
            Ok(packet) => self.payloads.push(&packet, after_gap, &mut self.output),
            Err(_) => self.discard(Fault::Malformed, 1),
        }
        self.hand_on(arrival)
    }

    /// The camera has ended the stream: the last unit waits for no further packet.
    pub(crate) fn finish(&mut self, arrival: Arrival) {
        self.payloads.end(&mut self.output);
        // A decoding thread that has ended takes no more units.
        let _ = self.hand_on(arrival);
    }

    /// Hands on what the packets so far have given.
    fn hand_on(&mut self, arrival: Arrival) -> Result<(), DecoderGone> {
        for (fault, count) in std::mem::take(&mut self.output.faults) {
            self.discard(fault, count);
        }
        while let Some(unit) = self.output.units.pop_front() {
            self.unit(unit, arrival)?;
        }
        Ok(())
    }

    /// Takes a compound packet of RTCP: the first sender report in it pairs the track's clock with the camera's wall clock.
    pub(crate) fn control(&mut self, mut compound: &[u8], arrival: Arrival) {
        while let Ok((packet, rest)) = PacketRef::parse(compound) {
            compound = rest;
            let Ok(Some(report)) = packet.as_sender_report() else { continue };
            if report.ntp_timestamp().0 == 0 {
                // The camera has no wall clock (RFC 3550, section 6.4.1).
                return;
            }
            let since_1970 = report.ntp_timestamp().0.wrapping_sub(retina::UNIX_EPOCH.0);
            let wall = since_1970 as f64 / (1u64 << 32) as f64;
            if let Some(event) = self.times.report(wall, report.rtp_timestamp(), arrival) {
                clock_log::log(&self.settings.url, self.track.format.codec(), event);
            }
            return;
        }
        if !compound.is_empty() {
            self.counts.discarded(Discard::Stray).inc();
        }
    }

    /// Counts packets that are missing, and logs them with the likely cause.
    pub(crate) fn missing(&self, packets: u64, cause: &'static str) {
        if packets > 0 {
            self.counts.lost_packets.inc_by(packets);
            let url = self.settings.url.clone();
            self.lost.add(packets, move |packets| warn!(%url, packets, "RTP packets missing: {cause}"));
        }
    }

    fn unit(&mut self, unit: Unit, arrival: Arrival) -> Result<(), DecoderGone> {
        let codec = self.track.format.codec();
        self.progress.unit(codec.kind());
        self.apply_parameter_sets(&unit);
        let times = self.times.frame(unit.timestamp, arrival);
        if let Some(event) = times.event {
            clock_log::log(&self.settings.url, codec, event);
        }
        if codec.kind() == Kind::Video {
            self.counts.received.inc();
        }
        let message = self.message(&unit, times.pts, times.captured);
        if let Some(pictures) = &mut self.sinks.pictures {
            if self.settings.key_frames_only && !unit.key {
                self.counts.left_out(LeftOut::NotKey).inc();
                return Ok(());
            }
            let unit = AccessUnit {
                codec,
                data: unit.data,
                parameter_sets: unit.parameter_sets,
                pts: to_timescale(times.pts, self.track.clock_rate),
                captured: times.captured,
                key: unit.key,
                after_loss: unit.after_loss,
                size: unit.size,
            };
            match pictures.offer(Encoded { unit, message }) {
                Offered::Taken => {}
                Offered::Dropped => self.counts.dropped(DropReason::DecoderSlow).inc(),
                // The stream cannot be decoded, which does not concern its access units.
                Offered::Closed if self.sinks.packets.is_some() => self.sinks.pictures = None,
                Offered::Closed => return Err(DecoderGone),
            }
        }
        Ok(())
    }

    fn apply_parameter_sets(&mut self, unit: &Unit) {
        if self.sets == unit.parameter_sets {
            return;
        }
        self.sets.clone_from(&unit.parameter_sets);
        self.video = self.sets.as_ref().and_then(|sets| sets.video(self.track.format.codec(), &unit.data));
        self.times.set_reordered(self.video.is_some_and(|video| video.reorder_depth > 0));
    }

    /// Queues the message of a unit for the topic of access units. Returns it if its picture is to carry it, and the unit
    /// can be decoded.
    fn message(&mut self, unit: &Unit, pts: i64, captured: f64) -> Option<Arc<AccessUnitData>> {
        let labels = self.sinks.labels.as_mut()?;
        match labels.message(unit, pts, self.video) {
            Ok(message) => {
                if unit.key {
                    self.wait.key_frame();
                }
                let is_carried = self.settings.with_access_units && self.sinks.pictures.is_some();
                let carried = is_carried.then(|| Arc::new(message.clone()));
                if let Some(packets) = &self.sinks.packets
                    && !packets.offer(self.track.format.codec().kind(), captured, message)
                {
                    labels.unsent();
                }
                carried
            }
            Err(reason) => {
                if let Some(packets) = &self.sinks.packets {
                    packets.drop(reason.into(), captured);
                }
                // The decoder says it itself.
                if self.sinks.pictures.is_none() && self.wait.unit_dropped(Instant::now()) {
                    warn!(
                        url = %self.settings.url,
                        reason = reason.label(),
                        "waiting for a key frame of the camera: units before it cannot be decoded; set the camera's key \
                         frame interval (GOP, I frame interval) to one or two seconds"
                    );
                }
                None
            }
        }
    }

    /// The payload type of the track's packets.
    pub(crate) fn payload_type(&self) -> u8 {
        self.track.payload_type
    }

    /// Ticks of the track's timestamps a second.
    pub(crate) fn clock_rate(&self) -> u32 {
        self.track.clock_rate
    }

    /// Counts what cannot be used.
    pub(crate) fn discard(&self, fault: Fault, count: u64) {
        self.counts.fault(fault).inc_by(count);
        if fault == Fault::Incomplete {
            // Its cause has a line of its own: packets are missing, or a fragment cannot be used.
            return;
        }
        let (url, codec) = (self.settings.url.clone(), self.track.format.codec().name());
        self.discarded[fault as usize].add(count, move |count| {
            if fault == Fault::UnknownSize {
                return warn!(
                    %url,
                    count,
                    "the camera sends MJPEG of more than 2040 pixels without its size, so no picture can be made; set a \
                     smaller picture, or H.264"
                );
            }
            let reason = fault.label();
            warn!(%url, codec, reason, count, "the camera sent packets that cannot be used, which were left out");
        });
    }
}
