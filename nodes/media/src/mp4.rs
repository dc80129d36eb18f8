//! MP4 files: ISO/IEC 14496-12, with the sample entries of ISO/IEC 14496-14 and -15 and of "Encapsulation of Opus in ISO Base
//! Media File Format".
//!
//! Two ways lead to a file whose index (`moov`) comes first, so that a player can start before it has all of it:
//!
//! ```text
//! mux             all samples in memory ─▶ file in memory
//! FragmentWriter  a fragment at a time  ─▶ fragmented file ─▶ finish: the same file, with its index in front
//! ```
//!
//! [`FragmentWriter`] leaves room at the beginning of the file. What is written so far plays at any moment, as every fragment
//! has an index of its own. [`finish`] reads those and writes the index of the whole file into the room, so no sample is
//! copied. The last step is a write of eight bytes, so the file is either a fragmented one or an indexed one:
//!
//! ```text
//! open      ftyp  free ························  user  moov (mvex)  moof mdat  moof mdat  …
//! finished  ftyp  moov (all samples)  free  mdat(································ …)  uuid
//! ```
//!
//! [`read`] reads any MP4 file, indexed or fragmented, into a [`Movie`], with what is wrong with it.
//!
//! The headers of the fragments stay in the file, inside the one `mdat` box, where no index refers to them. [`rewrite`] does
//! the same into another file, for a file without room.

mod audio;
mod boxes;
mod codec;
mod descriptor;
mod error;
mod finish;
mod format;
mod former_heads;
mod fragments;
mod moof;
mod movie;
mod mux;
mod read;
mod reader;
mod tables;
mod timing;
mod track;
mod video;

pub(crate) use codec::codec_of_configuration;

pub use boxes::{BoxHeader, Storage, box_at, uuid_box};
pub use error::Error;
pub use finish::{Extent, Finished, finish, rewrite};
pub use format::TrackFormat;
pub use former_heads::former_heads;
pub use fragments::{FragmentSample, FragmentTrack, FragmentWriter, TrackRun};
pub use movie::Edit;
pub use mux::{SampleData, mux};
pub use read::{Fault, Movie, is_mp4, read};
pub use reader::{FragmentedFile, FragmentedTrack, read_fragments};
pub use tables::{SampleInfo, SampleTables};
pub use track::{EditEntry, Track};
