//! The decoding thread: decodes access units to frames, in order.

use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, bail};
use msight_codec::{DecodeError, Decoder, DeferredDecoder};
use msight_media::{Codec, DropReason};
use msight_node::refused;
use msight_picture::{JpegDecoder, Picture};
use tracing::{Span, debug};

use crate::counts::Counts;
use crate::outlet::{Outlet, Stop};
use crate::unit::{Encoded, UnitReceiver};

/// The codecs that are decoded, the preferred one first.
pub(crate) const DECODABLE: [Codec; 2] = [Codec::H264, Codec::Jpeg];

/// Starts the thread. It ends when the queue of units has ended and all frames are sent, when the stream cannot be
/// decoded, or when the receiver of frames is dropped.
pub(crate) fn spawn(
    codec: Codec,
    key_frames_only: bool,
    mut units: UnitReceiver,
    mut outlet: Outlet,
    counts: Arc<Counts>,
) -> Result<()> {
    let mut decoding = Decoding::new(codec, key_frames_only, outlet.is_deferred(), counts)?;
    let work = move || {
        let mut decode_all = || {
            while let Some(encoded) = units.blocking_recv() {
                decoding.decode(encoded, &mut outlet)?;
            }
            decoding.drain(&mut outlet)
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

/// The work of the thread, one access unit at a time.
pub(crate) enum Decoding {
    H264(Box<Decoder>),
    /// For messages that stay in this process.
    Deferred(Box<DeferredDecoder>),
    Jpeg(Box<Jpeg>),
}

/// JPEG frames are published unchanged, unless another size or raw frames are requested.
pub(crate) struct Jpeg {
    decoder: JpegDecoder,
    picture: Picture,
    counts: Arc<Counts>,
}

impl Decoding {
    /// For a stream, or for its key frames alone. With `deferred`, pictures are decoded only if a node asks for them.
    pub(crate) fn new(
        codec: Codec,
        key_frames_only: bool,
        deferred: bool,
        counts: Arc<Counts>,
    ) -> Result<Self> {
        Ok(match codec {
            Codec::H264 if deferred => {
                let on_decoded = move || counts.decoded.inc();
                Self::Deferred(Box::new(DeferredDecoder::new(key_frames_only, on_decoded)))
            }
            Codec::H264 if key_frames_only => Self::H264(Box::new(Decoder::for_key_frames()?)),
            Codec::H264 => Self::H264(Box::new(Decoder::new()?)),
            Codec::Jpeg => Self::Jpeg(Box::new(Jpeg {
                decoder: JpegDecoder::new()?,
                picture: Picture::default(),
                counts,
            })),
            other => bail!("{} is not a codec that is decoded here", other.name()),
        })
    }

    /// Decodes the next access unit and sends its frames.
    pub(crate) fn decode(&mut self, encoded: Encoded, outlet: &mut Outlet) -> Result<(), Stop> {
        match self {
            Self::H264(decoder) => {
                outlet.remember(&encoded);
                decoder.decode(encoded.unit, outlet).map_err(stop)
            }
            Self::Deferred(decoder) => {
                outlet.remember(&encoded);
                decoder.decode(encoded.unit, outlet).map_err(stop)
            }
            Self::Jpeg(jpeg) => match outlet.jpeg(encoded, &mut jpeg.decoder, &mut jpeg.picture) {
                Err(Stop::Failed(error)) => {
                    // JPEG frames are independent, so the next one may be intact.
                    jpeg.counts.dropped(DropReason::DecodeError).inc();
                    debug!("dropped a JPEG frame: {error:#}");
                    Ok(())
                }
                sent => sent,
            },
        }
    }

    /// Sends the frames that are still in the decoder.
    pub(crate) fn drain(&mut self, outlet: &mut Outlet) -> Result<(), Stop> {
        match self {
            Self::H264(decoder) => decoder.drain(outlet).map_err(stop),
            Self::Deferred(decoder) => decoder.drain(outlet).map_err(stop),
            Self::Jpeg(_) => Ok(()),
        }
    }
}

fn stop(error: DecodeError<Stop>) -> Stop {
    match error {
        DecodeError::Sink(stop) => stop,
        DecodeError::Memory(_) => Stop::Failed(error.into()),
        // Only a change of the camera's settings helps, so the source is reopened after a longer delay.
        _ => Stop::Failed(refused(error)),
    }
}
