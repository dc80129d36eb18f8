//! The decoding thread: access units in, pictures out, in order.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use msight_node::refused;
use msight_picture::{JpegDecoder, Picture, Planes, Size};
use openh264::decoder::{DecodeOptions, DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use openh264::{OpenH264API, nal_units};
use tracing::{Span, debug, info, warn};

use crate::counts::Counts;
use crate::gate::{Admit, KeyFrameGate, LongWait, Reason};
use crate::order::PresentationOrder;
use crate::outlet::{Outlet, Stop};
use crate::sps::Sps;
use crate::unit::{AccessUnit, UnitReceiver};

/// After so many key frames in a row that the decoder refuses, the stream is given up.
const MOST_REFUSED_KEY_FRAMES: u32 = 3;

/// `nal_unit_type` of a sequence parameter set (H.264 table 7-1).
const SEQUENCE_PARAMETER_SET: u8 = 7;

/// The video codecs that can be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// H.264, decoded.
    H264,
    /// JPEG (RFC 2435), passed on.
    Jpeg,
}

/// Starts the thread. It ends when the queue of units has ended and its pictures are out, or nobody takes frames.
pub(crate) fn spawn(
    codec: Codec,
    mut units: UnitReceiver,
    mut outlet: Outlet,
    counts: Arc<Counts>,
) -> Result<()> {
    let mut decoder: Box<dyn Decode> = match codec {
        Codec::H264 => Box::new(H264::new(counts)?),
        Codec::Jpeg => Box::new(Jpeg { decoder: JpegDecoder::new()?, picture: Picture::default(), counts }),
    };
    let work = move || {
        let mut decode_all = || {
            while let Some(unit) = units.blocking_recv() {
                decoder.unit(unit, &mut outlet)?;
            }
            decoder.finish(&mut outlet)
        };
        if let Err(Stop::Failed(error)) = decode_all() {
            outlet.fail(error);
        }
    };
    // Log lines name the node by its span.
    let span = Span::current();
    let work = move || span.in_scope(work);
    thread::Builder::new().name("decode".into()).spawn(work).context("cannot start the decoding thread")?;
    Ok(())
}

pub(crate) trait Decode: Send {
    fn unit(&mut self, unit: AccessUnit, outlet: &mut Outlet) -> Result<(), Stop>;

    /// The pictures that are still inside.
    fn finish(&mut self, _: &mut Outlet) -> Result<(), Stop> {
        Ok(())
    }
}

struct Jpeg {
    decoder: JpegDecoder,
    picture: Picture,
    counts: Arc<Counts>,
}

impl Decode for Jpeg {
    fn unit(&mut self, unit: AccessUnit, outlet: &mut Outlet) -> Result<(), Stop> {
        match outlet.jpeg(unit.data, unit.size, unit.captured, &mut self.decoder, &mut self.picture) {
            Err(Stop::Failed(error)) => {
                // Each picture stands alone: the next one may be whole.
                self.counts.dropped(Reason::DecodeError).inc();
                debug!("a JPEG frame was dropped: {error:#}");
                Ok(())
            }
            sent => sent,
        }
    }
}

pub(crate) struct H264 {
    decoder: Decoder,
    gate: KeyFrameGate,
    wait: LongWait,
    order: PresentationOrder,
    /// The parameter set in force, as bytes and as read.
    sps: Option<(Vec<u8>, Sps)>,
    refused_key_frames: u32,
    counts: Arc<Counts>,
}

impl H264 {
    pub(crate) fn new(counts: Arc<Counts>) -> Result<Self> {
        let (gate, order) = (KeyFrameGate::new(), PresentationOrder::default());
        let wait = LongWait::default();
        Ok(Self { decoder: decoder()?, gate, wait, order, sps: None, refused_key_frames: 0, counts })
    }

    /// Reads the parameter set in front of a key frame, and starts over if it is a new one.
    fn learn(&mut self, unit: &[u8], outlet: &mut Outlet) -> Result<(), Stop> {
        let sps =
            nal_units(unit).map(without_start_code).find(|nal| nal_type(nal) == Some(SEQUENCE_PARAMETER_SET));
        let Some(bytes) = sps else { return Ok(()) };
        if self.sps.as_ref().is_some_and(|(known, _)| known == bytes) {
            return Ok(());
        }
        let changed = self.sps.is_some();
        if changed {
            self.start_over(outlet)?;
        }
        // Only the camera's settings can change this, so there is no hurry to ask again.
        let sps = Sps::parse(bytes).map_err(refused)?;
        let (fps, colour) = (sps.fps.unwrap_or_default(), sps.colour);
        info!(fps, range = ?colour.range, matrix = ?colour.matrix, reorders = sps.reorders, changed, "H.264 {sps}");
        self.sps = Some((bytes.to_vec(), sps));
        Ok(())
    }

    /// Takes everything out of the decoder and replaces it: one that was emptied does not free all its pictures, and
    /// fails for want of them in the next group of pictures.
    fn start_over(&mut self, outlet: &mut Outlet) -> Result<(), Stop> {
        self.drain(outlet)?;
        self.decoder = decoder()?;
        Ok(())
    }

    fn drain(&mut self, outlet: &mut Outlet) -> Result<(), Stop> {
        if let Some((_, sps)) = &self.sps {
            match self.decoder.flush_remaining() {
                Ok(pictures) => {
                    for picture in &pictures {
                        emit(picture, sps, &mut self.order, outlet)?;
                    }
                }
                Err(error) => debug!("the decoder could not be emptied: {error}"),
            }
        }
        let lost = self.order.clear();
        self.counts.dropped(Reason::DecodeError).inc_by(lost as u64);
        Ok(())
    }

