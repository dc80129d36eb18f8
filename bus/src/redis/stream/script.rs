//! The scripts of durable topics. Each one is an atomic step on the server, also for its append-only file.

use std::time::Duration;

use redis::{Cmd, cmd};

use super::Keys;
use super::entries::EntryId;
use super::limits::StreamLimits;
use crate::bus::GroupMember;

/// Most dead letters of a topic, and most of their bytes; the oldest ones are deleted.
const MAX_DEAD_LETTERS: u64 = 1000;
const MAX_DEAD_LETTER_BYTES: u64 = 64 << 20;

/// Functions that the scripts share.
macro_rules! functions {
    () => {
        "\
local stream, state = KEYS[1], KEYS[2]
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function size(entry) return #entry[2][2] + 128 end
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function number(field) return tonumber(redis.call('HGET', state, field) or 0) end
local function free(bytes)
  if redis.call('XLEN', stream) == 0 then bytes = number('added') end
  if bytes > number('freed') then redis.call('HSET', state, 'freed', string.format('%.0f', bytes)) end
end
local function trim()
  if redis.call('EXISTS', stream) == 0 then return '' end
  local floor_ms, floor_seq, slowest
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
    local ms, seq = parts(group['last-delivered-id'])
    if group['pending'] > 0 then ms, seq = parts(redis.call('XPENDING', stream, group['name'])[2])
    else seq = seq + 1 end
    if not floor_ms or ms < floor_ms or (ms == floor_ms and seq < floor_seq) then
      floor_ms, floor_seq, slowest = ms, seq, group['name']
    end
  end
  if floor_ms then
    redis.call('XTRIM', stream, 'MINID', string.format('%.0f-%.0f', floor_ms, floor_seq))
    free(floor_seq)
  end
  return slowest or ''
end
local function expire(now, age)
  if now - number('oldest') <= age then return end
  local oldest = now
  for _ = 1, 64 do
    local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    if not first then break end
    local ms, seq = parts(first[1])
    oldest = ms
    if now - ms <= age then break end
    redis.call('XDEL', stream, first[1])
    redis.call('HINCRBY', state, 'expired', 1)
    free(seq + size(first))
  end
  redis.call('HSET', state, 'oldest', string.format('%.0f', oldest))
end
"
    };
}

/// `payload, max_messages, max_bytes, max_age_ms` → `1`, or messages, bytes and the slowest group of a full stream.
const PUBLISH: &str = concat!(
    functions!(),
    "\
local now = clock()
if redis.call('HEXISTS', state, 'added') == 0 and redis.call('EXISTS', stream) == 1 then
  local info, newest = redis.call('XINFO', 'STREAM', stream), nil
  for i = 1, #info, 2 do if info[i] == 'last-generated-id' then newest = info[i + 1] end end
  local ms, seq = parts(newest)
  local entry = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  redis.call('HSET', state, 'last', string.format('%.0f', ms),
    'added', string.format('%.0f', seq + (entry and size(entry) or 1)))
end
expire(now, tonumber(ARGV[4]))
local added, bytes = number('added'), #ARGV[1] + 128
local function is_full()
  local length = redis.call('XLEN', stream)
  local stored = added - number('freed')
  return length > 0 and (length >= tonumber(ARGV[2]) or stored + bytes > tonumber(ARGV[3]))
end
if is_full() then
  local slowest = trim()
  if is_full() then return {redis.call('XLEN', stream), added - number('freed'), slowest} end
end
now = math.max(now, number('last'))
redis.call('XADD', stream, string.format('%.0f-%.0f', now, added), 'm', ARGV[1])
redis.call('HSET', state, 'added', string.format('%.0f', added + bytes), 'last', string.format('%.0f', now))
return 1"
);

/// `group, token, name, lease_ms, max_age_ms, 1 to join` → nil, or the name of the member that holds the lease.
const LEASE: &str = concat!(
    functions!(),
    "\
local now, field = clock(), 'owner:' .. ARGV[1]
local owner = redis.call('HGET', state, field)
if owner then
  local ends, token, name = string.match(owner, '^(%d+) (%x+) (.*)$')
  local is_other = token ~= ARGV[2] and (ARGV[6] == '0' or name ~= ARGV[3])
  if ends and is_other and tonumber(ends) > now then return name end
end
redis.call('HSET', state, field, string.format('%.0f %s %s', now + ARGV[4], ARGV[2], ARGV[3]))
if ARGV[6] == '1' then
  local made = redis.pcall('XGROUP', 'CREATE', stream, ARGV[1], '0', 'MKSTREAM')
  if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end
end
expire(now, tonumber(ARGV[5]))
return false"
);

