//! Publishing on a durable topic.

use redis::{FromRedisValue, ParsingError, Value};

use super::limits::StreamLimits;
use super::{Keys, script};
use crate::error::Error;
use crate::redis::commands::Commands;
use crate::redis::failure::Operation;
use crate::topic::Topic;

/// The answer of the script.
enum Answer {
    Stored,
    Full { messages: u64, bytes: u64, slowest: String },
}

impl FromRedisValue for Answer {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        if let Value::Int(_) = value {
            return Ok(Self::Stored);
        }
        let (messages, bytes, slowest) = FromRedisValue::from_redis_value(value)?;
        Ok(Self::Full { messages, bytes, slowest })
    }
}

/// Stores a message.
pub(in crate::redis) async fn publish(
    commands: &Commands,
    place: &str,
    topic: &Topic,
    payload: &[u8],
    limits: &StreamLimits,
) -> Result<(), Error> {
    let command = script::publish(&Keys::of(topic), payload, limits);
    match commands.run(Operation::Publish(topic), &command, payload.len()).await? {
        Answer::Stored => Ok(()),
        Answer::Full { messages, bytes, slowest } => {
            let next_step = match slowest.as_str() {
                "" => "no group has read it; start the node that reads it".to_owned(),
                group => format!(
                    "the group {group:?} has not acknowledged them; start its node, raise \
                     MSIGHT_REDIS_MESSAGE_BROKER_DURABLE_MAX_MIB above what the node holds at a time, or delete the \
                     group: redis-cli XGROUP DESTROY '{}' '{group}'",
                    Keys::of(topic).stream
                ),
            };
            let reason = format!("{messages} messages of {} MiB are stored, and {next_step}", bytes >> 20);
            Err(Error::Full { topic: topic.to_string(), place: place.to_owned(), reason })
        }
    }
}
