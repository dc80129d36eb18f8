//! Names from messages as parts of paths and object keys.
//!
//! The names are untrusted, so they are encoded: a name never leaves the folder or prefix that it is put into, and two
//! names never give the same text.

use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Longest encoded name, in bytes: the longest path component of common file systems and of S3 servers that keep objects
/// as files (MinIO, s3s-fs).
pub const MAX_NAME: usize = 255;

/// Hexadecimal digits of the hash that ends a shortened name.
const NAME_HASH: usize = 32;

/// A sensor's name in object keys. Ordinary names stay unchanged, with spaces, dots, slashes and letters of any script. Text
/// that could leave the prefix, or that cannot be stored or listed, is percent-encoded. `%` is encoded too, so that two
/// names never give the same text. Very long names are cut and end in a hash. A missing name becomes `None`, as in MSight.
#[must_use]
pub fn encode_sensor(sensor: Option<&str>) -> String {
    match sensor {
        None => "None".to_owned(),
        Some("None") => "%4Eone".to_owned(),
        Some(name) => shorten(name.split('/').map(encode_component).collect::<Vec<_>>().join("/")),
    }
}

/// A name as one component of a path: like [`encode_sensor`], with slashes encoded too.
#[must_use]
pub fn encode_folder(name: &str) -> String {
    shorten(encode_component(name).replace('/', "%2F"))
}

/// The folder of a sensor in the spool folder.
pub(crate) fn sensor_folder(sensor: Option<&str>) -> String {
    match sensor {
        Some(name) if name != "None" => encode_folder(name),
        // The two that `encode_sensor` tells apart.
        reserved => encode_sensor(reserved),
    }
}

/// The sensor that a folder in the spool folder is named after; `None` for segments without a sensor's name. A name that was
/// cut, or that is no encoding, is returned as it is.
#[must_use]
pub fn sensor_of_folder(folder: &str) -> Option<String> {
    match folder {
        "None" => None,
        "%empty" => Some(String::new()),
        _ => Some(percent_decode(folder).unwrap_or_else(|| folder.to_owned())),
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

/// One path component; `/` stays. `%empty` cannot be the encoding of another name, in which `%` is always followed by two
/// hexadecimal digits.
fn encode_component(component: &str) -> String {
    match component {
        "" => return "%empty".to_owned(),
        "." => return "%2E".to_owned(),
        ".." => return "%2E%2E".to_owned(),
        _ => {}
    }
    let mut out = String::with_capacity(component.len());
    for c in component.chars() {
        // S3's XML listings cannot hold control characters and the two non-characters, Windows treats a backslash as a
        // separator, and line separators break logs.
        let unsafe_in_names =
            c.is_control() || matches!(c, '%' | '\\' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}');
        if unsafe_in_names { percent_encode(&mut out, c) } else { out.push(c) }
    }
    out
}

/// Appends a character as `%` and two hexadecimal digits for each of its bytes in UTF-8.
pub fn percent_encode(out: &mut String, c: char) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        let _ = write!(out, "%{byte:02X}");
    }
}

