//! The content of the `.json` beside a video: MSight's keys of the message without `video`, then ours.
//!
//! A segment in a spool folder has a sidecar with the first part. Its text is kept as it is, and read back for what the key
//! and our keys need.

use msight_proto::{EncodeError, FrameId, Head, Message, Sample, Value, VideoData, to_json};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::key::Times;

/// MSight's keys of a [`VideoData`] without `video`.
#[derive(Debug, Serialize, Deserialize)]
struct Sidecar {
    detection_results: Option<Value>,
    frame_ids: Option<Vec<Option<FrameId>>>,
    capture_timestamps: Option<Vec<f64>>,
}

impl Message for Sidecar {
    const TYPE: &'static str = VideoData::TYPE;
}

/// The sidecar of a segment in a spool folder, and the first part of that of an object: the JSON of the message without its
/// video, as MSight writes it.
///
/// # Errors
/// A value has no JSON form.
pub fn message_json(message: &Sample<VideoData>) -> Result<String, EncodeError> {
    let body = Sidecar {
        detection_results: message.body.detection_results.clone(),
        frame_ids: message.body.frame_ids.clone(),
        capture_timestamps: message.body.capture_timestamps.clone(),
    };
    to_json(&Sample::new(message.head.clone(), body))
}

/// What a message says of its segment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Description {
    pub(crate) sensor_name: Option<String>,
    pub(crate) frame_id: Option<FrameId>,
    pub(crate) frame_ids: Option<Vec<Option<FrameId>>>,
    pub(crate) capture_timestamps: Option<Vec<f64>>,
    pub(crate) times: Times,
}

impl Description {
    pub(crate) fn of(head: &Head, body: &VideoData) -> Self {
        let frames = body.capture_timestamps.as_deref();
        Self {
            sensor_name: head.sensor_name.clone(),
            frame_id: head.frame_id,
            frame_ids: body.frame_ids.clone(),
            capture_timestamps: body.capture_timestamps.clone(),
            times: Times::of(frames, head.capture_timestamp, head.creation_timestamp),
        }
    }

    /// Reads a sidecar. Keys that are missing or unknown are fine, and so are Python's NaN and Infinity.
    pub(crate) fn parse(json: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Keys {
            #[serde(default)]
            sensor_name: Option<String>,
            #[serde(default)]
            capture_timestamp: Option<f64>,
            #[serde(default)]
            creation_timestamp: Option<f64>,
            #[serde(default)]
            frame_id: Option<FrameId>,
            #[serde(default)]
            frame_ids: Option<Vec<Option<FrameId>>>,
            #[serde(default)]
            capture_timestamps: Option<Vec<Option<f64>>>,
        }
        // serde would also read an array of the values.
        if !json.trim_start().starts_with('{') {
            return Err(serde::de::Error::custom("it is not an object"));
        }
        let keys: Keys = serde_json::from_str(json)
            .or_else(|error| serde_json::from_str(&numbers_of_python(json)).map_err(|_| error))?;
        let number = |number: Option<f64>| number.unwrap_or(f64::NAN);
        let frames: Option<Vec<f64>> =
            keys.capture_timestamps.map(|times| times.into_iter().map(number).collect());
        Ok(Self {
            times: Times::of(
                frames.as_deref(),
                number(keys.capture_timestamp),
                number(keys.creation_timestamp),
            ),
            sensor_name: keys.sensor_name,
            frame_id: keys.frame_id,
            frame_ids: keys.frame_ids,
            capture_timestamps: frames,
        })
    }
}

