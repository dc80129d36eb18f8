//! The registry in two Redis hashes.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, cmd};

use super::commands::Commands;
use super::dialer::Dialer;
use super::failure::{Classifier, Operation};
use super::reset;
use crate::bus::BoxFuture;
use crate::error::Error;
use crate::registry::{MAX_RECORD_BYTES, MAX_TABLE_BYTES, Registry, Swapped, Table};

// Other programs can write to the hashes, and a value in Redis can have 512 MB: the scripts cut values on the server. A
// script is one atomic step. `KEYS` has one key, so the script also runs in a cluster.

/// Reads all fields of a hash, each name and value up to a limit; fails above a limit for their sum.
const READ: &str = "\
local fields, left = redis.call('HGETALL', KEYS[1]), tonumber(ARGV[2])
for i = 1, #fields do
  fields[i] = string.sub(fields[i], 1, tonumber(ARGV[1]))
  left = left - #fields[i]
  if left < 0 then return redis.error_reply('TABLESIZE too many records') end
end
return fields";

/// Reads one field of a hash up to a limit.
const GET: &str = "\
local value = redis.call('HGET', KEYS[1], ARGV[1])
return value and string.sub(value, 1, tonumber(ARGV[2]))";

/// Compares and sets one field of a hash. The flag before each value is 0 for an absent value. A value that is too long or
/// not UTF-8 is compared by its digest.
const SWAP: &str = "\
local current = redis.call('HGET', KEYS[1], ARGV[1])
local expected = ARGV[2] == '1' and ARGV[3]
if current ~= expected then
  local digest = current and 'sha1 ' .. redis.sha1hex(current)
  if not current or digest ~= expected then
    return {0, current and string.sub(current, 1, tonumber(ARGV[6])), digest}
  end
end
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], ARGV[1], ARGV[5])
else redis.call('HDEL', KEYS[1], ARGV[1]) end
return {1, false, false}";

/// The response to [`swap`]: whether the field was set, and otherwise the beginning of the current value and its digest.
pub(super) type SwapAnswer = (bool, Option<Vec<u8>>, Option<String>);

/// The command that sets a field of a hash to `new` if it equals `expected`.
pub(super) fn swap(key: &str, field: &str, expected: Option<&str>, new: Option<&str>) -> Cmd {
    let mut eval = script(SWAP, key);
    eval.arg(field);
    for value in [expected, new] {
        eval.arg(u8::from(value.is_some())).arg(value.unwrap_or_default());
    }
    eval.arg(BEGINNING);
    eval
}

/// One byte more than a record may have, so that a longer one is known as such.
const BEGINNING: usize = MAX_RECORD_BYTES + 1;

fn script(text: &str, key: &str) -> Cmd {
    let mut eval = cmd("EVAL");
    eval.arg(text).arg(1).arg(key);
    eval
}

/// Time-out for deleting MSight's keys in a Redis with many other keys.
const RESET_TIMEOUT: Duration = Duration::from_secs(60);

/// The registry in a Redis.
pub(crate) struct RedisRegistry {
    dialer: Arc<Dialer>,
    classifier: Classifier,
    commands: Commands,
}

impl RedisRegistry {
    pub(super) fn new(dialer: Arc<Dialer>, classifier: Classifier, commands: Commands) -> Self {
        Self { dialer, classifier, commands }
    }

    pub(super) async fn connect(&self) -> Result<(), Error> {
        self.commands.connect().await
    }

    async fn swap_now(
        &self,
        table: Table,
        field: &str,
        expected: Option<&str>,
        new: Option<&str>,
    ) -> Result<Swapped, Error> {
        let eval = swap(table.key(), field, expected, new);
        let (done, current, digest): SwapAnswer = self.commands.run(Operation::Swap(table), &eval, 0).await?;
        if done {
            return Ok(Ok(()));
        }
        // The digest is not JSON, so the record counts as malformed.
        let whole = current.map(|bytes| match String::from_utf8(bytes) {
            Ok(whole) if whole.len() <= MAX_RECORD_BYTES => whole,
            _ => digest.unwrap_or_default(),
        });
        Ok(Err(whole))
    }

    async fn reset_now(&self) -> Result<u64, Error> {
        let (link, _) = self.commands.link().await?;
        match tokio::time::timeout(RESET_TIMEOUT, reset::delete_keys(link, self.dialer.seed())).await {
            Ok(deleted) => deleted.map_err(|error| self.classifier.classify(Operation::Reset, &error)),
            Err(_) => {
                let reason = format!("not finished within {} s", RESET_TIMEOUT.as_secs());
                Err(self.classifier.unavailable(Operation::Reset, reason))
            }
        }
    }
}

/// Values of other programs may not be UTF-8. A bad record must not hide the others.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl Registry for RedisRegistry {
    fn read<'a>(&'a self, table: Table) -> BoxFuture<'a, Result<Vec<(String, String)>, Error>> {
        Box::pin(async move {
            let mut command = script(READ, table.key());
            command.arg(BEGINNING).arg(MAX_TABLE_BYTES);
            let fields: Vec<(Vec<u8>, Vec<u8>)> =
                self.commands.run(Operation::Read(table), &command, 0).await?;
            Ok(fields.into_iter().map(|(field, value)| (text(field), text(value))).collect())
        })
    }

    fn get<'a>(&'a self, table: Table, field: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(async move {
            let mut command = script(GET, table.key());
            command.arg(field).arg(BEGINNING);
            let value: Option<Vec<u8>> = self.commands.run(Operation::Get(table), &command, 0).await?;
            Ok(value.map(text))
        })
    }

    fn swap<'a>(
        &'a self,
        table: Table,
        field: &'a str,
        expected: Option<&'a str>,
        new: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Swapped, Error>> {
        Box::pin(self.swap_now(table, field, expected, new))
    }

    fn reset<'a>(&'a self) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(self.reset_now())
    }

    fn describe(&self) -> String {
        self.classifier.place.clone()
    }
}
