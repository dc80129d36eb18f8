//! The nodes that every launcher brings along: a further one is one line here.

use msight_node::Entry;

/// The nodes that every launcher brings along.
pub const BUILT_IN: &[Entry] = &[
    msight_rtsp_source::ENTRY,
    msight_image_to_video::ENTRY,
    msight_recorder::ENTRY,
    msight_s3_pusher::ENTRY,
];