/// The JSON with null in place of the numbers that Python writes and JSON does not know.
fn numbers_of_python(json: &str) -> Cow<'_, str> {
    let (mut out, mut rest, mut in_text) = (String::new(), json, false);
    while let Some(at) = rest.find(['"', '\\', 'N', 'I', '-']) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let token = ["NaN", "Infinity", "-Infinity"].into_iter().find(|token| found.starts_with(token));
        let taken = match (in_text, token) {
            (false, Some(token)) => {
                out.push_str("null");
                token.len()
            }
            _ => {
                // A backslash protects the character that follows it.
                let escaped = found.starts_with('\\').then(|| found.chars().nth(1)).flatten();
                let taken = 1 + escaped.map_or(0, char::len_utf8);
                in_text ^= found.starts_with('"');
                out.push_str(&found[..taken]);
                taken
            }
        };
        rest = &found[taken..];
    }
    if out.is_empty() { Cow::Borrowed(json) } else { Cow::Owned(out + rest) }
}

/// The JSON object with further keys at its end. Keys that it has already stay as they are.
pub(crate) fn with_keys(mut json: String, keys: impl Iterator<Item = (&'static str, Value)>) -> String {
    json.truncate(json.trim_end().len());
    let known: BTreeMap<String, IgnoredAny> =
        serde_json::from_str(&numbers_of_python(&json)).unwrap_or_default();
    json.pop();
    let mut is_empty = known.is_empty();
    for (name, value) in keys.filter(|(name, _)| !known.contains_key(*name)) {
        let key = Value::Map(vec![(Value::Str(name.to_owned()), value)]).to_json();
        if !is_empty {
            json.push_str(", ");
        }
        is_empty = false;
        // `{"name": value}` without its braces.
        json.push_str(&key[1..key.len() - 1]);
    }
    json.push('}');
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_read_back_from_its_json() {
        let body = VideoData {
            detection_results: Some(Value::Array(vec![
                Value::F64(f64::NAN),
                Value::Str("a \"NaN\" \\".to_owned()),
            ])),
            frame_ids: Some(vec![Some(FrameId::from(u64::MAX)), None]),
            capture_timestamps: Some(vec![1_700_000_000.25, f64::INFINITY, 1_700_000_000.75]),
            ..VideoData::default()
        };
        let message = Sample::new(Head::new("nörth \"N\"".to_owned(), 1_700_000_000.25), body);
        let json = message_json(&message).unwrap();
        assert!(json.starts_with("{\"data_type\": ") && !json.contains("\"video\""), "{json}");
        let (read, expected) =
            (Description::parse(&json).unwrap(), Description::of(&message.head, &message.body));
        assert!(read.capture_timestamps.as_ref().unwrap()[1].is_nan());
        assert_eq!(
            (&read.sensor_name, read.frame_id, &read.frame_ids),
            (&expected.sensor_name, expected.frame_id, &expected.frame_ids)
        );
        assert_eq!((read.times.begin, read.times.end), (expected.times.begin, expected.times.end));
    }

    #[test]
    fn little_is_required_of_a_sidecar() {
        let read = Description::parse("{}").unwrap();
        assert_eq!((read.sensor_name, read.times.begin), (None, 0.0));
        assert!(Description::parse(r#"{"frame_ids": null, "colour": {"a": [NaN]}}"#).is_ok());
        for broken in ["", "[]", "{", "null", r#"{"sensor_name": 5}"#, &"[".repeat(100_000)] {
            assert!(Description::parse(broken).is_err(), "{broken:.20}");
        }
    }

    #[test]
    fn keys_are_added_at_the_end() {
        let keys = || [("a", Value::Int(1)), ("b", Value::Nil)].into_iter();
        assert_eq!(with_keys("{}\n".to_owned(), keys()), r#"{"a": 1, "b": null}"#);
        assert_eq!(with_keys(r#"{"b": NaN}"#.to_owned(), keys()), r#"{"b": NaN, "a": 1}"#);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in prop_oneof![any::<String>(), "[{}\"\\\\NaIn:,1-]{0,40}"]) {
            let _ = Description::parse(&text);
            prop_assert!(serde_json::from_str::<IgnoredAny>(&text).is_err()
                || serde_json::from_str::<IgnoredAny>(&numbers_of_python(&text)).is_ok());
        }
    }
}
