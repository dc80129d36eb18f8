//! The recorder, on streams that ffmpeg has encoded: all units are in its segments, and ffmpeg plays each of them.

mod bus_away;
mod containers;
mod events;
mod files;
mod full_disk;
mod message_size;
mod players;
mod recovery;
mod restart;
mod segments;
mod stream;
mod usage;
