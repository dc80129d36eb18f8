//! The tutorial's nodes, for tests.

use msight_node::Entry;

pub(crate) const BUILT_IN: [Entry; 3] =
    [msight_rtsp_source::ENTRY, msight_image_to_video::ENTRY, msight_s3_pusher::ENTRY];
