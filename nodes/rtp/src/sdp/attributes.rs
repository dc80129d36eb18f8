//! The attributes (`a=`) of a session or of a track.

use super::text;

/// Maximum length of a control address, characters. A longer one counts as absent.
const MAX_CONTROL: usize = 2048;

/// Maximum number of attributes; further ones are ignored. A track that offers twenty payload types has fifty.
const MAX_ATTRIBUTES: usize = 256;

/// Attributes in their order: the name in lower case, and the value.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a>(Vec<(String, &'a str)>);

impl<'a> Attributes<'a> {
    /// Adds what follows `a=`: `name`, `name:value`, or `name value`.
    pub(super) fn add(&mut self, line: &'a str) {
        if self.0.len() == MAX_ATTRIBUTES {
            return;
        }
        let end = line.find(|c: char| c == ':' || c.is_whitespace()).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let rest = rest.trim_start();
        let value = rest.strip_prefix(':').unwrap_or(rest).trim();
        self.0.push((name.to_ascii_lowercase(), value));
    }

    /// The values of all attributes of this name.
    pub(super) fn all(&self, name: &'static str) -> impl Iterator<Item = &'a str> + Clone {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| *value)
    }

    pub(super) fn has(&self, name: &'static str) -> bool {
        self.all(name).next().is_some()
    }

    /// The address in `control`.
    pub(super) fn control(&self) -> Option<String> {
        let value = self.all("control").next()?;
        let value = text::printable(value.trim_matches(['"', '\'']), MAX_CONTROL)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Width and height of JPEG pictures, as RFC 6064 (`framesize`), live555 (`x-dimensions`) and QuickTime (`cliprect`)
    /// state them.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        // `framesize:26 2560-1440` begins with the payload type.
        let framesize = self.all("framesize").find_map(|value| match *numbers(value) {
            [.., width, height] => Some((width, height)),
            _ => None,
        });
        let dimensions = self.all("x-dimensions").find_map(|value| match *numbers(value) {
            [width, height, ..] => Some((width, height)),
            _ => None,
        });
        let rectangle = self.all("cliprect").find_map(|value| match *numbers(value) {
            [top, left, bottom, right] => Some((right.checked_sub(left)?, bottom.checked_sub(top)?)),
            _ => None,
        });
        let is_possible = |size: &(u32, u32)| [size.0, size.1].iter().all(|side| (1..=65_535).contains(side));
        [framesize, dimensions, rectangle].into_iter().flatten().find(is_possible)
    }
}

/// The first few numbers in a text.
fn numbers(text: &str) -> Vec<u32> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    digits.take(4).map_while(|digits| digits.parse().ok()).collect()
}
