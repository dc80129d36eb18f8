//! The parameters of a header value, `name=value;name=value`.

/// The parts of a value between semicolons: each name in lower case, and its value without quotes. A part without `=` has
/// an empty value.
pub(super) fn parameters(value: &str) -> impl Iterator<Item = (String, &str)> {
    value.split(';').map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim_matches(|c: char| c.is_whitespace() || c == '"');
        (name.trim().to_ascii_lowercase(), value)
    })
}
