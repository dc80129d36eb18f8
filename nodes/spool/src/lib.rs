//! Segments on disk: the spool folder that a recorder writes and a pusher uploads from.
//!
//! ```text
//! DIR/SENSOR/2026-11-28/16-53-00.123Z.mp4.part    being written; its writer holds a lock on the file
//! DIR/SENSOR/2026-11-28/16-53-00.123Z.mp4.part.copy  written to take the place of the .part
//! DIR/SENSOR/2026-11-28/16-53-00.123Z.mp4         whole
//! DIR/SENSOR/2026-11-28/16-53-00.123Z.json        its sidecar; with it the segment waits for its upload
//! DIR/SENSOR/2026-11-28/16-53-00.123Z.uploaded    marker of an uploaded segment that is kept
//! ```
//!
//! The folder alone says what there is and how far it is; messages only announce it. Every change of state is one rename or
//! removal, so that a killed program leaves a state that [`Spool::unfinished`] puts right.
//!
//! File I/O blocks. Names from messages are encoded ([`encode_sensor`], [`encode_folder`]), and paths from messages never
//! leave the folder ([`Spool::segment`]).

mod files;
mod name;
mod part;
mod path;
mod recovery;
mod scan;
mod segment;
mod spool;

pub use name::{MAX_NAME, encode_folder, encode_sensor, percent_encode, sensor_of_folder};
pub use part::PartFile;
pub use path::{EXTENSIONS, PathError};
pub use recovery::{MAX_UNFINISHED, Unfinished};
pub use scan::Scan;
pub use segment::{MAX_SIDECAR, SpooledSegment};
pub use spool::Spool;
