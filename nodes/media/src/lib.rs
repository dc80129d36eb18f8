//! Encoded video between its producers and consumers, without a codec. Files are read and written through the traits of
//! `std::io`.
//!
//! ```text
//! RTSP, RTMP ─▶ AccessUnit ─▶ KeyFrameGate ─▶ decoder ─▶ PresentationOrder ─▶ pictures
//!  encoder   ─▶ AccessUnit ─▶ mp4::mux ─▶ file
//!  camera    ─▶ Unit ─▶ mp4::FragmentWriter ─▶ fragmented file ─▶ mp4::finish ─▶ the same file, index first
//!  camera    ─▶ Unit ─▶ ts::TsWriter, matroska::MatroskaWriter ─▶ file
//! ```
//!
//! An [`AccessUnit`] is one encoded picture with its times and its [`ParameterSets`]. [`StreamTimes`] turns the RTP
//! timestamps of a camera into presentation and capture times, whatever their faults. A [`KeyFrameGate`] passes on only
//! what can be decoded, a [`PresentationOrder`] assigns capture times to decoded pictures, [`DecodingTimes`] gives encoded
//! ones the times to decode them at, and [`TargetRate`] selects frames evenly. [`mp4`], [`ts`] and
//! [`matroska`] write them into files, and [`SegmentMetadata`] records why a segment ended.
//!
//! Pure logic: time is an argument, and every structure is bounded.

pub mod aac;
mod access_unit;
mod arrivals;
mod clock;
mod decoding_times;
mod gate;
pub mod h265;
pub mod intervals;
mod length_prefixed;
pub mod matroska;
pub mod mp4;
pub mod nal;
mod order;
mod parameter_sets;
mod rate;
mod segment_metadata;
mod sps;
mod times;
mod timing;
pub mod ts;
mod unit;

pub use access_unit::{AccessUnit, Codec, Kind, TIMESCALE, to_timescale};
pub use clock::{Arrival, ClockEvent, StampFault};
pub use decoding_times::DecodingTimes;
pub use gate::{Admission, DropReason, KeyFrameGate, KeyFrameWait};
pub use length_prefixed::to_length_prefixed;
pub use order::{PictureTimes, PresentationOrder};
pub use parameter_sets::{ParameterSets, VideoParameters};
pub use rate::TargetRate;
pub use segment_metadata::SegmentMetadata;
pub use sps::{ColourDescription, Sps, SpsError, is_second_field};
pub use times::{StreamTimes, Times};
pub use timing::{FrameTimes, Gap, Span, Spread, Timing};
pub use unit::Unit;