/// Cuts an encoded name to [`MAX_NAME`] bytes, ending in `%~` and a hash of the whole.
fn shorten(encoded: String) -> String {
    if encoded.len() <= MAX_NAME {
        return encoded;
    }
    let hash = Sha256::digest(encoded.as_bytes());
    let mut end = encoded.floor_char_boundary(MAX_NAME - NAME_HASH - 2);
    // Do not cut inside of `%2E%2E`: the rest could equal the encoding of another name.
    while encoded[..end].ends_with(['/', '%', '.'])
        || encoded[..end].rfind('%').is_some_and(|at| at + 2 >= end)
    {
        end -= 1;
    }
    let mut short = format!("{}%~", &encoded[..end]);
    for byte in &hash[..NAME_HASH / 2] {
        let _ = write!(short, "{byte:02x}");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use msight_test_support::hostile_names::hostile_name;
    use proptest::prelude::*;

    #[test]
    fn ordinary_names_stay_unchanged() {
        assert_eq!(encode_sensor(Some("v1.2..3 (north)")), "v1.2..3 (north)");
        assert_eq!(encode_sensor(None), "None");
        assert_eq!(sensor_folder(Some("v1.2..3 (nörth)")), "v1.2..3 (nörth)");
    }

    #[test]
    fn hostile_names_become_harmless() {
        for (name, key, folder) in [
            ("../../x", "%2E%2E/%2E%2E/x", "..%2F..%2Fx"),
            ("%2e%2e", "%252e%252e", "%252e%252e"),
            ("", "%empty", "%empty"),
            (".", "%2E", "%2E"),
            ("..", "%2E%2E", "%2E%2E"),
            ("/", "%empty/%empty", "%2F"),
            ("a\0b\nc", "a%00b%0Ac", "a%00b%0Ac"),
            ("..\\x", "..%5Cx", "..%5Cx"),
            ("None", "%4Eone", "%4Eone"),
            ("\u{85}", "%C2%85", "%C2%85"),
        ] {
            assert_eq!(encode_sensor(Some(name)), key, "{name:?}");
            assert_eq!(sensor_folder(Some(name)), folder, "{name:?}");
        }
    }

    #[test]
    fn folders_tell_the_sensor() {
        assert_eq!(sensor_of_folder("None"), None);
        for odd in ["a%", "a%4", "a%zz", "%FF", "%~ab", "a%\u{fc}b"] {
            assert_eq!(sensor_of_folder(odd).as_deref(), Some(odd));
        }
    }

    #[test]
    fn long_names_end_in_a_hash() {
        let name = "x".repeat(10_000);
        let other = format!("{name}y");
        for encode in [|name: &str| encode_sensor(Some(name)), encode_folder] {
            assert_eq!(encode(&name).len(), MAX_NAME);
            assert_ne!(encode(&name), encode(&other));
            assert_eq!(encode(&"x".repeat(MAX_NAME)).len(), MAX_NAME);
        }
    }

    /// Undoes the encoding of a name that was not shortened.
    fn decode(encoded: &str) -> Option<String> {
        if encoded == "None" {
            return None;
        }
        let mut bytes = Vec::new();
        let mut rest = encoded;
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("%empty") {
                rest = after;
            } else if c == '%' {
                bytes.push(u8::from_str_radix(&rest[1..3], 16).unwrap());
                rest = &rest[3..];
            } else {
                bytes.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
                rest = &rest[c.len_utf8()..];
            }
        }
        Some(String::from_utf8(bytes).unwrap())
    }

    proptest! {
        #[test]
        fn names_can_be_decoded(name in hostile_name()) {
            for encoded in [encode_sensor(Some(&name)), sensor_folder(Some(&name))] {
                prop_assert!(encoded.len() <= MAX_NAME);
                if !encoded.contains("%~") {
                    prop_assert_eq!(decode(&encoded), Some(name.clone()));
                }
            }
            let folder = sensor_folder(Some(&name));
            if !folder.contains("%~") {
                prop_assert_eq!(sensor_of_folder(&folder), Some(name));
            }
        }

        #[test]
        fn two_names_never_share_a_text(a in hostile_name(), b in hostile_name()) {
            prop_assume!(a != b);
            for encode in [encode_sensor, sensor_folder] {
                prop_assert_ne!(encode(Some(&a)), encode(Some(&b)));
                prop_assert_ne!(encode(Some(&a)), encode(None));
            }
        }

        #[test]
        fn a_folder_is_one_component(name in hostile_name()) {
            let folder = sensor_folder(Some(&name));
            prop_assert!(!matches!(folder.as_str(), "" | "." | ".."));
            prop_assert!(!folder.contains(['/', '\\', '\0']) && !folder.contains(char::is_control));
        }
    }
}
