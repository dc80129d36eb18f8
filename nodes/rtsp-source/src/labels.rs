//! Makes messages of the access units of a session: names, numbers and times beside the data.

use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use msight_media::{
    Admission, Codec, DecodingTimes, DropReason, KeyFrameGate, ParameterSets, VideoParameters,
};
use msight_proto::AccessUnitData;
use msight_rtp::{Format, Track, Unit};

/// What the messages of one session have in common.
pub(crate) struct SessionLabels {
    session: Arc<str>,
    /// The kinds of the tracks so far.
    tracks: Vec<&'static str>,
}

impl SessionLabels {
    /// A new session, with a random id.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn new() -> Result<Self> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|error| anyhow!("{error}")).context("no random session id")?;
        Ok(Self { session: format!("{:016x}", u64::from_be_bytes(id)).into(), tracks: Vec::new() })
    }

    /// The labels of the session's next track.
    pub(crate) fn track(&mut self, track: &Track) -> TrackLabels {
        let codec = track.format.codec();
        let kind = codec.kind().name();
        self.tracks.push(kind);
        let number = self.tracks.iter().filter(|other| **other == kind).count();
        TrackLabels {
            name: if number == 1 { kind.to_owned() } else { format!("{kind}{number}") },
            codec,
            rate: track.clock_rate,
            channels: channels(&track.format),
            session: self.session.clone(),
            sequence: 0,
            after_loss: false,
            gate: KeyFrameGate::new(),
            decoding: None,
            sets: None,
            size: None,
        }
    }
}

/// Number of channels, where the description states it.
fn channels(format: &Format) -> Option<u32> {
    match format {
        Format::L16 { channels } => Some((*channels).into()),
        Format::Pcma | Format::Pcmu => Some(1),
        // The packets are stereo, whatever the sound is (RFC 7587, section 7).
        Format::Opus => Some(2),
        _ => None,
    }
}

/// Number of channels in an AudioSpecificConfig: `channelConfiguration` after the object type and the frequency (ISO/IEC
/// 14496-3, section 1.6.2.1). 0 and values that are not defined tell none.
fn channels_of_aac(config: &[u8]) -> Option<u32> {
    let [first, second, ..] = *config else { return None };
    // Index 15 precedes a frequency of 24 bits, and object type 31 one of 6 more bits: cameras use neither.
    let (object_type, frequency) = (first >> 3, (first & 7) << 1 | second >> 7);
    match second >> 3 & 0x0f {
        channels @ 1..=6 if object_type < 31 && frequency < 15 => Some(channels.into()),
        7 if object_type < 31 && frequency < 15 => Some(8),
        _ => None,
    }
}

/// Makes the messages of one track.
pub(crate) struct TrackLabels {
    name: String,
    codec: Codec,
    rate: u32,
    channels: Option<u32>,
    session: Arc<str>,
    sequence: u64,
    /// Units were left out since the last message.
    after_loss: bool,
    gate: KeyFrameGate,
    /// Of video, once its parameter sets are known.
    decoding: Option<DecodingTimes>,
    /// The parameter sets of the last message.
    sets: Option<Arc<ParameterSets>>,
    /// Width and height of the pictures, where their parameter sets state them.
    size: Option<(u32, u32)>,
}

impl TrackLabels {
    /// The message of a unit with this presentation time, in ticks of the track. `video`: what its parameter sets state.
    ///
    /// # Errors
    /// The unit cannot be decoded, for this reason.
    pub(crate) fn message(
        &mut self,
        unit: &Unit,
        pts: i64,
        video: Option<VideoParameters>,
    ) -> Result<AccessUnitData, DropReason> {
        if unit.after_loss {
            self.after_loss |= self.sequence > 0;
            self.gate.close(DropReason::PacketLoss);
        }
        let needs_sets = matches!(self.codec, Codec::H264 | Codec::H265);
        let can_begin = unit.key && (unit.parameter_sets.is_some() || !needs_sets);
        if let Admission::Drop { reason, .. } = self.gate.admit(can_begin) {
            return Err(reason);
        }
        if self.sets != unit.parameter_sets {
            self.sets.clone_from(&unit.parameter_sets);
            self.apply_parameter_sets(video);
        } else if !unit.key {
            return Ok(self.label(unit, pts, None, None));
        }
        let sets = self.sets.as_ref().map(|sets| sets.all().to_vec());
        Ok(self.label(unit, pts, sets, unit.size.or(self.size)))
    }

    /// The last message was not sent. The next one is a key unit that says so.
    pub(crate) fn unsent(&mut self) {
        self.after_loss = true;
        self.gate.close(DropReason::DecoderSlow);
    }

