"""Plays a file with GStreamer's decodebin as fast as it can, and prints the time of each picture that a window would show."""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

Gst.init(None)
pipeline = Gst.parse_launch(
    "filesrc name=file ! decodebin name=decoder decoder. ! video/x-raw ! fakesink name=window sync=false signal-handoffs=true"
)
pipeline.get_by_name("file").set_property("location", sys.argv[1])


def shown(_window, buffer, pad):
    segment = pad.get_sticky_event(Gst.EventType.SEGMENT, 0).parse_segment()
    # Pictures outside of the segment, which is what an edit list leaves, are not shown.
    in_segment, _, _ = segment.clip(Gst.Format.TIME, buffer.pts, buffer.pts + max(buffer.duration, 0))
    if in_segment:
        print(segment.to_stream_time(Gst.Format.TIME, buffer.pts) / Gst.SECOND)


pipeline.get_by_name("window").connect("handoff", shown)
pipeline.set_state(Gst.State.PLAYING)
message = pipeline.get_bus().timed_pop_filtered(60 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
if message is None or message.type == Gst.MessageType.ERROR:
    sys.exit(f"GStreamer: {message.parse_error() if message else 'no end after 60 s'}")
