//! The description of a session (RFC 8866), as cameras write it.
//!
//! Cameras omit lines, end them in any way, and mix up case, blanks and payload types. Each line is therefore read for
//! itself, and a line that cannot be read is skipped.

mod attributes;
mod encoding;
mod media;
mod parameters;
mod sprop;
mod text;

use self::attributes::Attributes;
use self::media::Media;
use crate::track::Track;

/// Maximum number of tracks. ONVIF cameras have four, recorders with several lenses a few more.
const MAX_TRACKS: usize = 32;

/// What a camera describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The address for all tracks together (`a=control` of the session), as the camera writes it.
    pub control: Option<String>,
    /// The tracks that can be read, in the camera's order.
    pub tracks: Vec<Track>,
    /// The other tracks: what they are, and why they are left out.
    pub left_out: Vec<LeftOut>,
}

/// A track that is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// What it is, such as `video MP4V-ES`.
    pub what: String,
    /// Why it is left out.
    pub why: &'static str,
}

impl Description {
    /// Reads the body of a camera's response to DESCRIBE. A body that describes nothing has no tracks.
    ///
    /// All texts are free of control characters and of limited length.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let (mut session, mut all) = (Attributes::default(), Vec::new());
        let mut further = 0;
        for (kind, value) in text::lines(&text) {
            match kind {
                'm' if all.len() == MAX_TRACKS => further += 1,
                'm' => all.push(Media::new(value)),
                'a' if further == 0 => {
                    all.last_mut().map_or(&mut session, |media| &mut media.attributes).add(value);
                }
                _ => {}
            }
        }
        let mut description = Self { control: session.control(), ..Self::default() };
        // ONVIF names the direction as the client sees it, other servers as they see it themselves. Only the latter
        // describe pictures that are `sendonly`.
        let by_client = !all.iter().any(|media| media.is_video() && media.attributes.has("sendonly"));
        for media in all {
            match media.track(&session, by_client) {
                Ok(track) => description.tracks.push(track),
                Err(why) => description.left_out.push(LeftOut { what: media.what(), why }),
            }
        }
        if further > 0 {
            let what = format!("{further} further tracks");
            description.left_out.push(LeftOut { what, why: "the camera describes more than 32 tracks" });
        }
        description
    }
}

#[cfg(test)]
mod tests;
