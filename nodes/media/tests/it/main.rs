//! What ffmpeg and GStreamer find in the files that this crate writes.

mod matroska_files;
mod mp4_files;
mod streams;
mod transport_streams;
