//! An open segment: a file that grows by a fragment at a time.

use std::io::{self, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use msight_media::Kind;
use msight_media::mp4::{Extent, Storage, TrackRun};
use msight_proto::Receipt;

use crate::container::{Container, Head, MuxError, Muxer};
use crate::counts::{Counts, Lost};
use crate::ending::Ending;
use crate::frames::FrameList;
use crate::index;
use crate::message_size::message_bytes;
use crate::origin::Origin;
use crate::sink::Sink;
use crate::track::{Encoding, Track};
use crate::unit::Unit;

/// A fragment with so many bytes is written before it has its duration.
const MAX_FRAGMENT: u64 = 4 << 20;
/// A fragment with so many units likewise.
const MAX_FRAGMENT_UNITS: usize = 1 << 14;

/// How segments are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteRules {
    pub(crate) container: Container,
    /// `--fragment-duration` in seconds.
    pub(crate) fragment: f64,
    /// Whether each fragment is brought to the disk at once.
    pub(crate) sync: bool,
    /// The length that the index has room for, in seconds. A longer segment is copied once.
    pub(crate) room: f64,
}

/// A segment that grows.
#[derive(Debug)]
pub(crate) struct Segment {
    rules: WriteRules,
    sink: Sink,
    muxer: Option<Muxer>,
    origin: Origin,
    /// The name of the track that decides on times and cuts.
    leader: String,
    tracks: Vec<Track>,
    /// The capture time of the leader's first unit.
    begun: f64,
    /// From the start of the presentation to the leader's first unit, in seconds.
    lead: f64,
    /// Bytes in the file.
    length: u64,
    fragments: u64,
    /// The leader's decoding time at which the next fragment begins.
    fragment_dts: i64,
    /// The capture time of the unit that had the latest fragment written.
    written_until: f64,
    /// Bytes and number of the units that are not in the file yet.
    pub(crate) unwritten: (u64, usize),
    /// Those in the file: all of the video, or one for each fragment of sound.
    frames: FrameList,
    /// A unit of the leader has come.
    has_begun: bool,
    lost_within: u64,
    /// Of units that are not safe yet.
    receipts: Vec<Receipt>,
}

/// A fragment could not be written.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) why: Lost,
    pub(crate) reason: String,
    /// The capture times of the units that are lost.
    pub(crate) lost: Vec<f64>,
    /// How many of them are of the leading track.
    pub(crate) leading: u64,
}

/// A whole segment that is not published yet.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) sink: Sink,
    pub(crate) origin: Origin,
    pub(crate) ending: Ending,
    pub(crate) frames: FrameList,
    pub(crate) bytes: u64,
    pub(crate) duration: f64,
    pub(crate) lost_within: u64,
    pub(crate) receipts: Vec<Receipt>,
}

impl Segment {
    /// A segment that begins with this unit of the leader; the caller pushes it next. `encodings` are those of the tracks
    /// that are known.
    pub(crate) fn open(
        rules: WriteRules,
        sink: Sink,
        origin: Origin,
        first: &Unit,
        encodings: Vec<Encoding>,
    ) -> Self {
        Self {
            rules,
            sink,
            muxer: None,
            leader: first.track.clone(),
            tracks: encodings.into_iter().map(Track::new).collect(),
            begun: first.captured,
            lead: 0.0,
            length: 0,
            fragments: 0,
            fragment_dts: first.dts,
            written_until: first.captured,
            unwritten: (0, 0),
            frames: FrameList::new(),
            has_begun: false,
            lost_within: 0,
            receipts: Vec::new(),
            origin,
        }
    }

    /// The position of a unit's track, if the segment has it in this encoding.
    pub(crate) fn track_of(&self, unit: &Unit) -> Option<usize> {
        self.tracks.iter().position(|track| track.encoding.track == unit.track && track.encoding.fits(unit))
    }

    /// Adds a track, as long as no fragment is written. Returns whether it was added.
    pub(crate) fn add_track(&mut self, encoding: Encoding) -> bool {
        let is_open =
            self.muxer.is_none() && !self.tracks.iter().any(|track| track.encoding.track == encoding.track);
        if is_open {
            self.tracks.push(Track::new(encoding));
        }
        is_open
    }

    /// Frames that were lost before the segment and in it.
    pub(crate) fn frames_lost(&self) -> u64 {
        self.origin.frames_lost_before.saturating_add(self.lost_within)
    }

    /// Size of the file with what waits for it, or of the message that holds the file.
    pub(crate) fn bytes(&self) -> u64 {
        let (bytes, units) = self.unwritten;
        match self.sink {
            Sink::Spool(_) => self.length + bytes,
            Sink::Memory(_) => message_bytes(self.length + bytes, self.frames.count() + units as u64),
        }
    }

