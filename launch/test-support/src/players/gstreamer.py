"""Plays a file with GStreamer's decodebin as fast as it can. Prints the time of each picture that a window would show, as
"video SECONDS", and "audio SECONDS" with the length of the sound if there is any."""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

Gst.init(None)
pipeline = Gst.Pipeline()
source, decoder = Gst.ElementFactory.make("filesrc"), Gst.ElementFactory.make("decodebin")
source.set_property("location", sys.argv[1])
pipeline.add(source)
pipeline.add(decoder)
source.link(decoder)
lengths = []


def clip(buffer, pad):
    """The part of a buffer that is played: what an edit list hides is outside of the segment."""
    segment = pad.get_sticky_event(Gst.EventType.SEGMENT, 0).parse_segment()
    length = buffer.duration if buffer.duration != Gst.CLOCK_TIME_NONE else 0
    inside, begin, end = segment.clip(Gst.Format.TIME, buffer.pts, buffer.pts + length)
    return (segment.to_stream_time(Gst.Format.TIME, buffer.pts), end - begin) if inside else None


def picture(_sink, buffer, pad):
    if part := clip(buffer, pad):
        print("video", part[0] / Gst.SECOND)


def sound(_sink, buffer, pad):
    if part := clip(buffer, pad):
        lengths.append(part[1])


def connect(_decoder, pad):
    kind = pad.get_current_caps().get_structure(0).get_name()
    sink = Gst.ElementFactory.make("fakesink")
    sink.set_property("sync", False)
    sink.set_property("signal-handoffs", True)
    sink.connect("handoff", picture if kind.startswith("video/") else sound)
    pipeline.add(sink)
    sink.sync_state_with_parent()
    pad.link(sink.get_static_pad("sink"))


decoder.connect("pad-added", connect)
pipeline.set_state(Gst.State.PLAYING)
message = pipeline.get_bus().timed_pop_filtered(60 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
if message is None or message.type == Gst.MessageType.ERROR:
    sys.exit(f"GStreamer: {message.parse_error() if message else 'no end after 60 s'}")
if lengths:
    print("audio", sum(lengths) / Gst.SECOND)