    fn label(
        &mut self,
        unit: &Unit,
        pts: i64,
        parameter_sets: Option<Vec<bytes::Bytes>>,
        size: Option<(u32, u32)>,
    ) -> AccessUnitData {
        let sequence = self.sequence;
        self.sequence += 1;
        AccessUnitData {
            track: self.name.clone(),
            codec: self.codec.name().to_owned(),
            key: unit.key,
            pts,
            // Sound and metadata are decoded when they are presented.
            dts: self.decoding.as_mut().map_or(pts, |decoding| decoding.next(pts)),
            rate: self.rate,
            sequence,
            session: self.session.to_string(),
            after_loss: std::mem::take(&mut self.after_loss),
            parameter_sets,
            size: size.map(|(width, height)| vec![height.into(), width.into()]),
            channels: self.channels,
            data: unit.data.clone(),
        }
    }

    /// Applies the parameter sets from the next message on.
    fn apply_parameter_sets(&mut self, video: Option<VideoParameters>) {
        if self.codec == Codec::Aac {
            let config = self.sets.as_ref().and_then(|sets| sets.all().first());
            self.channels = config.and_then(|config| channels_of_aac(config)).or(self.channels);
        }
        let Some(VideoParameters { size, reorder_depth, fps }) = video else { return };
        self.size = Some(size);
        match &mut self.decoding {
            Some(decoding) => decoding.set_depth(reorder_depth),
            None => {
                let rate = NonZeroU32::new(self.rate);
                self.decoding = rate.map(|rate| DecodingTimes::new(reorder_depth, rate, fps));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn track(format: Format) -> Track {
        Track { format, payload_type: 96, clock_rate: 90_000, control: None }
    }

    fn unit(key: bool, after_loss: bool) -> Unit {
        let sets = ParameterSets::new(vec![Bytes::from_static(&[0x67, 1]), Bytes::from_static(&[0x68, 2])]);
        let parameter_sets = Some(Arc::new(sets));
        Unit { timestamp: 0, data: Bytes::from_static(b"data"), key, after_loss, parameter_sets, size: None }
    }

    #[test]
    fn only_what_can_be_decoded_gets_a_message() {
        let mut labels = SessionLabels::new().unwrap().track(&track(Format::H264 { sets: None }));
        assert_eq!(labels.message(&unit(false, false), 0, None), Err(DropReason::NoKeyFrameYet));
        let first = labels.message(&unit(true, true), 3000, None).unwrap();
        assert_eq!((first.sequence, first.after_loss, first.pts, first.dts), (0, false, 3000, 3000));
        assert_eq!(first.parameter_sets.map(|sets| sets.len()), Some(2));
        let second = labels.message(&unit(false, false), 6000, None).unwrap();
        assert_eq!((second.sequence, second.parameter_sets), (1, None));
        assert_eq!(labels.message(&unit(false, true), 9000, None), Err(DropReason::PacketLoss));
        assert_eq!(labels.message(&unit(false, false), 12_000, None), Err(DropReason::PacketLoss));
        let again = labels.message(&unit(true, false), 15_000, None).unwrap();
        assert_eq!((again.sequence, again.after_loss, again.session), (2, true, first.session));
        labels.unsent();
        assert_eq!(labels.message(&unit(false, false), 18_000, None), Err(DropReason::DecoderSlow));
        assert!(labels.message(&unit(true, false), 21_000, None).unwrap().after_loss);
    }

    #[test]
    fn channels_of_aac_come_from_its_configuration() {
        // AAC-LC of 44,100 Hz in stereo, of 16,000 Hz in mono, and with the channels in a program config element.
        let read = [&[0x12, 0x10][..], &[0x14, 0x08], &[0x12, 0x00], &[0x12]].map(channels_of_aac);
        assert_eq!(read, [Some(2), Some(1), None, None]);
    }

    #[test]
    fn tracks_are_named_by_kind_and_number() {
        let mut session = SessionLabels::new().unwrap();
        let names: Vec<String> = [Format::H264 { sets: None }, Format::Pcmu, Format::Opus, Format::Metadata]
            .map(|format| session.track(&track(format)).name)
            .into();
        assert_eq!(names, ["video", "audio", "audio2", "metadata"]);
        let mut sound = session.track(&track(Format::Opus));
        let message = sound.message(&Unit { parameter_sets: None, ..unit(true, false) }, 960, None).unwrap();
        assert_eq!((message.channels, message.dts, message.codec.as_str()), (Some(2), 960, "opus"));
        assert_ne!(message.session, *SessionLabels::new().unwrap().session);
    }
}
