"""An RTSP camera for tests, of GStreamer's RTSP server. Prints its port, then serves until it is killed.

usage: camera.py PIPELINE [--port N] [--path /main] [--protocols tcp|udp] [--auth basic|digest] [--sizes 320x180,160x120]
                          [--die-at N]
PIPELINE ends in a payloader named pay0. User and password are "viewer" and "p@ss:w/rd%".
With --sizes the element named "size" (a capsfilter) changes its caps every second.
With --die-at the process is killed when its Nth frame is about to be sent.
"""

import argparse
import itertools
import os
import signal

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

USER, PASSWORD = "viewer", "p@ss:w/rd%"

parser = argparse.ArgumentParser()
parser.add_argument("pipeline")
parser.add_argument("--port", default="0")
parser.add_argument("--path", default="/main")
parser.add_argument("--protocols", choices=["tcp", "udp"])
parser.add_argument("--auth", choices=["basic", "digest"])
parser.add_argument("--sizes")
parser.add_argument("--die-at", type=int)
args = parser.parse_args()

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(args.port)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(f"( {args.pipeline} )")

if args.protocols:
    tcp, udp = GstRtsp.RTSPLowerTrans.TCP, GstRtsp.RTSPLowerTrans.UDP
    factory.set_protocols(tcp if args.protocols == "tcp" else udp)

if args.auth:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    if args.auth == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(USER, PASSWORD, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(USER, PASSWORD), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for permission in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("user", permission, True)
    factory.set_permissions(permissions)

if args.sizes:
    sizes = itertools.cycle(args.sizes.split(","))

    def configure(_factory, media):
        element = media.get_element().get_by_name("size")

        def change():
            width, height = next(sizes).split("x")
            element.set_property("caps", Gst.Caps.from_string(f"video/x-raw,width={width},height={height}"))
            return True

        change()
        GLib.timeout_add(1000, change)

    factory.connect("media-configure", configure)

if args.die_at:
    frames = itertools.count(1)

    def count(_pad, _info):
        if next(frames) == args.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return Gst.PadProbeReturn.OK

    def watch(_factory, media):
        pad = media.get_element().get_by_name("pay0").get_static_pad("sink")
        pad.add_probe(Gst.PadProbeType.BUFFER, count)

    factory.connect("media-configure", watch)

server.get_mount_points().add_factory(args.path, factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