/// `group, token`: ends the lease.
const RELEASE: &str = "\
local field = 'owner:' .. ARGV[1]
local owner = redis.call('HGET', KEYS[2], field)
if owner and string.match(owner, '^%d+ (%x+) ') == ARGV[2] then redis.call('HDEL', KEYS[2], field) end
return 1";

/// `group, ids…`: acknowledges messages.
const ACKNOWLEDGE: &str = concat!(
    functions!(),
    "\
for i = 2, #ARGV do redis.call('XACK', stream, ARGV[1], ARGV[i]) end
trim()
return 1"
);

/// `group, id, reason, max_letters, max_bytes`: moves a message to the dead letters.
const SET_ASIDE: &str = concat!(
    functions!(),
    "\
local dead = KEYS[3]
local entry = redis.call('XRANGE', stream, ARGV[2], ARGV[2])[1]
if entry then
  redis.call('XADD', dead, '*', 'm', entry[2][2], 'group', ARGV[1], 'id', ARGV[2], 'reason', ARGV[3])
  redis.call('HINCRBY', state, 'dead_bytes', size(entry))
  while redis.call('XLEN', dead) > 1
    and (redis.call('XLEN', dead) > tonumber(ARGV[4]) or number('dead_bytes') > tonumber(ARGV[5])) do
    local oldest = redis.call('XRANGE', dead, '-', '+', 'COUNT', 1)[1]
    redis.call('XDEL', dead, oldest[1])
    redis.call('HINCRBY', state, 'dead_bytes', -size(oldest))
    redis.call('HINCRBY', state, 'dead_dropped', 1)
  end
end
redis.call('XACK', stream, ARGV[1], ARGV[2])
trim()
return entry and 1 or 0"
);

pub(super) fn publish(keys: &Keys, payload: &[u8], limits: &StreamLimits) -> Cmd {
    let mut eval = Cmd::with_capacity(10, PUBLISH.len() + payload.len() + 256);
    eval.arg("EVAL").arg(PUBLISH).arg(2).arg(&keys.stream).arg(&keys.state);
    eval.arg(payload).arg(limits.max_messages).arg(limits.max_bytes).arg(millis(limits.max_age));
    eval
}

/// A lease of a group: `token` belongs to one subscription.
pub(super) struct LeaseRequest<'a> {
    pub(super) member: &'a GroupMember,
    pub(super) token: &'a str,
    pub(super) time: Duration,
    pub(super) max_age: Duration,
    /// Whether the member takes the lease over from an earlier subscription of its name.
    pub(super) joins: bool,
}

pub(super) fn lease(keys: &Keys, request: &LeaseRequest<'_>) -> Cmd {
    let LeaseRequest { member, token, time, max_age, joins } = request;
    let mut eval = script(LEASE, keys);
    eval.arg(&member.group).arg(token).arg(&member.name);
    eval.arg(millis(*time)).arg(millis(*max_age)).arg(u8::from(*joins));
    eval
}

pub(super) fn release(keys: &Keys, group: &str, token: &str) -> Cmd {
    let mut eval = script(RELEASE, keys);
    eval.arg(group).arg(token);
    eval
}

pub(super) fn acknowledge(keys: &Keys, group: &str, ids: &[EntryId]) -> Cmd {
    let mut eval = script(ACKNOWLEDGE, keys);
    eval.arg(group);
    for id in ids {
        eval.arg(id.to_string());
    }
    eval
}

pub(super) fn set_aside(keys: &Keys, group: &str, id: EntryId, reason: &str) -> Cmd {
    let mut eval = script(SET_ASIDE, keys);
    eval.arg(group).arg(id.to_string()).arg(reason).arg(MAX_DEAD_LETTERS).arg(MAX_DEAD_LETTER_BYTES);
    eval
}

fn script(text: &str, keys: &Keys) -> Cmd {
    let mut eval = cmd("EVAL");
    eval.arg(text).arg(3).arg(&keys.stream).arg(&keys.state).arg(&keys.dead_letters);
    eval
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
