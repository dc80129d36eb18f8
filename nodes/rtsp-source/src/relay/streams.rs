//! The tracks that the camera sends, each with its channels or its sockets.

use std::future::{pending, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use msight_media::{Arrival, Kind};
use msight_node::logs::Repeated;
use msight_rtp::{Fault, Packet, Track};
use tokio::time::sleep_until;
use tracing::warn;

use super::udp::{Media, Sender, Sockets};
use crate::counts::{Counts, Discard};
use crate::decoding::DECODABLE;
use crate::labels::SessionLabels;
use crate::packets::PacketSender;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::track::{Place, Sequence, Sinks, TrackReader};
use crate::unit::UnitSender;

/// Where the units of all tracks go.
pub(crate) struct Outputs {
    /// To the decoding thread, which takes one track of H.264 or JPEG.
    pub(crate) pictures: Option<UnitSender>,
    /// To the topic of access units, which takes all tracks.
    pub(crate) packets: Option<PacketSender>,
    /// Makes the messages of access units, where any are wanted.
    pub(crate) labels: Option<SessionLabels>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) progress: Arc<Progress>,
}

/// The tracks that were set up.
pub(super) struct Streams {
    outputs: Outputs,
    settings: Settings,
    interleaved: Vec<Interleaved>,
    datagrams: Vec<Media>,
    /// The zero of the monotonic clock.
    began: Instant,
    stray: Repeated,
}

/// A track within the RTSP connection.
struct Interleaved {
    rtp: u8,
    rtcp: u8,
    sequence: Sequence,
    reader: TrackReader,
}

impl Streams {
    pub(super) fn new(outputs: Outputs, settings: Settings) -> Self {
        Self {
            outputs,
            settings,
            interleaved: Vec::new(),
            datagrams: Vec::new(),
            began: Instant::now(),
            stray: Repeated::new(),
        }
    }

    /// Opens a track whose packets come on these channels.
    pub(super) fn open_tcp(&mut self, track: &Track, (rtp, rtcp): (u8, u8)) {
        let reader = self.reader(track);
        self.interleaved.push(Interleaved { rtp, rtcp, sequence: Sequence::default(), reader });
    }

    /// Opens a track whose packets come to these sockets.
    pub(super) fn open_udp(&mut self, track: &Track, sockets: Sockets, sender: Sender) -> io::Result<()> {
        let reader = self.reader(track);
        self.datagrams.push(Media::new(sockets, sender, self.outputs.counts.clone(), reader)?);
        Ok(())
    }

    fn reader(&mut self, track: &Track) -> TrackReader {
        let codec = track.format.codec();
        if codec.kind() == Kind::Video {
            self.outputs.progress.require_video();
        }
        let sinks = Sinks {
            pictures: self.outputs.pictures.take_if(|_| DECODABLE.contains(&codec)),
            packets: self.outputs.packets.clone(),
            labels: self.outputs.labels.as_mut().map(|labels| labels.track(track)),
        };
        let Outputs { counts, progress, .. } = &self.outputs;
        TrackReader::new(track.clone(), sinks, self.settings.clone(), counts.clone(), progress.clone())
    }

    /// The number above that of the highest channel.
    pub(super) fn channels(&self) -> u8 {
        let channels = self.interleaved.iter().flat_map(|track| [track.rtp, track.rtcp]);
        channels.max().map_or(0, |highest| highest.saturating_add(1))
    }

    /// Takes interleaved frames, as on the wire.
    pub(super) fn frames(&mut self, frames: &Bytes) -> io::Result<()> {
        let (arrival, now) = (arrival(self.began), Instant::now());
        let mut rest = &frames[..];
        while let [b'$', channel, high, low, behind @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some((packet, next)) = behind.split_at_checked(length) else { break };
            rest = next;
            let track = self.interleaved.iter_mut().find(|track| [track.rtp, track.rtcp].contains(channel));
            match track {
                Some(track) if track.rtp == *channel => {
                    track.packet(packet, arrival, now, &self.outputs.counts)?;
                }
                Some(track) => track.reader.control(packet, arrival),
                None => self.outputs.counts.discarded(Discard::Stray).inc(),
            }
        }
        Ok(())
    }

    /// The session has ended: no packet waits for another.
    pub(super) fn finish(&mut self) {
        let arrival = arrival(self.began);
        self.interleaved.iter_mut().for_each(|track| track.finish(arrival, &self.outputs.counts));
        self.datagrams.iter_mut().for_each(|media| media.finish(arrival));
    }

    /// The connection had bytes that are neither a frame nor a message.
    pub(super) fn stray_bytes(&self) {
        self.outputs.counts.discarded(Discard::StrayBytes).inc();
        let url = self.settings.url.clone();
        self.stray.count(move |count| {
            warn!(%url, count, "the camera sent bytes between its packets that belong to none; they were skipped");
        });
    }

    /// Waits until a socket has a datagram, or something is due. Cancel safe.
    pub(super) async fn datagrams_wait(&self) {
        let Some(due) = self.datagrams.iter().map(Media::due).min() else { return pending().await };
        let readable = poll_fn(|context| {
            let is_ready = self.datagrams.iter().any(|media| media.poll_readable(context));
            if is_ready { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            () = readable => {}
            () = sleep_until(due.into()) => {}
        }
    }

    /// Takes the datagrams that have arrived.
    ///
    /// # Errors
    /// A socket failed, or the decoding thread has ended.
    pub(super) fn datagrams(&mut self) -> io::Result<()> {
        let arrival = arrival(self.began);
        self.datagrams.iter_mut().try_for_each(|media| media.read(arrival))
    }
}

impl Interleaved {
    fn packet(&mut self, bytes: &[u8], arrival: Arrival, now: Instant, counts: &Counts) -> io::Result<()> {
        let Ok(header) = Packet::parse(bytes) else {
            self.reader.discard(Fault::Malformed, 1);
            return Ok(());
        };
        if header.payload_type != self.reader.payload_type() {
            self.sequence.other(&header);
            self.reader.discard(Fault::OtherPayloadType, 1);
            return Ok(());
        }
        let (reader, mut outcome) = (&mut self.reader, Ok(()));
        let place = self.sequence.push(&header, bytes, now, &mut |after_gap, packet| {
            if outcome.is_ok() {
                outcome = reader.packet(after_gap, packet, arrival);
            }
        });
        if place == Place::Repeated {
            counts.discarded(Discard::Duplicate).inc();
        }
        self.count(counts);
        outcome.map_err(io::Error::other)
    }

    fn finish(&mut self, arrival: Arrival, counts: &Counts) {
        let reader = &mut self.reader;
        self.sequence.finish(&mut |after_gap, packet| {
            // A decoding thread that has ended takes no more units.
            let _ = reader.packet(after_gap, packet, arrival);
        });
        self.count(counts);
        self.reader.finish(arrival);
    }

    fn count(&mut self, counts: &Counts) {
        counts.discarded(Discard::Stray).inc_by(self.sequence.take_strays());
        self.reader.missing(self.sequence.take_lost(), "the camera or the network left them out");
    }
}

fn arrival(began: Instant) -> Arrival {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Arrival { monotonic: began.elapsed().as_secs_f64(), wall: wall.as_secs_f64() }
}
