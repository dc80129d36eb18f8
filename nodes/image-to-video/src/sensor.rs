//! One sensor's frames become its segments: decode, convert, encode, cut.

use crate::counts::{Counts, Dropped};
use crate::encoder::{self, Encoder};
use crate::ending::Ending;
use crate::recording::{AccessUnit, Recording, Segment};
use crate::settings::Settings;
use crate::timeline::{LeftOut, Timeline, Verdict, is_usable};
use msight_node::logs::Repeated;
use msight_picture::{ImageDecoder, Picture, Range};
use msight_proto::{ImageData, Sample, unix_now};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, error, info, trace, warn};

/// The state of one sensor. Every frame is decoded and encoded once, when it comes; what is kept of it is its
/// access unit.
pub(crate) struct Sensor {
    /// The name for log lines.
    label: String,
    settings: Settings,
    counts: Arc<Counts>,
    timeline: Timeline,
    recording: Recording,
    decoder: ImageDecoder,
    /// The picture: as it was decoded, then as it is encoded.
    picture: Picture,
    encoder: Option<Encoder>,
    /// The time of the encoder's first picture.
    encoder_start: f64,
    late: Repeated,
    no_time: Repeated,
    unreadable: Repeated,
    refused: Repeated,
}

impl Sensor {
    /// A sensor that has sent nothing yet, called `label` in log lines.
    ///
    /// # Errors
    /// The JPEG decoder cannot be set up.
    pub(crate) fn new(
        label: String,
        settings: Settings,
        counts: Arc<Counts>,
    ) -> Result<Self, msight_picture::Error> {
        Ok(Self {
            label,
            settings,
            counts,
            timeline: Timeline::new(settings.timing, settings.fps, settings.max_gap),
            recording: Recording::new(settings.cut),
            decoder: ImageDecoder::new()?,
            picture: Picture::default(),
            encoder: None,
            encoder_start: 0.0,
            late: Repeated::new(),
            no_time: Repeated::new(),
            unreadable: Repeated::new(),
            refused: Repeated::new(),
        })
    }

    /// How long the sensor may send nothing before [`Sensor::quiet`] is due.
    pub(crate) fn patience(&self) -> Duration {
        let seconds = self.settings.idle.seconds(self.timeline.rhythm());
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Takes a frame. Segments that end with it or before it are appended to `ended`, in order.
    pub(crate) fn frame(&mut self, frame: Sample<ImageData>, ended: &mut Vec<Segment>) {
        let captured = frame.head.capture_timestamp;
        let time = match self.timeline.judge(captured) {
            Verdict::Keep if is_usable(captured) => captured,
            Verdict::Keep => unix_now(),
            Verdict::Restart(ending) => {
                debug!(sensor = self.label, captured, reason = ending.as_str(), "a new segment begins");
                ended.extend(self.recording.flush(ending, None));
                captured
            }
            Verdict::LeaveOut(why) => return self.leave_out(captured, why),
        };
        ended.extend(self.recording.advance(time));

        let begun = Instant::now();
        if let Err(error) = self.decoder.decode(&frame.body, &mut self.picture) {
            self.counts.dropped(Dropped::Decode, 1);
            if let Some(times) = self.unreadable.add(1, Instant::now()) {
                warn!(
                    sensor = self.label,
                    times, "frame left out, it is no picture that can be read: {error}"
                );
            }
            return;
        }
        match self.encode(time, ended) {
            Ok((encoded, parameter_sets)) => {
                self.counts.encoded(begun.elapsed());
                trace!(
                    sensor = self.label,
                    time,
                    key = encoded.key,
                    bytes = encoded.data.len(),
                    "frame encoded"
                );
                let unit = AccessUnit { frame: frame.map(drop), time, data: encoded.data, key: encoded.key };
                self.recording.push(unit, &parameter_sets);
            }
            Err(error) => {
                self.encoder = None;
                let why = match error {
                    encoder::Error::Size { .. } => Dropped::Size,
                    encoder::Error::Codec(_) | encoder::Error::Output(_) => Dropped::Encode,
                };
                self.counts.dropped(why, 1);
                ended.extend(self.recording.flush(Ending::Encoder, None));
                if let Some(times) = self.refused.add(1, Instant::now()) {
                    error!(sensor = self.label, times, "frame lost: {error}");
                }
            }
        }
    }

    /// Ends what is open.
    pub(crate) fn finish(&mut self, ending: Ending) -> Option<Segment> {
        self.recording.flush(ending, None)
    }

    /// The sensor has sent nothing for its patience: ends what is open and gives the memory of the encoder and
    /// the picture back.
    pub(crate) fn quiet(&mut self) -> Option<Segment> {
        self.encoder = None;
        self.picture = Picture::default();
        self.finish(Ending::Idle)
    }

    fn leave_out(&mut self, captured: f64, why: LeftOut) {
        self.counts.left_out(why);
        trace!(sensor = self.label, captured, ?why, "frame left out");
        match why {
            LeftOut::Rate => {}
            LeftOut::Late => {
                if let Some(times) = self.late.count() {
                    warn!(
                        sensor = self.label,
                        times,
                        "frame left out, its capture time {captured} is not after that of the frame before"
                    );
                }
            }
            LeftOut::NoTime => {
                if let Some(times) = self.no_time.count() {
                    warn!(
                        sensor = self.label,
                        times,
                        "frame left out, its capture time {captured} is none; \
                         a source without a clock needs --timing constant"
                    );
                }
            }
        }
    }

    /// Encodes the decoded picture, shown at `time`. A picture of another size than those before it ends the
    /// open segment.
    fn encode(&mut self, time: f64, ended: &mut Vec<Segment>) -> Result<Encoded, encoder::Error> {
        let size = self.picture.size();
        if let Some(before) = self.encoder.as_ref().map(Encoder::size)
            && before != size
        {
            ended.extend(self.recording.flush(Ending::FrameSize, Some(time)));
            self.encoder = None;
        }
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => {
                let encoder = Encoder::new(size, &self.settings.quality)?;
                info!(sensor = self.label, width = size.width(), height = size.height(), "encoding H.264");
                self.encoder_start = time;
                none.insert(encoder)
            }
        };
        // JPEG is full range, video limited.
        self.picture.change_range(Range::Limited);
        // A float cast saturates: a clock that was set back counts as no time passed.
        let milliseconds = ((time - self.encoder_start) * 1e3) as u64;
        let encoded = encoder.encode(self.picture.planes(), milliseconds, self.recording.next_is_start())?;
        let sets = encoder.parameter_sets().ok_or(encoder::Error::Output("no parameter sets"))?;
        Ok((encoded, Arc::clone(sets)))
    }
}

type Encoded = (encoder::Encoded, Arc<crate::mp4::ParameterSets>);