    /// Whether a unit was captured before the segment, and would be the first one of its track there: nothing places it.
    pub(crate) fn is_before(&self, track: usize, unit: &Unit) -> bool {
        unit.captured < self.begun && self.tracks[track].run_time.is_none()
    }

    /// Whether a fragment is written before a unit is added.
    fn is_due(&self, unit: &Unit, is_leader: bool) -> bool {
        let (bytes, units) = self.unwritten;
        let seconds = unit.seconds_since(self.fragment_dts);
        bytes > MAX_FRAGMENT
            || units >= MAX_FRAGMENT_UNITS
            || (is_leader && (seconds < 0.0 || (seconds > 0.0 && seconds >= self.rules.fragment)))
            // The leader's decoding times may stand still, or none of its units may come.
            || unit.captured - self.written_until > 2.0 * self.rules.fragment.max(0.2)
    }

    /// Adds a unit to a track, and writes a fragment where one is due. Returns whether it did.
    ///
    /// # Errors
    /// The fragment could not be written. Its units are lost, and the unit with them.
    pub(crate) fn push(&mut self, track: usize, unit: Unit, counts: &Counts) -> Result<bool, Failure> {
        let is_leader = unit.track == self.leader;
        if is_leader && std::mem::replace(&mut self.has_begun, true) {
            self.lost_within = self.lost_within.saturating_add(unit.lost_before);
        }
        let is_due = self.is_due(&unit, is_leader);
        if is_due {
            self.tracks[track].end_held(Some(&unit));
            if let Err(mut failure) = self.flush(counts) {
                failure.lost.push(unit.captured);
                failure.leading += u64::from(is_leader);
                unit.receipt.iter().for_each(Receipt::abandon);
                return Err(failure);
            }
            self.written_until = unit.captured;
            if is_leader {
                self.fragment_dts = unit.dts;
            }
        }
        let begins = unit.captured - self.begun + self.lead;
        self.unwritten.0 += unit.data.len() as u64;
        self.unwritten.1 += 1;
        self.tracks[track].push(unit, begins);
        Ok(is_due)
    }

    /// The latest unit of a track ends at `dts`, where the next segment goes on.
    pub(crate) fn end_track(&mut self, unit: &Unit) {
        if let Some(track) = self.tracks.iter_mut().find(|track| track.encoding.track == unit.track) {
            track.end_held(Some(unit));
        }
    }

    /// Writes all units whose duration is known as a fragment.
    ///
    /// # Errors
    /// It could not be written. Its units are lost; the file is as before.
    pub(crate) fn flush(&mut self, counts: &Counts) -> Result<(), Failure> {
        if self.tracks.iter().all(|track| track.ready.is_empty()) {
            return Ok(());
        }
        let mut head = Vec::new();
        if self.muxer.is_none() {
            match self.begin(&mut head) {
                Ok(muxer) => self.muxer = Some(muxer),
                Err(error) => return Err(self.fail(Lost::Mux, &error, Vec::new())),
            }
        }
        let runs = self.tracks.iter_mut().enumerate().filter_map(|(number, track)| track.take_run(number));
        let (runs, units): (Vec<_>, Vec<_>) = runs.unzip();
        let Some(muxer) = &mut self.muxer else { return Ok(()) };
        if let Err(error) = muxer.fragment(&runs, &units, &mut head) {
            return Err(self.fail(Lost::Mux, &error, units));
        }
        let (begun, before) = (Instant::now(), self.length);
        let written =
            self.write(&head).and_then(|()| if self.rules.sync { self.sink.sync() } else { Ok(()) });
        if let Err(error) = written {
            self.length = before;
            return Err(self.fail(Lost::Disk, &error, units));
        }
        let held = self.tracks.iter().flat_map(Track::units);
        self.unwritten =
            held.fold((0, 0), |(bytes, units), unit| (bytes + unit.data.len() as u64, units + 1));
        counts.fragment(head.len(), units.iter().map(Vec::len).sum(), begun.elapsed());
        self.fragments += 1;
        self.list(&runs, &units);
        let receipts = units.into_iter().flatten().filter_map(|unit| unit.receipt);
        match self.sink {
            // They are on the disk.
            Sink::Spool(_) if self.rules.sync => receipts.for_each(drop),
            _ => self.receipts.extend(receipts),
        }
        Ok(())
    }