    fn refuse(&mut self, unit: &AccessUnit, error: &openh264::Error) -> Result<()> {
        self.counts.dropped(Reason::DecodeError).inc();
        self.order.withdraw(unit.rtp);
        self.gate.close(Reason::DecodeError);
        debug!(key = unit.key, "the decoder refused a frame: {error}");
        if unit.key {
            self.refused_key_frames += 1;
        }
        if self.refused_key_frames < MOST_REFUSED_KEY_FRAMES {
            return Ok(());
        }
        let stream = self.sps.as_ref().map(|(_, sps)| sps.to_string()).unwrap_or_default();
        Err(refused(anyhow!(
            "the decoder refused {MOST_REFUSED_KEY_FRAMES} key frames in a row of the camera's H.264 stream ({stream}): {error}; \
             set the camera's stream to H.264 baseline, main or high profile, 8 bit 4:2:0, progressive"
        )))
    }
}

impl Decode for H264 {
    fn unit(&mut self, unit: AccessUnit, outlet: &mut Outlet) -> Result<(), Stop> {
        if unit.after_loss {
            self.gate.close(Reason::PacketLoss);
        }
        match self.gate.admit(unit.key && begins_with_first_slice(&unit.data)) {
            Admit::Pass => {}
            Admit::Drop(reason) => {
                self.counts.dropped(reason).inc();
                if self.wait.goes_on(Instant::now()) {
                    let (reason, dropped) = (reason.label(), self.counts.dropped(reason).get());
                    warn!(
                        reason,
                        dropped,
                        "no key frame from the camera yet, without which nothing can be decoded; set its key frame interval \
                         (GOP, I frame interval) to a second or two"
                    );
                }
                return Ok(());
            }
            Admit::Reopened { reason: Reason::NoKeyFrameYet, dropped } => debug!(dropped, "first key frame"),
            Admit::Reopened { reason, dropped } => {
                warn!(dropped, reason = reason.label(), "frames were dropped up to the next key frame");
            }
        }
        if unit.key {
            self.wait.ends();
            self.learn(&unit.data, outlet)?;
        }
        if !has_slice(&unit.data) {
            // Nothing will come out for it, so its time must not wait for a picture.
            self.counts.dropped(Reason::DecodeError).inc();
            return Ok(());
        }
        let Some((_, sps)) = &self.sps else {
            self.counts.dropped(Reason::NoKeyFrameYet).inc();
            return Ok(());
        };
        self.order.enter(unit.rtp, unit.captured);
        let flush = if sps.reorders { Flush::NoFlush } else { Flush::Flush };
        match self.decoder.decode_with_options(&unit.data, DecodeOptions::new().flush_after_decode(flush)) {
            Ok(None) => Ok(()),
            Ok(Some(picture)) => {
                self.refused_key_frames = 0;
                emit(&picture, sps, &mut self.order, outlet)
            }
            Err(error) => {
                self.refuse(&unit, &error)?;
                self.start_over(outlet)
            }
        }
    }

    fn finish(&mut self, outlet: &mut Outlet) -> Result<(), Stop> {
        self.drain(outlet)
    }
}

/// Hands one picture on, in the decoder's own memory.
fn emit(
    picture: &DecodedYUV<'_>,
    sps: &Sps,
    order: &mut PresentationOrder,
    outlet: &mut Outlet,
) -> Result<(), Stop> {
    let Some(captured) = order.leave() else {
        debug!("the decoder gave more pictures than it was given");
        return Ok(());
    };
    let ((width, height), (y, u, v)) = (picture.dimensions(), picture.strides());
    let planes = [picture.y(), picture.u(), picture.v()];
    let planes = Planes::new(Size::new(width, height)?, sps.colour, planes, [y, u, v])?;
    outlet.picture(&planes, captured)
}

/// A decoder that gives a picture when the order of presentation asks for it.
fn decoder() -> Result<Decoder> {
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    Decoder::with_api_config(OpenH264API::from_source(), config).context("cannot start the decoder")
}

/// Whether there is a slice in the access unit: NAL unit types 1 to 5 (H.264 table 7-1).
fn has_slice(unit: &[u8]) -> bool {
    unit.windows(4).any(|bytes| bytes.starts_with(&[0, 0, 1]) && (1..=5).contains(&(bytes[3] & 0x1f)))
}

/// Whether the first slice of the access unit is that of its upper left corner, so that none before it was lost:
/// `first_mb_in_slice`, a number of which 0 is written as a single 1 bit (H.264 sections 7.3.3 and 9.1).
fn begins_with_first_slice(unit: &[u8]) -> bool {
    let first =
        unit.windows(5).find(|bytes| bytes.starts_with(&[0, 0, 1]) && (1..=5).contains(&(bytes[3] & 0x1f)));
    first.is_none_or(|bytes| bytes[4] & 0x80 != 0)
}

fn without_start_code(nal: &[u8]) -> &[u8] {
    let zeros = nal.iter().take_while(|&&byte| byte == 0).count();
    nal.get(zeros + 1..).unwrap_or_default()
}

fn nal_type(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header & 0x1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_frame_without_its_first_slice_is_told() {
        let sps_and_pps = [0, 0, 0, 1, 0x67, 0x42, 0, 0, 0, 1, 0x68, 0xce];
        // `first_mb_in_slice` is 0, and 1 (the bits 010).
        let (first, second) = ([0, 0, 0, 1, 0x65, 0x88, 0x84], [0, 0, 0, 1, 0x65, 0x42, 0x21]);
        assert!(begins_with_first_slice(&[&sps_and_pps[..], &first, &second].concat()));
        assert!(!begins_with_first_slice(&[&sps_and_pps[..], &second].concat()));
        assert!(begins_with_first_slice(&sps_and_pps) && begins_with_first_slice(&[]));
    }
}
