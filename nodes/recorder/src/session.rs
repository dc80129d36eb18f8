//! The tracks that a session with the camera has shown.

use msight_media::Kind;

use crate::container::Container;
use crate::track::Encoding;
use crate::unit::Unit;

/// A track that sent nothing for so many seconds is not waited for.
const ACTIVE: f64 = 2.0;

/// The session that is recorded.
#[derive(Debug, Default)]
pub(crate) struct Session {
    id: String,
    tracks: Vec<SessionTrack>,
}

#[derive(Debug)]
struct SessionTrack {
    name: String,
    kind: Kind,
    encoding: Option<Encoding>,
    last_captured: f64,
}

impl Session {
    pub(crate) fn new(id: String) -> Self {
        Self { id, tracks: Vec::new() }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Notes a unit, and what its track is from now on.
    ///
    /// # Errors
    /// The container has no form for the track; the text says why.
    pub(crate) fn note(&mut self, unit: &Unit, container: Container) -> Result<(), String> {
        let at = self.tracks.iter().position(|track| track.name == unit.track).unwrap_or_else(|| {
            let (name, kind) = (unit.track.clone(), unit.kind());
            self.tracks.push(SessionTrack { name, kind, encoding: None, last_captured: f64::MIN });
            self.tracks.len() - 1
        });
        let track = &mut self.tracks[at];
        track.last_captured = track.last_captured.max(unit.captured);
        let is_new = |encoding: &Encoding| {
            !encoding.fits(unit) || (unit.key && unit.kind() == Kind::Video && encoding.sets != unit.sets)
        };
        if track.encoding.as_ref().is_none_or(is_new) {
            track.encoding = None;
            let encoding = Encoding::of(unit).map_err(|error| error.to_string())?;
            if !container.can_carry(&encoding) {
                return Err(format!("{} has no form for {}", container.extension(), unit.codec.name()));
            }
            track.encoding = Some(encoding);
        }
        Ok(())
    }

    /// The encoding of a track.
    pub(crate) fn encoding(&self, track: &str) -> Option<&Encoding> {
        self.tracks.iter().find(|known| known.name == track)?.encoding.as_ref()
    }

    /// The encodings of all tracks that sent something lately: the leader's, and then those of sound.
    pub(crate) fn encodings(&self, leader: &str, now: f64) -> Vec<Encoding> {
        let is_active = |track: &&SessionTrack| now - track.last_captured < ACTIVE;
        let others = self.tracks.iter().filter(|track| track.name != leader && track.kind == Kind::Audio);
        let others = others.filter(is_active).filter_map(|track| track.encoding.clone());
        self.encoding(leader).cloned().into_iter().chain(others).collect()
    }

    /// The tracks of sound beside the leader which have not reached `captured`, and are likely to.
    pub(crate) fn behind(&self, leader: &str, captured: f64) -> Vec<String> {
        let is_behind =
            |track: &&SessionTrack| track.last_captured < captured && captured - track.last_captured < ACTIVE;
        let others = self.tracks.iter().filter(|track| track.name != leader && track.encoding.is_some());
        others.filter(is_behind).map(|track| track.name.clone()).collect()
    }
}