    /// Lists the frames of a fragment that is in the file.
    fn list(&mut self, runs: &[TrackRun], units: &[Vec<Unit>]) {
        let leader = self.tracks.iter().position(|track| track.encoding.track == self.leader);
        for (_, units) in runs.iter().zip(units).filter(|(run, _)| Some(run.track) == leader) {
            let is_video = units.iter().any(|unit| unit.kind() == Kind::Video);
            let listed = if is_video { units.len() } else { 1 };
            units.iter().take(listed).for_each(|unit| self.frames.push(unit.captured, unit.frame_id));
        }
    }

    /// Appends bytes to the file.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sink.seek(SeekFrom::Start(self.length))?;
        self.sink.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn fail(&mut self, why: Lost, error: &dyn std::fmt::Display, units: Vec<Vec<Unit>>) -> Failure {
        // What is behind the last whole fragment would be cut off at the end as well.
        let _ = self.sink.truncate(self.length);
        let waiting = self.tracks.iter_mut().flat_map(|track| {
            track.end_held(None);
            std::mem::take(&mut track.ready).into_iter().map(|(unit, _)| unit)
        });
        let lost: Vec<_> = units.into_iter().flatten().chain(waiting.collect::<Vec<_>>()).collect();
        lost.iter().flat_map(|unit| &unit.receipt).for_each(Receipt::abandon);
        Failure {
            why,
            reason: error.to_string(),
            lost: lost.iter().map(|unit| unit.captured).collect(),
            leading: lost.iter().filter(|unit| unit.track == self.leader).count() as u64,
        }
    }

    /// The beginning of the file.
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<Muxer, MuxError> {
        let leader = self.leading_track();
        let shown = leader.map_or(0, Track::media_time);
        let first = leader.and_then(|track| track.units().next()).map_or(0, |unit| unit.composition_offset());
        let rate = leader.map_or(1.0, |track| f64::from(track.encoding.rate.get()));
        self.lead = (i64::from(first) - shown) as f64 / rate;
        self.origin.start = self.begun - self.lead;
        let leader = self.leader.clone();
        for track in self.tracks.iter_mut().filter(|track| track.encoding.track != leader) {
            track.shift(self.lead);
        }
        let encodings: Vec<_> = self.tracks.iter().map(|track| track.encoding.clone()).collect();
        let head = Head {
            created: Duration::try_from_secs_f64(self.origin.start).unwrap_or_default(),
            room: index::room(&self.tracks, &self.rules),
            user: &self.origin.to_box(),
            media_time: u64::try_from(shown).unwrap_or(0),
        };
        Muxer::begin(self.rules.container, &encodings, &head, out)
    }

    /// Ends the segment: writes the rest, and the index. `None` for the segment if nothing of it could be recorded, or if its
    /// index could not be written.
    ///
    /// # Errors
    /// That of the last fragment, whose units are lost, and that of the index.
    pub(crate) fn finish(mut self, ending: Ending, counts: &Counts) -> (Option<Ended>, Vec<Failure>) {
        self.tracks.iter_mut().for_each(|track| track.end_held(None));
        let has_units = self.tracks.iter().any(|track| !track.ready.is_empty());
        let mut failures = Vec::new();
        if has_units {
            failures.extend(self.flush(counts).err());
        }
        if self.fragments == 0 {
            if let Sink::Spool(part) = self.sink
                && let Err(error) = part.discard()
            {
                tracing::warn!("{error}");
            }
            return (None, failures);
        }
        let duration = self.frames_duration();
        let finished = match self.rules.container {
            Container::Mp4 => {
                let extent = Extent::Written(self.fragments);
                index::write(&mut self.sink, &self.origin, ending, self.lost_within, extent)
                    .map_err(Into::into)
            }
            Container::Ts | Container::Mkv => {
                let length = self.length;
                self.muxer.map_or(Ok(length), |muxer| muxer.finish(&mut self.sink, length))
            }
        };
        let bytes = match finished {
            Ok(bytes) => bytes,
            Err(error) => {
                self.receipts.iter().for_each(Receipt::abandon);
                let reason = error.to_string();
                failures.push(Failure { why: Lost::Index, reason, lost: Vec::new(), leading: 0 });
                return (None, failures);
            }
        };
        let ended = Ended {
            sink: self.sink,
            origin: self.origin,
            ending,
            frames: self.frames,
            bytes,
            duration,
            lost_within: self.lost_within,
            receipts: self.receipts,
        };
        (Some(ended), failures)
    }

    /// Seconds from the start of the segment to its end, by the leader's times.
    fn frames_duration(&self) -> f64 {
        let leader = self.leading_track();
        leader.map_or(0.0, |track| track.run_time.unwrap_or(0) as f64 / f64::from(track.encoding.rate.get()))
    }

    fn leading_track(&self) -> Option<&Track> {
        self.tracks.iter().find(|track| track.encoding.track == self.leader)
    }
}
