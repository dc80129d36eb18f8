//! MSight's JSON form: the output of Python's `json.dumps`, with bytes as base64. MSight's HTTP, Kinesis and SNS sinks
//! send it, and its metadata files contain it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{EncodeError, Message, Sample, Value};

/// A message in MSight's JSON form (`to_json` in `msight_core/data/base.py`).
pub fn to_json<M: Message>(sample: &Sample<M>) -> Result<String, EncodeError> {
    Ok(Value::of(sample)?.to_json())
}

impl Value {
    /// The value as Python's `json.dumps` writes it: `", "` and `": "` as separators, `\uXXXX` for every character
    /// outside ASCII, floats as Python's `repr`, NaN and Infinity without quotes. Bytes become base64 text. A key that
    /// is not text becomes its JSON, quoted.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        write(self, &mut out);
        out
    }
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(int) => out.push_str(&int.to_string()),
        Value::F32(float) => out.push_str(&python_float((*float).into())),
        Value::F64(float) => out.push_str(&python_float(*float)),
        Value::Str(text) => write_text(text, out),
        Value::Bin(bytes) => {
            out.push('"');
            STANDARD.encode_string(bytes, out);
            out.push('"');
        }
        Value::Ext(tag, bytes) => {
            write(&Value::Array(vec![Value::Int((*tag).into()), Value::Bin(bytes.clone())]), out);
        }
        Value::Array(values) => write_all('[', ']', values, out, write),
        Value::Map(entries) => write_all('{', '}', entries, out, |(key, value), out| {
            match key {
                Value::Str(text) => write_text(text, out),
                other => write_text(&other.to_json(), out),
            }
            out.push_str(": ");
            write(value, out);
        }),
    }
}

fn write_all<T>(open: char, close: char, items: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write(item, out);
    }
    out.push(close);
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

/// A float as Python's `repr` writes it: the shortest digits that read back as the same float, an exponent below 1e-4
/// and from 1e16, and `.0` for a whole number.
pub fn python_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if value != 0.0 && !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::python_float;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (1_700_000_000.25, "1700000000.25"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e16, "1.5e+16"),
            (1e15, "1000000000000000.0"),
            (1e22, "1e+22"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(python_float(value), text);
        }
    }
}
