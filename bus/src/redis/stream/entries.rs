//! The entries of a stream, as Redis sends them.

use std::fmt;

use bytes::Bytes;
use redis::Value;

/// The id of an entry: `MS-SEQ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct EntryId {
    ms: u64,
    seq: u64,
}

impl EntryId {
    fn parse(text: &[u8]) -> Option<Self> {
        let (ms, seq) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self { ms: ms.parse().ok()?, seq: seq.parse().ok()? })
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// The entries in the answer to `XREADGROUP` for one stream; none if there was no message in time. A payload is not
/// copied.
pub(super) fn read(answer: Value) -> Vec<(EntryId, Bytes)> {
    let entries = match answer {
        // RESP3: stream to entries.
        Value::Map(mut streams) => streams.pop().map(|(_, entries)| entries),
        // RESP2: a list of pairs.
        Value::Array(mut streams) => match streams.pop() {
            Some(Value::Array(mut pair)) => pair.pop(),
            _ => None,
        },
        _ => None,
    };
    entries.map(claimed).unwrap_or_default()
}

/// The entries in the answer to `XCLAIM`, without those that were deleted.
pub(super) fn claimed(answer: Value) -> Vec<(EntryId, Bytes)> {
    let Value::Array(entries) = answer else { return Vec::new() };
    entries.into_iter().filter_map(entry).collect()
}

/// `[id, [name, payload, …]]`
fn entry(value: Value) -> Option<(EntryId, Bytes)> {
    let Value::Array(entry) = value else { return None };
    let mut entry = entry.into_iter();
    let (Value::BulkString(id), Value::Array(fields)) = (entry.next()?, entry.next()?) else { return None };
    let Value::BulkString(payload) = fields.into_iter().nth(1)? else { return None };
    Some((EntryId::parse(&id)?, Bytes::from(payload)))
}

/// One line of the answer to `XPENDING`: the message, and how often it was delivered.
pub(super) fn pending(answer: Value) -> Vec<(EntryId, u64)> {
    let Value::Array(lines) = answer else { return Vec::new() };
    let line = |value| {
        let Value::Array(line) = value else { return None };
        let mut line = line.into_iter();
        let Value::BulkString(id) = line.next()? else { return None };
        let Value::Int(deliveries) = line.nth(2)? else { return None };
        Some((EntryId::parse(&id)?, deliveries.try_into().unwrap_or(0)))
    };
    lines.into_iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn entries_are_read_in_both_versions_of_the_protocol() {
        let entries = || {
            let fields = Value::Array(vec![text("m"), text("payload")]);
            Value::Array(vec![
                Value::Array(vec![text("5-70"), fields]),
                Value::Nil,
                Value::Array(vec![text("5-71"), Value::Nil]),
            ])
        };
        let expected = [(EntryId { ms: 5, seq: 70 }, Bytes::from_static(b"payload"))];
        assert_eq!(read(Value::Map(vec![(text("s"), entries())])), expected);
        assert_eq!(read(Value::Array(vec![Value::Array(vec![text("s"), entries()])])), expected);
        assert_eq!(claimed(entries()), expected);
        assert!(read(Value::Nil).is_empty() && read(text("x")).is_empty());
    }

    #[test]
    fn pending_messages_have_their_deliveries() {
        let line = Value::Array(vec![text("1-2"), text("reader"), Value::Int(100), Value::Int(3)]);
        assert_eq!(pending(Value::Array(vec![line, Value::Nil])), [(EntryId { ms: 1, seq: 2 }, 3)]);
        assert_eq!(EntryId { ms: 1, seq: 2 }.to_string(), "1-2");
    }
}
