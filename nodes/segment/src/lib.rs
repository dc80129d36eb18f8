//! A segment as objects in a bucket: its key, its metadata, and the `.json` beside its video.
//!
//! The layout is that of MSight. Pure logic without the AWS SDK and without tokio, so that every node that stores or
//! looks up segments computes the same keys.

mod bucket_name;
mod key;
mod picture;
mod recent;
mod segment;
mod sidecar;
mod video;

pub use bucket_name::{InvalidBucketName, LegacyBucketName, check_aws_bucket_name, check_bucket_name};
pub use key::{Folders, Layout, MAX_KEY, MAX_PREFIX, PrefixTooLong, SUFFIX, Times};
pub use msight_spool::encode_sensor;
pub use recent::RecentKeys;
pub use segment::{IDENTITY, Segment, SegmentError};
pub use sidecar::message_json;
pub use video::Video;
