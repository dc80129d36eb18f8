//! JSON text as Python's `json.dumps` writes it, which is how MSight stores its records.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

/// `json.dumps(value)`: `", "` and `": "`, non-ASCII as `\uXXXX`, floats as Python's `repr`.
pub(crate) fn to_string<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let mut text = Vec::with_capacity(256);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, PythonStyle))?;
    // The formatter writes ASCII only; anything else would be a fault of serde_json.
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
        writer.write_all(float_repr(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut units = [0; 2];
        for character in fragment.chars() {
            // serde_json has escaped the rest of what JSON demands; Python also escapes DEL's
            // successors, but not DEL itself.
            if character.is_ascii() {
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

/// Python's `repr` of a float: the shortest digits that read back the same, with an exponent
/// below 1e-4 and from 1e16 on, and `.0` after a whole number.
fn float_repr(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        let Some((digits, exponent)) = text.split_once('e') else { return text };
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = value.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn floats_are_written_as_python_does() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (1_795_171_405.656_529_2, "1795171405.6565292"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e16, "1.5e+16"),
            (-2.5e100, "-2.5e+100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(float_repr(value), text);
        }
    }

    #[test]
    fn text_is_ascii_with_pythons_separators() {
        let value = json!(["é\n\"\u{7f}\u{1f600}/", null, [], {}, 1, {"ключ": -2.0}]);
        let python = r#"["\u00e9\n\""#.to_owned()
            + "\u{7f}"
            + r#"\ud83d\ude00/", null, [], {}, 1, {"\u043a\u043b\u044e\u0447": -2.0}]"#;
        assert_eq!(to_string(&value).unwrap(), python);
    }

    proptest! {
        #[test]
        fn any_text_and_float_reads_back_the_same(text in ".*", value in proptest::num::f64::NORMAL) {
            let written = to_string(&json!([text, value])).unwrap();
            prop_assert!(written.is_ascii());
            let read: Value = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(&read[0], &text);
            prop_assert_eq!(float_repr(value).parse::<f64>().unwrap(), value);
        }
    }
}
