//! JSON text as Python's `json.dumps` writes it. MSight stores its records in this form.

use std::io;

use msight_proto::python_float;
use serde::Serialize;
use serde_json::ser::Formatter;

/// `json.dumps(value)`: `", "` and `": "`, non-ASCII as `\uXXXX`, floats as Python's `repr`.
pub(crate) fn to_string<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let mut text = Vec::with_capacity(256);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, PythonStyle))?;
    // The formatter writes only ASCII, so this cannot fail.
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

struct PythonStyle;

impl Formatter for PythonStyle {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(python_float(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut units = [0; 2];
        for character in fragment.chars() {
            // serde_json has escaped what JSON demands; Python also escapes DEL and all characters after it.
            if matches!(character, ' '..='~') {
                writer.write_all(&[character as u8])?;
            } else {
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn text_is_ascii_with_pythons_separators() {
        let value = json!(["é\n\"\u{7f}\u{1f600}/", null, [], {}, 1, {"ключ": -2.0}]);
        let python =
            r#"["\u00e9\n\"\u007f\ud83d\ude00/", null, [], {}, 1, {"\u043a\u043b\u044e\u0447": -2.0}]"#;
        assert_eq!(to_string(&value).unwrap(), python);
    }

    proptest! {
        #[test]
        fn any_text_and_float_is_parsed_to_the_same_value(text in ".*", value in proptest::num::f64::NORMAL) {
            let written = to_string(&json!([text, value])).unwrap();
            prop_assert!(written.is_ascii());
            let read: Value = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(&read[0], &text);
            // serde_json itself reads floats inexactly.
            let float = written.rsplit_once(", ").unwrap().1.trim_end_matches(']');
            prop_assert_eq!(float.parse::<f64>().unwrap(), value);
        }
    }
}
