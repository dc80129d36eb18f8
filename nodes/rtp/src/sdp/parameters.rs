//! The parameters of a format (`a=fmtp`).

use super::text;

/// Maximum length of the parameters of a payload type, bytes; further `fmtp` are ignored. Some hundred bytes are usual.
const MAX_TEXT: usize = 64 << 10;

/// The parameters of one payload type, in one text.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    text: String,
    /// `text` in lower case, for the search of names.
    lower: String,
}

impl Parameters {
    /// The parameters of `payload_type` in the values of all `fmtp`. Without one, all of them, if the track has a single
    /// payload type: some cameras write another number here.
    pub(super) fn new<'a>(
        values: impl Iterator<Item = &'a str> + Clone,
        payload_type: u8,
        is_only: bool,
    ) -> Self {
        let all = values.map(|value| match text::number(value) {
            Some((number, rest)) => (number == u32::from(payload_type), rest),
            // The payload type is missing.
            None => (true, value),
        });
        let has_own = all.clone().any(|(is_own, _)| is_own);
        let chosen = all.filter(|(is_own, _)| *is_own || !has_own && is_only).map(|(_, rest)| rest);
        let mut text = String::new();
        for parameters in chosen {
            if text.len() + parameters.len() >= MAX_TEXT {
                break;
            }
            if !text.is_empty() {
                text.push(';');
            }
            text.push_str(parameters);
        }
        let lower = text.to_ascii_lowercase();
        Self { text, lower }
    }

    /// The value of a parameter, which may be quoted; `name` is in lower case. Lists keep their commas and blanks.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.lower.match_indices(name).find_map(|(at, _)| {
            // Cameras separate parameters by semicolons, or by blanks alone.
            let before = self.text[..at].chars().next_back();
            if !before.is_none_or(|c| c == ';' || c == ',' || c.is_whitespace()) {
                return None;
            }
            let value = self.text[at + name.len()..].trim_start().strip_prefix('=')?.trim_start();
            Some(match value.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next().unwrap_or_default(),
                None => value.split(';').next().unwrap_or_default().trim_end(),
            })
        })
    }

    /// A parameter that is a single word.
    pub(super) fn word(&self, name: &str) -> Option<&str> {
        self.get(name)?.split(|c: char| c == ',' || c.is_whitespace()).next().filter(|word| !word.is_empty())
    }

    /// A parameter that is a number.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        text::number(self.get(name)?).map(|(number, _)| number)
    }
}
